// How vc/net_vconnection.h comes to another handler.
#include <sched.h>

#include <utility>

#include "vc/extras.h"
#include "vc/net_vconnection.h"

namespace netvc {

void NetVConnection::move_to(NetHandler& to, std::function<void(NetVConnection*)> done) {
  if (&to == handler) return done(this);
  NETVC_ASSERT(recursion_ == 0);
  if (timer_) handler->timers.cancel(*timer_);
  if (write_deadline_) handler->timers.cancel(*write_deadline_);
  if (timeouts_) handler->timers.cancel(timeouts_->timer);
  if (extras_) pause_oob(false);
  pool().set_owner(id_, nullptr);
  handler->detach(*this, con_.fd());
  read.triggered = write.triggered = true;  // edges seen by the old poller are lost (MG-2)
  arrive_at(to, std::move(done));
}

void NetVConnection::start_at(NetHandler& h) {
  read.triggered = write.triggered = true;
  arrive_at(h, [](NetVConnection*) {});
}

void NetVConnection::start_here(NetHandler& h) {
  read.triggered = write.triggered = true;
  NETVC_CHECK(attach(h) == 0);
}

void NetVConnection::arrive_at(NetHandler& to, std::function<void(NetVConnection*)> done) {
  handler = &to;
  const bool posted = to.post([this, done](NetHandler& h) {
    while (home() != &h)
      ::sched_yield();  // the old thread is about to store it
    if (attach(h) != 0) {
      release();
      return done(nullptr);
    }
    done(this);
  });
  if (!posted) {
    handler = nullptr;
    release();
    return done(nullptr);
  }
  // Behind the task, so that no command sent to the new home from here on is in front of it.
  home_.store(&to, std::memory_order_release);
}

}  // namespace netvc
