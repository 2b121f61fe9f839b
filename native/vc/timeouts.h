// vc/timeouts.h - internal to native/vc.
//
// Timeouts: the deadlines of a connection (TO-*, AP-5), made when the first of them is set. What
// upstream's InactivityCop does by walking over all connections once a second, a timer per
// connection does here: it is armed for the earliest deadline and looks, when it fires, whether
// that has moved. Traffic only writes down when it was; nothing that is not due is ever visited.
//
// Delivered at the first check after the deadline, never before it. Checks are rounded up to a
// 32nd of the timeout, from 1 ms to 1 s, so that many connections share one wake-up.
// Owner: the connection. Threads: the connection's.
#pragma once

#include <algorithm>

#include "net/timer_queue.h"
#include "vc/event.h"

namespace netvc {

/// kIdle is not told: it fails the connection with EUNUSED, whatever is enabled (AP-5).
enum class TimeoutKind : uint8_t { kInactivity = 0, kActive = 1, kIdle = 2 };

/// When something that was due at `due` is looked at, for a timeout of `value`.
inline Nanos check_time(Nanos due, Nanos value) {
  const Nanos step = std::clamp(value / 32, kMillisecond, kSecond);
  return (due / step + 1) * step;
}

struct Timeouts {
  struct Clock {
    Nanos value = 0;   // 0: none
    Nanos due = 0;     // 0: not running
    uint32_t tag = 0;  // of whoever set it; comes back with the event
  };

  Timeouts(Timer::Fire fire, void* vc) : timer(fire, vc) {}
  Clock& of(TimeoutKind k) { return clocks[static_cast<size_t>(k)]; }

  Timer timer;
  Clock clocks[3];
};

}  // namespace netvc
