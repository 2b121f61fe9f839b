// net/net_handler.h - public to the next layers.
//
// NetHandler: one poller, the connections attached to it, and the turn that drives them. It runs
// either on a native net thread (net/net_thread.h) or on a JavaScript thread (inline engine); the
// code is the same.
//
// A turn (NH-1): commands in; poll (without waiting when there is work); record edges; one pass
// over the read list, then over the write list, each only as long as it was at its start (NH-4);
// timers. No user code runs while edges are recorded. What a pass re-queues comes in the next turn.
//
// Threads: post() and wake() from any thread; everything else on the handler's thread.
// Ownership: connections are linked, not owned; a posted task is owned from post() until it ran.
// Death: shut_down() releases what is attached, retire() ends the mailbox. Any thread may still
// hold a handle of a connection that was here and post to its last home, so handlers that serve
// more than one thread come from NetHandler::lend() and are used again, never freed.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "base/counter.h"
#include "base/intrusive_list.h"
#include "base/mpsc_list.h"
#include "net/closed_log.h"
#include "net/connection_queues.h"
#include "net/net_event.h"
#include "net/timer_queue.h"
#include "poll/poller.h"

namespace netvc {

/// A command for the handler's thread.
class Task {
 public:
  virtual ~Task() = default;
  virtual void run(NetHandler& handler) = 0;
  /// It has run, or never will; a task that is part of something else does nothing here.
  virtual void release() { delete this; }
  /// For a task that may end, with what it is part of, when it runs.
  virtual void run_and_release(NetHandler& handler) {
    run(handler);
    release();
  }
  std::atomic<Task*> mpsc_next{nullptr};
};

template <class F>
class FunctionTask final : public Task {
 public:
  explicit FunctionTask(F f) : f_(std::move(f)) {}
  void run(NetHandler& handler) override { f_(handler); }

 private:
  F f_;
};

/// Something that wants to act once at the end of the turn in which it asked.
class TurnEndHook {
 public:
  virtual void on_turn_end() = 0;
  Link<TurnEndHook> turn_end_link;

 protected:
  ~TurnEndHook() = default;
};

/// Written by the handler's thread, readable from any.
struct NetCounters {
  Counter turns, poll_events;
  Counter read_calls, read_no_data, read_bytes;
  Counter write_calls, write_no_room, write_bytes;
  Counter accept_throttled;  // times that accepting waited for net/throttle.h
  Counter accept_rescued;    // peers that were closed since there was no descriptor for them
  Counter connect_throttled;
  Counter accepted, accept_errors, connects, connect_failures, closed;
  Counter open;                // attached connections
  Counter lingering;           // of these, closed by their users, and not through
  Counter events;              // told to continuations
  Counter keep_alive, active;  // connections in these queues
  Counter evictable;           // that could be evicted when somebody else needs their place
  Counter leaving;             // told to go, and still there
  Counter keep_alive_evicted, active_evicted;
  Counter keep_alive_idle;  // nanoseconds that the evicted ones had waited, summed

  void reset() {
    for (Counter* c : {&turns,
                       &poll_events,
                       &read_calls,
                       &read_no_data,
                       &read_bytes,
                       &write_calls,
                       &write_no_room,
                       &write_bytes,
                       &accepted,
                       &accept_errors,
                       &connects,
                       &connect_failures,
                       &closed,
                       &open,
                       &lingering,
                       &events,
                       &keep_alive,
                       &active,
                       &evictable,
                       &leaving,
                       &accept_throttled,
                       &accept_rescued,
                       &connect_throttled,
                       &keep_alive_evicted,
                       &active_evicted,
                       &keep_alive_idle})
      c->reset();
  }
};

class NetHandler {
 public:
  NetHandler() = default;
  ~NetHandler();
  NetHandler(const NetHandler&) = delete;
  NetHandler& operator=(const NetHandler&) = delete;

  /// 0 or an errno value.
  int open();

  /// One turn; waits at most max_wait (0: not at all, kForever) when there is nothing to do.
  static constexpr Nanos kForever = INT64_MAX;
  void turn(Nanos max_wait);
  /// One pass over the write list alone: the inline engine's "end of batch" (auto-cork).
  void run_writes() { run_list(write_ready_); }
  /// A turn without waiting would find something to do.
  bool has_work() const {
    return !read_ready_.empty() || !write_ready_.empty() || !mailbox_.empty();
  }
  /// When the next timer is due (TimerQueue::kNever: none).
  Nanos next_timer() const { return timers.next(); }

