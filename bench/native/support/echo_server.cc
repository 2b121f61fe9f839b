#include "support/echo_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "support/fatal.h"
#include "support/sockets.h"

namespace netvc::bench {

namespace {

constexpr size_t kBufferSize = 64 * 1024;
constexpr int kMaxEvents = 256;
constexpr uint32_t kEdges = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;

void Watch(int epoll, int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
    Fatal("epoll_ctl: %s", std::strerror(errno));
  }
}

}  // namespace

EchoServer::EchoServer(uint16_t port)
    : listener_(ListenLoopback(port)), epoll_(epoll_create1(EPOLL_CLOEXEC)), buffer_(kBufferSize) {
  Watch(epoll_, listener_, EPOLLIN | EPOLLET);
}

EchoServer::~EchoServer() {
  close(epoll_);
  close(listener_);
}

void EchoServer::Turn(int timeout_ms) {
  epoll_event events[kMaxEvents];
  const int count = epoll_wait(epoll_, events, kMaxEvents, timeout_ms);
  for (int i = 0; i < count; ++i) {
    // A descriptor occurs once per batch and only its own event closes it, so no
    // event here can belong to a predecessor of a reused number.
    if (events[i].data.fd == listener_) {
      AcceptAll();
    } else {
      Serve(events[i].data.fd, events[i].events);
    }
  }
}

void EchoServer::AcceptAll() {
  for (int fd; (fd = AcceptOne(listener_)) >= 0;)
    Watch(epoll_, fd, kEdges);
}

void EchoServer::Serve(int fd, uint32_t events) {
  if (!kept_.empty() && !SendKept(fd)) return;
  const bool ending = (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
  for (;;) {
    const ssize_t n = recv(fd, buffer_.data(), kBufferSize, 0);
    if (n > 0) {
      if (!Send(fd, buffer_.data(), static_cast<size_t>(n))) return;
      // A short read emptied the socket; what comes later makes a new edge.
      if (static_cast<size_t>(n) < kBufferSize && !ending) return;
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else if (n < 0 && errno == EAGAIN) {
      return;
    } else {
      return Drop(fd);  // end of stream with everything echoed, or an error
    }
  }
}

bool EchoServer::SendKept(int fd) {
  const auto entry = kept_.find(fd);
  if (entry == kept_.end()) return true;
  const std::string rest = std::move(entry->second);
  kept_.erase(entry);
  return Send(fd, rest.data(), rest.size());
}

bool EchoServer::Send(int fd, const char* data, size_t length) {
  while (length > 0) {
    const ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return true;  // the next recv reports it and drops
    if (n < 0) {
      kept_[fd].assign(data, length);
      return false;
    }
    data += n;
    length -= static_cast<size_t>(n);
  }
  return true;
}

void EchoServer::Drop(int fd) {
  kept_.erase(fd);
  close(fd);
}

}  // namespace netvc::bench
