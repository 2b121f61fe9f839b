# Builds what users install: one netvc.node with -O3 and two exported symbols.
# Tests, sanitizers and benches are built by CMakeLists.txt; both read native/sources.json, where
# a group "folder" is for every system and "folder/linux" or "folder/kqueue" for one kind of it.
{
  "variables": {
    "poller": "<!(node -p \"process.platform === 'linux' ? 'linux' : 'kqueue'\")",
    "version": "<!(node -p \"require('./package.json').version\")"
  },
  "targets": [{
    "target_name": "netvc",
    "sources": [
      "<!@(node -p \"Object.entries(require('./native/sources.json')).filter(([group]) => !group.includes('/') || group.endsWith('/<(poller)')).flatMap(([, files]) => files.map((file) => 'native/' + file)).join(' ')\")"
    ],
    "include_dirs": ["native", "<!(node -p \"require('node-addon-api').include_dir\")"],
    "defines": [
      "NAPI_VERSION=8",
      "NAPI_DISABLE_CPP_EXCEPTIONS",
      "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS",
      "NODE_ADDON_API_DISABLE_DEPRECATED",
      "NETVC_VERSION=\"<(version)\""
    ],
    # With _FILE_OFFSET_BITS=64 fcntl becomes fcntl64, which old glibc and new musl do not have.
    "defines!": ["_FILE_OFFSET_BITS=64", "_LARGEFILE_SOURCE"],
    "cflags_cc!": ["-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": [
      "-std=c++20",
      "-fno-exceptions",
      "-fno-rtti",
      "-fvisibility=hidden",
      "-fvisibility-inlines-hidden",
      "-ffunction-sections",
      "-fdata-sections"
    ],
    "configurations": {
      "Release": { "cflags_cc": ["-O3"], "defines": ["NDEBUG"] }
    },
    "conditions": [
      ["OS!='mac'", {
        "ldflags": [
          "-Wl,--gc-sections",
          "-Wl,-z,relro",
          "-Wl,--version-script=<(module_root_dir)/native/exports.map"
        ]
      }],
      ["OS=='mac'", {
        "xcode_settings": {
          "CLANG_CXX_LANGUAGE_STANDARD": "c++20",
          "CLANG_CXX_LIBRARY": "libc++",
          "GCC_ENABLE_CPP_EXCEPTIONS": "NO",
          "GCC_ENABLE_CPP_RTTI": "NO",
          "GCC_SYMBOLS_PRIVATE_EXTERN": "YES",
          "GCC_OPTIMIZATION_LEVEL": "3",
          "MACOSX_DEPLOYMENT_TARGET": "11.0"
        }
      }]
    ]
  }]
}
