// net/timer_queue.h - internal to native/net and its users above.
//
// One-shot timers of a net thread: connect deadlines, accept pauses, retries after ENOBUFS,
// lingering closes, timeouts of connections (vc/timeouts.h) and tunnels, whose traffic does not
// touch the queue. Binary heap, O(log n) arm and cancel, nothing allocated once the heap has grown.
// Owner of a Timer: whoever embeds it; it must be cancelled or fired before it dies.
// Threads: the net thread only.
#pragma once

#include <algorithm>
#include <cstddef>

#include "base/assert.h"
#include "base/clock.h"
#include "base/indexed_heap.h"

namespace netvc {

class TimerQueue;

class Timer {
 public:
  using Fire = void (*)(void* context);

  Timer(Fire fire, void* context) : fire_(fire), context_(context) {}
  ~Timer() { NETVC_ASSERT(!armed()); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  bool armed() const { return at_ != kIdle; }
  Nanos when() const { return when_; }

 private:
  friend class TimerQueue;
  static constexpr size_t kIdle = ~size_t{0};
  Fire fire_;
  void* context_;
  Nanos when_ = 0;
  size_t at_ = kIdle;
};

class TimerQueue {
 public:
  static constexpr Nanos kNever = INT64_MAX;
  static constexpr size_t kRun = 1024;

  /// (Re-)arms: fires once at the first run() with now >= when.
  void arm(Timer& t, Nanos when) {
    t.when_ = when;
    heap_.put(t);
  }
  void cancel(Timer& t) { heap_.remove(t); }

  Nanos next() const { return heap_.empty() ? kNever : heap_.first()->when_; }
  size_t size() const { return heap_.size(); }

  /// Fires what is due, but not more than are armed now, since one may re-arm itself for the past,
  /// and not more than kRun, so that ten thousand that are due together do not hold the turn.
  void run(Nanos now) {
    for (size_t budget = std::min(heap_.size(), kRun); budget > 0 && next() <= now; --budget) {
      Timer* t = heap_.first();
      cancel(*t);
      t->fire_(t->context_);  // may destroy t
    }
  }

 private:
  IndexedHeap<Timer, &Timer::when_, &Timer::at_> heap_;
};

}  // namespace netvc
