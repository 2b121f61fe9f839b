import tseslint from 'typescript-eslint'

export default tseslint.config(
  { ignores: ['build/**', 'build-*/**', 'dist/**', 'prebuilds/**', '.nodes/**', '.zig/**'] },
  {
    files: ['**/*.ts', '**/*.mts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: {
        project: ['tsconfig.json', 'tsconfig.test.json', 'tsconfig.tools.json'],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      eqeqeq: 'error',
    },
  },
  {
    // A program may replace them while sockets live: lib/globals.ts has what was there before.
    files: ['lib/**/*.ts'],
    ignores: ['lib/globals.ts', 'lib/cli/**', 'lib/demo/**'],
    rules: {
      'no-restricted-globals': [
        'error',
        ...[
          ...['setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval'],
          ...['clearImmediate', 'queueMicrotask', 'performance', 'Date'],
        ].map((name) => ({ name, message: 'Programs replace it: take it from lib/globals.ts.' })),
      ],
      'no-restricted-imports': [
        'error',
        ...['node:timers', 'node:timers/promises', 'node:perf_hooks', 'node:process'].map(
          (name) => ({ name, message: 'Programs replace its parts: see lib/globals.ts.' }),
        ),
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector:
            "MemberExpression[object.name='process'][property.name=/^(nextTick|hrtime|uptime)$/]",
          message: 'Programs replace it: take it from lib/globals.ts.',
        },
        {
          selector:
            ":matches(NewExpression[callee.name='Promise'], MemberExpression[object.name='Promise'])",
          message: 'Programs replace it: use NativePromise of lib/globals.ts.',
        },
      ],
    },
  },
  {
    // Tests hand in wrong types on purpose and make async functions that never wait.
    files: ['test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
)
