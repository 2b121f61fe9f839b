// The keep-alive and the active queue of vc/net_vconnection.h (KQ-*): what the queues of the
// handler ask of a connection.
#include "vc/net_vconnection.h"
#include "vc/pair_end.h"

namespace netvc {

// Handlers of victims run inside, and may close this connection too.
template <class F>
bool NetVConnection::in_queue_walk(F f) {
  if (closed_now() || !handler) return false;
  ++recursion_;
  const bool done = f();
  --recursion_;
  if (!closed_now()) return done;
  if (recursion_ == 0) close_vc();
  return false;
}

bool NetVConnection::add_to_keep_alive_queue() {
  if (pair_) return !closed_now();  // KQ-5: it holds nothing that anybody could need
  return in_queue_walk([this] {
    handler->queues.add_to_keep_alive(*this);
    return true;
  });
}

bool NetVConnection::add_to_active_queue() {
  if (pair_) return !closed_now();
  return in_queue_walk([this] { return handler->queues.add_to_active(*this); });
}

void NetVConnection::remove_from_queues() {
  if (handler) handler->queues.remove(*this);
}

bool NetVConnection::overdue(Nanos now) const {
  if (!timeouts_) return false;
  const Timeouts::Clock& inactivity = timeouts_->of(TimeoutKind::kInactivity);
  const Timeouts::Clock& active = timeouts_->of(TimeoutKind::kActive);
  return (active.due != 0 && now > active.due) ||
         (inactivity.due != 0 && now > std::max(inactivity.due, last_activity_ + inactivity.value));
}

// KQ-4: told as an inactivity timeout, whether it has one or not.
Evicted NetVConnection::evict() {
  if (closed_now() || connect_ || !can_tell_timeout()) return Evicted::kStays;
  Continuation* reader = addressee(Side::kRead);
  Continuation* writer = addressee(Side::kWrite);
  if (!reader && !writer) {
    tell_close = true;
    do_io_close();
    return Evicted::kGone;
  }
  const bool later = (reader && reader->answers_later()) || (writer && writer->answers_later());
  if (timeouts_) timeouts_->of(TimeoutKind::kInactivity).due = 0;  // one shot (TO-10)
  ++recursion_;
  tell_timeout(TimeoutKind::kInactivity);
  --recursion_;
  if (!closed_now()) return later ? Evicted::kAsked : Evicted::kStays;
  if (recursion_ == 0) close_vc();
  return Evicted::kGone;
}

}  // namespace netvc
