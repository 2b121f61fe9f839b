// base/assert.h - public to every layer.
//
// Three fates for a condition (docs/errors.md):
//   NETVC_ASSERT  a local invariant: checked in debug and sanitizer builds only.
//   NETVC_CHECK   memory safety is at stake: always checked, prints and aborts.
//   anything that the network or the machine can cause is neither: it is handled and tested.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace netvc {

[[noreturn]] inline void check_failed(const char* expr, const char* file, int line) {
  std::fprintf(stderr, "netvc: internal check failed: %s (%s:%d)\n", expr, file, line);
  std::abort();
}

}  // namespace netvc

#define NETVC_CHECK(expr) \
  (static_cast<bool>(expr) ? void(0) : ::netvc::check_failed(#expr, __FILE__, __LINE__))

#ifdef NDEBUG
#define NETVC_ASSERT(expr) (void(0))
#else
#define NETVC_ASSERT(expr) NETVC_CHECK(expr)
#endif
