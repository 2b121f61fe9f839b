#include "net/connection_queues.h"

#include "net/net_handler.h"

namespace netvc {

namespace {

constexpr uint8_t kSweepsToAnswer = 2;

}  // namespace

ConnectionQueues::~ConnectionQueues() { handler_.timers.cancel(sweep_); }

int64_t ConnectionQueues::active_here() const {
  return static_cast<int64_t>(active_.size()) - leaving_[static_cast<size_t>(Queue::kActive)];
}

bool ConnectionQueues::too_many() const {
  const int64_t waiting =
      static_cast<int64_t>(keep_alive_.size()) - leaving_[static_cast<size_t>(Queue::kKeepAlive)];
  return limits_.connections > 0 && active_here() + waiting > limits_.connections;
}

void ConnectionQueues::set_limits(const QueueLimits& limits) {
  limits_ = limits;
  trim();
}

// Out of its queue; a walk that stands in front of it goes on behind it.
void ConnectionQueues::take_out(NetEvent& e) {
  if (e.queue == Queue::kNone) return;
  if (next_ == &e) next_ = List::next(e);
  if (e.evicting > 0) --leaving_[static_cast<size_t>(e.queue)];
  e.evicting = 0;
  (e.queue == Queue::kActive ? active_ : keep_alive_).remove(e);
  e.queue = Queue::kNone;
}

void ConnectionQueues::put(NetEvent& e, Queue queue) {
  take_out(e);
  (queue == Queue::kActive ? active_ : keep_alive_).push_back(e);
  e.queue = queue;
  count();
}

void ConnectionQueues::remove(NetEvent& e) {
  if (e.queue == Queue::kNone) return;
  take_out(e);
  count();
}

// For those who look from other threads.
void ConnectionQueues::count() {
  NetCounters& c = handler_.counters;
  c.keep_alive.set(static_cast<int64_t>(keep_alive_.size()));
  c.active.set(static_cast<int64_t>(active_.size()));
  c.evictable.set(static_cast<int64_t>(keep_alive_.size()) -
                  leaving_[static_cast<size_t>(Queue::kKeepAlive)]);
  c.leaving.set(leaving_[1] + leaving_[2]);
  if (keep_alive_.empty() && active_.empty()) handler_.timers.cancel(sweep_);
}

void ConnectionQueues::add_to_keep_alive(NetEvent& e) {
  put(e, Queue::kKeepAlive);
  trim();
}

bool ConnectionQueues::add_to_active(NetEvent& e) {
  const bool was_in = e.queue == Queue::kActive && e.evicting == 0;
  const auto room = [this] { return limits_.active <= 0 || active_here() < limits_.active; };
  if (!was_in && !room()) {
    if (walking_) return false;  // from the handler of a victim: the walk goes on by itself
    const Nanos now = monotonic_now();
    walking_ = true;
    for (next_ = active_.front(); next_ && !room();) {
      NetEvent& victim = *next_;
      next_ = List::next(victim);
      if (&victim != &e && victim.evicting == 0 && victim.overdue(now)) evict(victim);
    }
    next_ = nullptr;
    walking_ = false;
    if (!room()) return false;
  }
  put(e, Queue::kActive);
  trim();
  return true;
}

void ConnectionQueues::trim() {
  if (walking_) return;
  walking_ = true;
  for (next_ = keep_alive_.front(); next_ && too_many();) {
    NetEvent& victim = *next_;
    next_ = List::next(victim);
    if (victim.evicting == 0) evict(victim);
  }
  next_ = nullptr;
  walking_ = false;
}

bool ConnectionQueues::evict_oldest() {
  if (somebody_leaves()) return true;
  if (walking_) return false;
  NetEvent* e = keep_alive_.front();
  if (e) evict(*e);
  return e != nullptr;
}

// KQ-4, KQ-6
void ConnectionQueues::evict(NetEvent& e) {
  NetCounters& c = handler_.counters;
  if (e.queue == Queue::kKeepAlive) {
    c.keep_alive_evicted.add();
    c.keep_alive_idle.add(monotonic_now() - e.idle_since());
  } else {
    c.active_evicted.add();
  }
  e.evicting = kSweepsToAnswer;
  ++leaving_[static_cast<size_t>(e.queue)];
  count();
  switch (e.evict()) {
    case Evicted::kGone:
      break;
    case Evicted::kAsked:
      if (!sweep_.armed()) handler_.timers.arm(sweep_, monotonic_now() + kSweepPeriod);
      break;
    case Evicted::kStays:
      if (e.evicting == 0) break;  // it was put anew
      e.evicting = 0;
      --leaving_[static_cast<size_t>(e.queue)];
      count();
  }
}

void ConnectionQueues::on_sweep(void* q) { static_cast<ConnectionQueues*>(q)->sweep(); }

// KQ-5. Overdue ones need nobody to look for them: each has a timer (vc/timeouts.h). What is left
// are victims that stayed.
void ConnectionQueues::sweep() {
  for (List* list : {&keep_alive_, &active_}) {
    for (NetEvent* e = list->front(); e; e = List::next(*e)) {
      if (e->evicting == 0 || --e->evicting > 0) continue;
      --leaving_[static_cast<size_t>(e->queue)];
    }
  }
  count();
  trim();
  const bool asked = leaving_[1] + leaving_[2] > 0;
  if (asked && !sweep_.armed()) handler_.timers.arm(sweep_, monotonic_now() + kSweepPeriod);
}

}  // namespace netvc
