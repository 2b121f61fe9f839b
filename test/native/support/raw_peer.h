// support/raw_peer.h - for tests.
//
// Plain sockets to test against: pairs of connected descriptors (TCP over loopback, unix), and
// RawPeer, a scriptable end that does exactly what it is told with system calls. Never blocks for
// longer than a bound.
#pragma once

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <string_view>
#include <utility>

#include <doctest/doctest.h>

#include "base/clock.h"
#include "base/fd.h"
#include "net/address.h"

namespace netvc::test {

enum class Family { kTcp4, kTcp6, kUnix };

inline std::string name_of(Family f) {
  return f == Family::kTcp4 ? "tcp4" : f == Family::kTcp6 ? "tcp6" : "unix";
}

inline Address loopback(Family f, uint16_t port = 0) {
  Address a;
  REQUIRE(Address::from_ip(f == Family::kTcp6 ? "::1" : "127.0.0.1", port, &a));
  return a;
}

inline bool wait_fd(int fd, short events, int ms = 2000) {
  pollfd p{fd, events, 0};
  return ::poll(&p, 1, ms) == 1;
}

struct FdPair {
  UniqueFd a;
  UniqueFd b;
};

/// Two connected, non-blocking, close-on-exec stream sockets.
inline FdPair fd_pair(Family f) {
  if (f == Family::kUnix) {
    int fds[2];
    REQUIRE_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    return {UniqueFd(fds[0]), UniqueFd(fds[1])};
  }
  Address at = loopback(f);
  UniqueFd listener(::socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE_EQ(::bind(listener.get(), at.sa(), at.len()), 0);
  REQUIRE_EQ(::listen(listener.get(), 1), 0);
  REQUIRE(Address::local_of(listener.get(), &at));
  UniqueFd a(::socket(at.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE_EQ(::connect(a.get(), at.sa(), at.len()), 0);
  UniqueFd b(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  REQUIRE(b.valid());
  ::fcntl(a.get(), F_SETFL, O_NONBLOCK);
  for (int fd : {a.get(), b.get()}) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  return {std::move(a), std::move(b)};
}

inline void shrink_buffers(int fd, int bytes = 4096) {
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

class RawPeer {
 public:
  RawPeer() = default;
  explicit RawPeer(UniqueFd fd) : fd_(std::move(fd)) {}
  int fd() const { return fd_.get(); }

  void send(const std::string& s) {
    size_t at = 0;
    while (at < s.size()) {
      const ssize_t n = ::send(fd(), s.data() + at, s.size() - at, MSG_NOSIGNAL);
      if (n > 0) {
        at += static_cast<size_t>(n);
      } else {
        REQUIRE_EQ(errno, EAGAIN);
        REQUIRE(wait_fd(fd(), POLLOUT));
      }
    }
  }
  /// What the kernel takes now; 0 when it is full, or the peer has gone.
  size_t send_some(std::string_view s) {
    const ssize_t n = ::send(fd(), s.data(), s.size(), MSG_NOSIGNAL);
    return n > 0 ? static_cast<size_t>(n) : 0;
  }
  /// What is there now, at most n bytes; never waits.
  std::string take(size_t n = 1 << 20) {
    std::string s(n, '\0');
    const ssize_t r = ::recv(fd(), s.data(), n, 0);
    last_ = r < 0 ? -errno : r;
    s.resize(r > 0 ? static_cast<size_t>(r) : 0);
    return s;
  }
  /// Exactly n bytes, waiting for them.
  std::string receive(size_t n) {
    std::string s;
    while (s.size() < n) {
      REQUIRE(wait_fd(fd(), POLLIN));
      s += take(n - s.size());
      REQUIRE_GT(last_, 0);
    }
    return s;
  }
  /// Everything until the end of the stream.
  std::string receive_all() {
    std::string s;
    for (;;) {
      REQUIRE(wait_fd(fd(), POLLIN));
      s += take();
      if (last_ <= 0) return s;
    }
  }
  /// The result of the last recv: a count, 0 at the end, or -errno.
  ssize_t last() const { return last_; }
  bool at_end() { return take(1).empty() && last_ == 0; }
  void shutdown(int how) { ::shutdown(fd(), how); }
  void close() { fd_.reset(); }
  /// Closes with RST (TCP).
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    fd_.reset();
  }
  UniqueFd release() { return std::move(fd_); }

 private:
  UniqueFd fd_;
  ssize_t last_ = 1;
};

}  // namespace netvc::test
