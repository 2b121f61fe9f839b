#include "load/stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cinttypes>
#include <cstring>

#include "support/fatal.h"

namespace netvc::bench {

size_t Stream::Send(const Pattern& pattern) {
  size_t total = 0;
  while (sent_ < queued_) {
    const size_t length = std::min<uint64_t>(queued_ - sent_, Pattern::kMaxRun);
    const ssize_t n = send(fd_, pattern.At(phase_, sent_), length, MSG_NOSIGNAL);
    if (n > 0) {
      sent_ += static_cast<uint64_t>(n);
      total += static_cast<size_t>(n);
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      Broken(std::strerror(errno));
    }
  }
  return total;
}

size_t Stream::Receive(const Pattern& pattern, std::vector<uint8_t>& buffer) {
  const ssize_t n = recv(fd_, buffer.data(), buffer.size(), 0);
  if (n == 0) Broken("closed by the server too early");
  if (n < 0) {
    if (errno != EAGAIN && errno != EINTR) Broken(std::strerror(errno));
    return 0;
  }
  const size_t length = static_cast<size_t>(n);
  const size_t right = pattern.FirstDifference(phase_, received_, buffer.data(), length);
  received_ += right;
  if (right != length) Broken("wrong byte");
  if (received_ > sent_) Broken("more bytes came back than were sent");
  return length;
}

void Stream::Broken(const char* what) const {
  Fatal("connection %" PRIu64 ": %s (sent %" PRIu64 ", verified %" PRIu64 " bytes)", index_, what,
        sent_, received_);
}

}  // namespace netvc::bench
