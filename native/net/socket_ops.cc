#include "net/socket_ops.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>

namespace netvc::sock {

namespace {

std::atomic<FaultInjector*> g_injector{nullptr};

// Runs call(limit) until it is not interrupted; asks the injector before each attempt.
template <class Call>
auto guarded(SocketOp op, int fd, Call call) -> decltype(call(SIZE_MAX)) {
  for (;;) {
    size_t limit = SIZE_MAX;
    // acquire: pairs with the release in set_fault_injector.
    if (FaultInjector* injector = g_injector.load(std::memory_order_acquire)) [[unlikely]] {
      const int error = injector->before(op, fd, &limit);
      if (error == EINTR) continue;
      if (error) return -error;
    }
    const auto r = call(limit);
    if (r >= 0) return r;
    if (errno != EINTR) return -errno;
  }
}

constexpr int kMaxPieces = 1024;  // IOV_MAX on Linux

// A copy of iov that holds at most limit bytes; only a fault injector ever needs one.
int shorten(const iovec* iov, int count, size_t limit, iovec* out) {
  int n = 0;
  for (; n < count && n < kMaxPieces && limit > 0; ++n) {
    out[n] = {iov[n].iov_base, std::min(iov[n].iov_len, limit)};
    limit -= out[n].iov_len;
  }
  return n;
}

template <class Call>
ssize_t transfer(SocketOp op, int fd, const iovec* iov, int count, Call call) {
  return guarded(op, fd, [&](size_t limit) -> ssize_t {
    if (limit == SIZE_MAX) [[likely]]
      return call(iov, count);
    iovec less[kMaxPieces];
    return call(less, shorten(iov, count, limit, less));
  });
}

ssize_t send_message(int fd, const iovec* iov, int count, int flags, const Address* to) {
  msghdr m{};
  m.msg_iov = const_cast<iovec*>(iov);
  m.msg_iovlen = static_cast<size_t>(count);
  if (to) {
    m.msg_name = const_cast<sockaddr*>(to->sa());
    m.msg_namelen = to->len();
  }
  return ::sendmsg(fd, &m, flags | MSG_NOSIGNAL);
}

}  // namespace

void set_fault_injector(FaultInjector* injector) {
  g_injector.store(injector, std::memory_order_release);
}
bool has_fault_injector() { return g_injector.load(std::memory_order_relaxed) != nullptr; }

ssize_t read(int fd, const iovec* iov, int count) {
  return transfer(SocketOp::kRead, fd, iov, count, [fd](const iovec* v, int n) {
    return n == 1 ? ::read(fd, v->iov_base, v->iov_len) : ::readv(fd, v, n);
  });
}

ssize_t write(int fd, const iovec* iov, int count, bool is_socket) {
  return transfer(SocketOp::kWrite, fd, iov, count, [=](const iovec* v, int n) {
    if (!is_socket) return ::writev(fd, v, n);
    return n == 1 ? ::send(fd, v->iov_base, v->iov_len, MSG_NOSIGNAL)
                  : send_message(fd, v, n, 0, nullptr);
  });
}

ssize_t send_oob(int fd, const iovec& bytes) {
  return transfer(SocketOp::kSendOob, fd, &bytes, 1, [fd](const iovec* v, int) {
    return ::send(fd, v->iov_base, v->iov_len, MSG_OOB | MSG_NOSIGNAL);
  });
}

ssize_t fast_open_write(int fd, const iovec* iov, int count, const Address& to) {
  return transfer(SocketOp::kWrite, fd, iov, count, [&](const iovec* v, int n) -> ssize_t {
#ifdef MSG_FASTOPEN
    return send_message(fd, v, n, MSG_FASTOPEN, &to);
#else
    errno = EOPNOTSUPP;
    (void)v, (void)n, (void)to;
    return -1;
#endif
  });
}

int accept(int fd, Address* peer) {
  sockaddr_storage ss{};
  socklen_t len = sizeof ss;
  const int r = guarded(SocketOp::kAccept, fd, [&](size_t) {
    len = sizeof ss;
    return ::accept4(fd, reinterpret_cast<sockaddr*>(&ss), &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
  });
  if (r >= 0) *peer = Address::from_sockaddr(reinterpret_cast<sockaddr*>(&ss), len);
  return r;
}

int connect(int fd, const Address& to) {
  // An interrupted connect goes on by itself: repeating it answers EALREADY, which is "in
  // progress".
  const int r =
      guarded(SocketOp::kConnect, fd, [&](size_t) { return ::connect(fd, to.sa(), to.len()); });
  return r == -EALREADY ? -EINPROGRESS : r == -EISCONN ? 0 : r;
}

int stream_socket(int family) {
  return guarded(SocketOp::kSocket, -1, [&](size_t) {
    return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  });
}

int set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL, 0);
  if (flags < 0) return -errno;
  if (!(flags & O_NONBLOCK) && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) return -errno;
  return ::fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : 0;
}

int set_int_option(int fd, int level, int name, int value) {
  return guarded(SocketOp::kSetOption, fd,
                 [&](size_t) { return ::setsockopt(fd, level, name, &value, sizeof value); });
}

int take_error(int fd) {
  int error = 0;
  socklen_t len = sizeof error;
  return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 ? error : 0;
}

bool readable(int fd) {
  pollfd p{fd, POLLIN, 0};
  return ::poll(&p, 1, 0) > 0;
}

int socket_type(int fd) {
  int type = 0;
  socklen_t len = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 ? type : 0;
}

bool is_listening(int fd) {
  int on = 0;
  socklen_t len = sizeof on;
  return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on != 0;
}

}  // namespace netvc::sock
