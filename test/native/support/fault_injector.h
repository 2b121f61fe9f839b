// support/fault_injector.h - for tests.
//
// Faults: the fault injector of the tests, installed while it exists. Three ways, asked in this
// order for every system call of the seam (net/socket_ops.h):
//   script()  the next calls of one kind on one descriptor, one step each
//   always()  every call of one kind on one descriptor, until forget()
//   random()  on every descriptor, one call in n: short transfers, EINTR, EAGAIN, ENOBUFS
// Declare it before the threads that use it, so that it outlives their calls. Any thread. While one
// is installed, a short read on TCP does not mean an empty socket (RD-14): install it only where
// it is needed.
#pragma once

#include <algorithm>
#include <cerrno>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "net/socket_ops.h"
#include "support/random.h"

namespace netvc::test {

/// What happens to one call: let through, fail with an errno, or move at most `limit` bytes.
struct Fault {
  int error = 0;
  size_t limit = SIZE_MAX;
};
inline constexpr Fault kPass{};
inline Fault fail(int error) { return {error, SIZE_MAX}; }
inline Fault at_most(size_t bytes) { return {0, bytes}; }

class Faults final : public FaultInjector {
 public:
  static constexpr int kAnyFd = -1;

  Faults() { sock::set_fault_injector(this); }
  ~Faults() override { sock::set_fault_injector(nullptr); }
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;

  void script(SocketOp op, int fd, std::initializer_list<Fault> steps) {
    std::lock_guard lock(mutex_);
    auto& queue = scripts_[{op, fd}];
    queue.insert(queue.end(), steps);
  }
  void always(SocketOp op, int fd, Fault f) {
    std::lock_guard lock(mutex_);
    always_[{op, fd}] = f;
  }
  void random(uint64_t seed, int64_t one_in) {
    std::lock_guard lock(mutex_);
    random_ = std::make_unique<Random>(seed);
    one_in_ = one_in;
  }
  void forget() {
    std::lock_guard lock(mutex_);
    scripts_.clear();
    always_.clear();
    random_.reset();
  }
  /// Calls that were asked for, injected ones included.
  int calls(SocketOp op, int fd = kAnyFd) {
    std::lock_guard lock(mutex_);
    return calls_[{op, fd}];
  }
  /// Steps of scripts that nobody came to.
  size_t left() {
    std::lock_guard lock(mutex_);
    size_t n = 0;
    for (const auto& [key, steps] : scripts_)
      n += steps.size();
    return n;
  }

  int before(SocketOp op, int fd, size_t* limit) override {
    std::lock_guard lock(mutex_);
    ++calls_[{op, kAnyFd}];
    if (fd != kAnyFd) ++calls_[{op, fd}];
    Fault f;
    if (!next(op, fd, &f) && !next(op, kAnyFd, &f)) f = dice(op);
    *limit = std::min(*limit, std::max<size_t>(1, f.limit));
    return f.error;
  }

 private:
  using Key = std::pair<SocketOp, int>;

  bool next(SocketOp op, int fd, Fault* f) {
    if (auto s = scripts_.find({op, fd}); s != scripts_.end() && !s->second.empty()) {
      *f = s->second.front();
      s->second.pop_front();
      return true;
    }
    if (auto a = always_.find({op, fd}); a != always_.end()) {
      *f = a->second;
      return true;
    }
    return false;
  }
  Fault dice(SocketOp op) {
    if (!random_ || (op != SocketOp::kRead && op != SocketOp::kWrite)) return kPass;
    if (!random_->one_in(one_in_)) return kPass;
    switch (random_->below(4)) {
      case 0:
        return fail(EINTR);
      case 1:
        return fail(ENOBUFS);
      default:
        return at_most(static_cast<size_t>(random_->size(4096)));
    }
  }

  std::mutex mutex_;
  std::map<Key, std::deque<Fault>> scripts_;
  std::map<Key, Fault> always_;
  std::map<Key, int> calls_;
  std::unique_ptr<Random> random_;
  int64_t one_in_ = 1;
};

}  // namespace netvc::test
