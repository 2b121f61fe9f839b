// load/stream.h - one verified connection of the generator: a position in the
// pattern for what is sent, another for what comes back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/pattern.h"

namespace netvc::bench {

class Stream {
 public:
  Stream(int fd, uint64_t index) : fd_(fd), index_(index), phase_(Pattern::PhaseOf(index)) {}

  int fd() const { return fd_; }
  uint32_t phase() const { return phase_; }
  uint64_t sent() const { return sent_; }
  uint64_t queued() const { return queued_; }
  uint64_t received() const { return received_; }
  bool Drained() const { return received_ == queued_; }

  void Queue(uint64_t bytes) { queued_ += bytes; }

  // Writes queued bytes until they are out or the socket is full. Returns how many.
  size_t Send(const Pattern& pattern);

  // One read of at most `buffer.size()`, compared with the pattern. Returns the
  // bytes read, 0 when there are none now. Fatal on a difference, on more bytes
  // than were sent, on an error and on the end of the stream.
  size_t Receive(const Pattern& pattern, std::vector<uint8_t>& buffer);

  // Fatal: `what` went wrong at this point of this connection.
  [[noreturn]] void Broken(const char* what) const;

 private:
  int fd_;
  uint64_t index_;
  uint32_t phase_;
  uint64_t queued_ = 0;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
};

}  // namespace netvc::bench
