#include "vc/timeouts.h"

#include "vc/net_vconnection.h"
#include "vc/pair_end.h"

namespace netvc {

namespace {

constexpr Nanos kAskAgain = 10 * kMillisecond;  // for a continuation that takes nothing now (TO-12)

}  // namespace

void NetVConnection::set_timeout(TimeoutKind kind, Nanos t, uint32_t tag) {
  if (closed_now() || (!timeouts_ && t <= 0)) return;
  if (!timeouts_) timeouts_ = std::make_unique<Timeouts>(&on_timeout, this);
  const Nanos value = std::max<Nanos>(t, 0);
  timeouts_->of(kind) = {value, value > 0 ? monotonic_now() + value : 0, tag};
  arm_timeouts();
}

void NetVConnection::suspend_timeouts() {
  if (!timeouts_) return;
  timeouts_->of(TimeoutKind::kInactivity).due = 0;
  timeouts_->of(TimeoutKind::kActive).due = 0;
}

Nanos NetVConnection::get_timeout(TimeoutKind kind) const {
  return timeouts_ ? timeouts_->of(kind).value : 0;
}

uint32_t NetVConnection::timeout_tag(TimeoutKind kind) const {
  return timeouts_ ? timeouts_->of(kind).tag : 0;
}

// For the earliest one, unless the timer looks sooner anyway.
void NetVConnection::arm_timeouts() {
  if (!timeouts_ || !handler || closed_now()) return;
  Nanos next = 0;
  for (const Timeouts::Clock& c : timeouts_->clocks) {
    if (c.due == 0) continue;
    const Nanos at = check_time(c.due, c.value);
    if (next == 0 || at < next) next = at;
  }
  if (next == 0) return;  // an idle timer is left alone: it finds nothing due
  Timer& timer = timeouts_->timer;
  if (!timer.armed() || timer.when() > next) handler->timers.arm(timer, next);
}

// TO-6
void NetVConnection::timeouts_moved() {
  last_activity_ = monotonic_now();  // not the time of the turn: it must never be early
  Timeouts::Clock& c = timeouts_->of(TimeoutKind::kInactivity);
  if (c.value == 0 || c.due != 0) return;
  c.due = last_activity_ + c.value;
  arm_timeouts();
}

// TO-7, RE-1: nothing enabled stops the clock, enabling starts one that has stopped. That of a pair
// runs whatever is enabled (PV-24).
void NetVConnection::timeouts_interest(bool enabled) {
  if (pair_) return;
  Timeouts::Clock& c = timeouts_->of(TimeoutKind::kInactivity);
  if (!enabled) {
    if (!read.enabled && !write.enabled) c.due = 0;
  } else if (c.value != 0 && c.due == 0) {
    c.due = monotonic_now() + c.value;
    arm_timeouts();
  }
}

void NetVConnection::on_timeout(void* p) {
  auto* vc = static_cast<NetVConnection*>(p);
  if (vc->closed_now()) return;
  const Nanos now = monotonic_now();
  Timeouts::Clock& inactivity = vc->timeouts_->of(TimeoutKind::kInactivity);
  Timeouts::Clock& active = vc->timeouts_->of(TimeoutKind::kActive);
  if (vc->pair_) vc->last_activity_ = std::max(vc->last_activity_, vc->pair_->moved_at());
  if (inactivity.due != 0)
    inactivity.due = std::max(inactivity.due, vc->last_activity_ + inactivity.value);

  Timeouts::Clock& idle = vc->timeouts_->of(TimeoutKind::kIdle);
  if (idle.due != 0) {
    idle.due = std::max(idle.due, vc->last_activity_ + idle.value);
    if (now > idle.due) {
      idle = {};
      set_failed(pool().address(vc->id_), EUNUSED, {});
    }
  }

  // Both due: inactivity first, the other one at the next check (TO-5).
  Timeouts::Clock* due = nullptr;
  if (inactivity.due != 0 && now > inactivity.due) {
    due = &inactivity;
  } else if (active.due != 0 && now > active.due) {
    due = &active;
  }
  if (due && !vc->connect_) {
    if (!vc->can_tell_timeout())
      return vc->handler->timers.arm(vc->timeouts_->timer, now + kAskAgain);
    due->due = 0;
    vc->arm_timeouts();
    return vc->tell_timeout(due == &inactivity ? TimeoutKind::kInactivity : TimeoutKind::kActive);
  }
  if (due) due->due = 0;  // nobody has it yet (TO-13)
  vc->arm_timeouts();
}

// Only the operation and the shutdown count, not whether it is enabled or complete (TO-9).
Continuation* NetVConnection::addressee(Side s) {
  const VIO& vio = vio_of(s);
  return vio.op != Op::kNone && !is_shut(s) ? vio.cont : nullptr;
}

bool NetVConnection::can_tell_timeout() {
  for (const Side s : {Side::kRead, Side::kWrite}) {
    if (Continuation* c = addressee(s); c && !c->can_take_event()) return false;
  }
  return true;
}

// TO-8, TO-9
void NetVConnection::tell_timeout(TimeoutKind kind) {
  const Event event =
      kind == TimeoutKind::kInactivity ? Event::kInactivityTimeout : Event::kActiveTimeout;
  if (pair_) {  // one of the two, or nobody (PV-24)
    for (const Side s : {Side::kRead, Side::kWrite}) {
      if (!addressee(s) || vio_of(s).ntodo() <= 0) continue;
      signal(event, vio_of(s));
      return;
    }
    return;
  }
  Continuation* reader = addressee(Side::kRead);
  Continuation* writer = addressee(Side::kWrite);
  if (reader) {
    if (!signal(event, read_vio)) return;
    const bool again = timeouts_ && timeouts_->of(kind).due != 0;
    if (closed_now() || again || addressee(Side::kWrite) != writer) return;
  }
  if (writer && writer != reader) signal(event, write_vio);
}

}  // namespace netvc
