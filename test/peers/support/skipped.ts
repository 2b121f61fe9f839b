// At the end of a run: one line for each describeWith() that was skipped, since vitest only counts.
import type { Reporter, TestModule } from 'vitest/node'

export default class Skipped implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    for (const module of modules) {
      for (const suite of module.children.suites()) {
        if (suite.name.includes(' is missing; ')) console.log(`skipped: ${suite.name}`)
      }
    }
  }
}
