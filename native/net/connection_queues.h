// net/connection_queues.h - public to the next layers.
//
// ConnectionQueues: the keep-alive and the active queue of one NetHandler (KQ-*; Apache Traffic
// Server's NetHandler): which connections wait for a next request, and which have one. The user
// says so; limits then decide whom to give up: of those that wait, who has waited longest.
//
// An evicted connection is told kInactivityTimeout; whether it ends is its user's choice. A user
// that answers at once and keeps it is asked about the next one. One that answers later
// (JavaScript) has until the next sweep but one; so long the victim counts as gone, or one
// connection too many would cost all of them.
//
// Owner: the handler. Threads: the handler's; a user's code runs inside every adding call, and may
// add, remove and close. Death: closing or moving a connection takes it out.
#pragma once

#include "base/clock.h"
#include "base/intrusive_list.h"
#include "net/net_event.h"
#include "net/timer_queue.h"

namespace netvc {

/// Of one net thread; 0: no limit.
struct QueueLimits {
  int64_t connections = 0;  // in both queues
  int64_t active = 0;       // in the active queue

  /// The share of one of n threads; never 0 for a limit that is there (KQ-1, B-11).
  QueueLimits share(int64_t n) const {
    const auto of = [n](int64_t total) { return total > 0 && total < n ? 1 : total / n; };
    return {of(connections), of(active)};
  }
};

class ConnectionQueues {
 public:
  explicit ConnectionQueues(NetHandler& handler) : handler_(handler), sweep_(&on_sweep, this) {}
  ~ConnectionQueues();

  /// Takes effect at once: what is too much is evicted.
  void set_limits(const QueueLimits& limits);
  const QueueLimits& limits() const { return limits_; }

  /// It waits: to the tail of the keep-alive queue; then the longest waiting are evicted while
  /// there are too many, e itself included (KQ-2). e may be gone after it.
  void add_to_keep_alive(NetEvent& e);
  /// It works: true, and it is in the active queue. When that is full those that are overdue are
  /// evicted, never e; if that does not help: false, and nothing has changed (KQ-3).
  bool add_to_active(NetEvent& e);
  /// From both; no-op when absent.
  void remove(NetEvent& e);

  /// The one that has waited longest, unless somebody is leaving already, whose place it will be.
  /// False when there is neither.
  bool evict_oldest();
  /// Somebody was told to go, and has not answered yet.
  bool somebody_leaves() const { return leaving_[1] + leaving_[2] > 0; }
  size_t keep_alive() const { return keep_alive_.size(); }
  size_t active() const { return active_.size(); }

  static constexpr Nanos kSweepPeriod = kSecond;

 private:
  using List = IntrusiveList<NetEvent, &NetEvent::queue_link>;

  int64_t active_here() const;
  bool too_many() const;
  void trim();
  void evict(NetEvent& e);
  void take_out(NetEvent& e);
  void put(NetEvent& e, Queue queue);
  void count();
  static void on_sweep(void* queues);
  void sweep();

  NetHandler& handler_;
  QueueLimits limits_;
  List keep_alive_, active_;
  // Of these, told to go, by queue: they count as gone.
  int64_t leaving_[3] = {0, 0, 0};
  NetEvent* next_ = nullptr;  // of the walk that is under way
  bool walking_ = false;
  Timer sweep_;
};

}  // namespace netvc
