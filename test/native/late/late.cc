// Late threads, for `npm run test:late`. A library that is loaded before libc: after a call that
// waits, or that moves bytes, a thread sometimes sleeps. So what one thread does and another has
// not yet seen lasts for milliseconds instead of nanoseconds, and a test that takes what one thread
// knows for what another knows fails at home instead of on a busy machine.
//
// NETVC_LATE=<who>:<us>   who is late: others (all threads but the first), main or all;
//                         us: the longest sleep, in microseconds. Unset: nobody is.
// NETVC_SEED=<n>          what the lengths come from; threads still meet as they like.
#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "support/random.h"

namespace {

struct Settings {
  bool main = false, others = false;
  int64_t most_us = 0;
  uint64_t seed = 0;

  Settings() {
    const char* late = std::getenv("NETVC_LATE");
    const char* colon = late ? std::strchr(late, ':') : nullptr;
    if (!colon) return;
    const auto who = [&](const char* name) {
      return std::strncmp(late, name, static_cast<size_t>(colon - late)) == 0;
    };
    main = who("main") || who("all");
    others = who("others") || who("all");
    most_us = std::strtoll(colon + 1, nullptr, 10);
    if (const char* given = std::getenv("NETVC_SEED")) seed = std::strtoull(given, nullptr, 10);
  }
};

/// One sleep in `seldom` calls, if it is for this thread to be late.
void be_late(int seldom) {
  static const Settings settings;
  static std::atomic<uint64_t> threads{0};  // no partner: only a number each
  thread_local netvc::test::Random random(settings.seed +
                                          threads.fetch_add(1, std::memory_order_relaxed));
  const bool is_main = ::syscall(SYS_gettid) == ::getpid();
  if (settings.most_us <= 0 || !(is_main ? settings.main : settings.others)) return;
  if (random.one_in(seldom))
    std::this_thread::sleep_for(std::chrono::microseconds(random.below(settings.most_us)));
}

/// The same call as libc has it. errno is kept: sleeping may change it.
template <int kSeldom, typename F, typename... Args>
auto then_late(F* real, Args... args) {
  const auto result = real(args...);
  const int error = errno;
  be_late(kSeldom);
  errno = error;
  return result;
}

template <typename F>
F* in_libc(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

#define LATE(seldom, result, name, types, ...)                \
  __attribute__((visibility("default"))) result name types {  \
    static auto* const real = in_libc<decltype(name)>(#name); \
    return then_late<seldom>(real, __VA_ARGS__);              \
  }

extern "C" {

// One call in two that wait, one in four that do something.
LATE(2, int, epoll_wait, (int ep, epoll_event* events, int n, int ms), ep, events, n, ms)
LATE(2, int, epoll_pwait, (int ep, epoll_event* events, int n, int ms, const sigset_t* mask), ep,
     events, n, ms, mask)
LATE(4, ssize_t, readv, (int fd, const iovec* iov, int n), fd, iov, n)
LATE(4, ssize_t, writev, (int fd, const iovec* iov, int n), fd, iov, n)
LATE(4, ssize_t, sendmsg, (int fd, const msghdr* message, int flags), fd, message, flags)
LATE(4, ssize_t, send, (int fd, const void* bytes, size_t n, int flags), fd, bytes, n, flags)
LATE(4, int, accept4, (int fd, sockaddr* peer, socklen_t* length, int flags), fd, peer, length,
     flags)
LATE(4, int, connect, (int fd, const sockaddr* peer, socklen_t length), fd, peer, length)
LATE(4, int, shutdown, (int fd, int how) noexcept, fd, how)

}  // extern "C"
