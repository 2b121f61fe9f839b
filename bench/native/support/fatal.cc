#include "support/fatal.h"

#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "support/json.h"

namespace netvc::bench {

namespace {
const char* json_mode = nullptr;
}

void ReportFatalAsJson(const char* mode) { json_mode = mode; }

void Fatal(const char* format, ...) {
  char reason[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(reason, sizeof reason, format, arguments);
  va_end(arguments);

  std::fprintf(stderr, "FAILED: %s\n", reason);
  if (json_mode != nullptr) {
    const std::string line =
        JsonLine().Field("mode", json_mode).Field("ok", false).Field("error", reason).Finish();
    std::fputs(line.c_str(), stdout);
  }
  std::fflush(nullptr);
  _exit(1);  // other threads may be running: no destructors, no atexit
}

}  // namespace netvc::bench
