#include "support/sink_server.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstring>

#include "support/fatal.h"
#include "support/sockets.h"

namespace netvc::bench {

namespace {
constexpr size_t kBufferSize = 256 * 1024;
constexpr int kMaxEvents = 16;
}  // namespace

SinkServer::SinkServer(uint16_t port, const Pattern& pattern)
    : pattern_(pattern),
      listener_(ListenLoopback(port)),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      buffer_(kBufferSize) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = listener_;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
}

SinkServer::~SinkServer() {
  for (const auto& [fd, stream] : streams_)
    close(fd);
  close(epoll_);
  close(listener_);
}

void SinkServer::Turn(int timeout_ms) {
  epoll_event events[kMaxEvents];
  const int count = epoll_wait(epoll_, events, kMaxEvents, timeout_ms);
  for (int i = 0; i < count; ++i) {
    if (events[i].data.fd == listener_) {
      AcceptAll();
    } else {
      Serve(events[i].data.fd);
    }
  }
}

void SinkServer::AcceptAll() {
  for (int fd; (fd = AcceptOne(listener_)) >= 0;) {
    streams_[fd];
    epoll_event event{};
    event.events = EPOLLIN;  // level-triggered: one read per turn keeps the streams even
    event.data.fd = fd;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }
}

void SinkServer::Serve(int fd) {
  Stream& stream = streams_[fd];
  const ssize_t n = recv(fd, buffer_.data(), kBufferSize, 0);
  if (n > 0) {
    Consume(stream, buffer_.data(), static_cast<size_t>(n));
  } else if (n == 0) {
    Finish(fd, stream);
  } else if (errno != EAGAIN && errno != EINTR) {
    Fatal("backend: stream broke after %" PRIu64 " bytes: %s", stream.position,
          std::strerror(errno));
  }
}

void SinkServer::Consume(Stream& stream, const uint8_t* data, size_t length) {
  if (stream.header_bytes < sizeof stream.header) {
    const size_t part = std::min(length, sizeof stream.header - stream.header_bytes);
    std::memcpy(reinterpret_cast<uint8_t*>(&stream.header) + stream.header_bytes, data, part);
    stream.header_bytes += part;
    data += part;
    length -= part;
    if (stream.header_bytes < sizeof stream.header) return;
    if (stream.header.magic != SinkHeader::kMagic) Fatal("backend: wrong stream header");
  }
  const size_t right = pattern_.FirstDifference(stream.header.phase, stream.position, data, length);
  if (right != length) {
    Fatal("backend: wrong byte at position %" PRIu64 " of stream %u", stream.position + right,
          stream.header.phase);
  }
  stream.position += length;
  bytes_ += length;
}

void SinkServer::Finish(int fd, const Stream& stream) {
  const uint64_t total = stream.position;
  if (send(fd, &total, sizeof total, MSG_NOSIGNAL) != sizeof total) {
    Fatal("backend: cannot answer a half-closed stream: %s", std::strerror(errno));
  }
  close(fd);
  streams_.erase(fd);
}

}  // namespace netvc::bench