  /// Any thread, wait-free but for the wake-up of a sleeping thread. False when the handler has
  /// retired: then every connection that it had is closed, and the task is still the caller's.
  [[nodiscard]] bool post_task(Task* task);
  /// The same; a task that can not run is dropped.
  template <class F>
  bool post(F f) {
    auto* task = new FunctionTask<F>(std::move(f));
    if (post_task(task)) return true;
    delete task;
    return false;
  }
  /// Any thread.
  void wake() { poller_->wake(); }
  /// Readable when a turn has something to do (inline engine).
  int nested_fd() const { return poller_->nested_fd(); }

  bool in_thread() const {
    return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }
  /// The calling thread drives this handler from now on.
  void bind_to_this_thread() {
    thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  }

  /// Registers the descriptor (edge-triggered; -1: it has none) and links it; 0 or an errno value.
  int attach(NetEvent& e, int fd, Interest interest = Interest::kStream);
  /// Leaves the poller (when fd >= 0) and every list.
  void detach(NetEvent& e, int fd);

  /// (enabled and triggered) ? in the ready list, at the tail when new : not in it (RD-13).
  void reschedule(Direction& d);
  void unschedule(Direction& d) { list_of(d).remove(d); }

  /// Attached connections and listeners.
  size_t open_count() const { return open_list_.size(); }
  NetEvent* first_open() const { return open_list_.front(); }
  static NetEvent* next_open(const NetEvent& e) { return decltype(open_list_)::next(e); }
  bool is_scheduled(const Direction& d) const { return decltype(read_ready_)::contains(d); }

  /// Calls hook.on_turn_end() once, when this turn is over (or at the next, between turns).
  void at_turn_end(TurnEndHook& hook) { turn_end_.push_back(hook); }
  void cancel_turn_end(TurnEndHook& hook) { turn_end_.remove(hook); }

  /// e may hold memory that it can give back once its user has caught up: asks e.settle() now and
  /// then until it answers true.
  void settle_later(NetEvent& e);

  /// Which of its owner's handlers this is.
  int index = 0;
  /// Names the thread for VersionedPool::peek; the inline engine puts in its env.
  const void* owner = this;

  /// Releases every attached connection; tasks posted later still run in turns.
  void shut_down();
  /// After shut_down(): nothing can be posted any more, and what was posted has run.
  void retire();

  struct Return {
    void operator()(NetHandler* h) const;
  };
  using Lent = std::unique_ptr<NetHandler, Return>;
  /// Any thread. A handler that was never opened, or has retired; goes back when it is dropped.
  static Lent lend();

  /// A connection that has been there for a while has moved bytes.
  void was_busy() {
    ++busy_;
    last_busy_ = now();
  }
  /// How often that was, and when last: work that should not wait for newcomers (AC-7).
  uint64_t busy() const { return busy_; }
  /// This turn's poll had nothing to say: there is time to spare.
  bool quiet_turn() const { return quiet_turn_; }
  Nanos last_busy() const { return last_busy_; }

  /// Monotonic time, in a turn read once: good enough for what happens in it. Between turns, which
  /// can be far apart on the inline engine, it is the time now.
  Nanos now() const { return in_turn_ ? now_ : monotonic_now(); }

  TimerQueue timers;
  NetCounters counters;
  ConnectionQueues queues{*this};
  ClosedLog closed_log;

 private:
  using ReadyList = IntrusiveList<Direction, &Direction::ready_link>;

  ReadyList& list_of(Direction& d) { return d.side == Side::kRead ? read_ready_ : write_ready_; }
  void run_list(ReadyList& list);
  void run_mailbox();
  void run_turn_end();
  bool prepare_to_sleep();
  static void on_settle_timer(void* handler);
  static constexpr Nanos kSettlePeriod = 200 * kMillisecond;

  std::unique_ptr<Poller> poller_;
  MpscList<Task> mailbox_;
  // The gate of the mailbox. A poster counts itself, then looks at retired_; retire() sets that,
  // then waits for the count: all four seq_cst.
  std::atomic<int> posters_{0};
  std::atomic<bool> retired_{false};
  // True while the thread is in, or about to enter, a wait that only the wake-up ends. Set and
  // tested against the mailbox by prepare_to_sleep() and post(); all four accesses are seq_cst.
  std::atomic<bool> sleeping_{false};
  ReadyList read_ready_;
  ReadyList write_ready_;
  IntrusiveList<NetEvent, &NetEvent::open_link> open_list_;
  IntrusiveList<NetEvent, &NetEvent::settle_link> settle_list_;
  IntrusiveList<TurnEndHook, &TurnEndHook::turn_end_link> turn_end_;
  Timer settle_timer_{&on_settle_timer, this};
  std::atomic<std::thread::id> thread_{};  // orders nothing: a thread only looks for itself
  Nanos now_ = 0;
  bool in_turn_ = false;  // now_ is of this turn
  uint64_t busy_ = 0;
  bool quiet_turn_ = false;
  Nanos last_busy_ = 0;
};

}  // namespace netvc
