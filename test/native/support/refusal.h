// support/refusal.h - for tests.
//
// What this system says to this process when it asks for an option: a control, so that a test that
// needs a privilege or a new kernel knows which answer is right.
#pragma once

#include <sys/socket.h>

#include <cerrno>

#include "base/fd.h"

namespace netvc::test {

/// The errno with which an option is refused on a plain socket; 0 if it is not.
inline int refusal(int family, int level, int name, int value = 1) {
  const UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  return ::setsockopt(fd.get(), level, name, &value, sizeof value) == 0 ? 0 : errno;
}

}  // namespace netvc::test
