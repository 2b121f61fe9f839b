// support/fatal.h - how a bench program ends when its numbers cannot be trusted.
#pragma once

namespace netvc::bench {

// Prints the reason to stderr, and for the generator also as the one JSON line
// {"ok":false,...} on stdout, then exits with status 1. A run with a wrong byte
// has no result, so there is nothing to unwind to.
[[noreturn]] void Fatal(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Turns the JSON line on (the generator does, the servers do not).
void ReportFatalAsJson(const char* mode);

}  // namespace netvc::bench
