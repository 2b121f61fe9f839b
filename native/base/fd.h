// base/fd.h - public to every layer.
//
// UniqueFd owns one file descriptor and closes it exactly once (INV-12). Move-only.
// Any number is a legal descriptor, 0 and 1 included (CL-5); -1 means "none".
// Not thread-safe: the owner decides which thread touches it.
#pragma once

#include <unistd.h>

#include <utility>

namespace netvc {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    // close(2) releases the descriptor even when it reports EINTR on Linux: never retried.
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace netvc
