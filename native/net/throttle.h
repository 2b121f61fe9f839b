// net/throttle.h - public to the next layers.
//
// Throttle: how many sockets may be open, so that the process does not run out of descriptors
// (TH-*). Above the limit connects are refused and accepting waits; accepting a tenth earlier, so
// that a proxy that has taken somebody in can still connect for him. A descriptor near the system's
// limit starts an emergency, which refuses and waits for a while, whatever the count says.
//
// One for the process: process(). Threads: any. Everything is relaxed: a count and some settings
// that order nothing; a limit may be passed by as many as are at it in the same moment.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace netvc {

class Throttle {
 public:
  static Throttle& process();

  /// fd_limit: instead of the process's own (RLIMIT_NOFILE, looked at once a second).
  explicit Throttle(int64_t fd_limit = 0) : fixed_fd_limit_(fd_limit) {}

  /// < 0: as many as descriptors allow, the default; 0: no throttling at all.
  void configure(int64_t connections) { configured_.store(connections, std::memory_order_relaxed); }
  /// Sockets that may be open; 0: any number.
  int64_t limit(Nanos now);

  void opened() { open_.fetch_add(1, std::memory_order_relaxed); }
  void closed() { open_.fetch_sub(1, std::memory_order_relaxed); }
  int64_t open() const { return open_.load(std::memory_order_relaxed); }

  /// No further one may be opened now.
  bool connects(Nanos now);
  bool accepts(Nanos now);
  /// A descriptor that was just made. True: so few are left that it has to be closed at once.
  bool check_fd(int fd, Nanos now);
  bool emergency(Nanos now) const { return now < emergency_.load(std::memory_order_relaxed); }

  static constexpr int64_t kReserve = 192;   // descriptors for everything that is not a socket,
  static constexpr double kReserved = 0.75;  // but not more than this part of a small limit
  static constexpr int64_t kEmergency = 16;  // descriptors below the limit
  static constexpr int64_t kHyper = 6;
  static constexpr double kHeadroom = 1.1;  // of connects over accepts

 private:
  int64_t fd_limit(Nanos now);

  const int64_t fixed_fd_limit_;
  std::atomic<int64_t> configured_{-1};
  std::atomic<int64_t> open_{0};
  std::atomic<int64_t> fd_limit_{0};
  std::atomic<Nanos> looked_{0};     // at the fd limit
  std::atomic<Nanos> emergency_{0};  // until then
};

}  // namespace netvc
