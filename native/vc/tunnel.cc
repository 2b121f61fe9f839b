#include "vc/tunnel.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vc/remote.h"

namespace netvc {

namespace {

// Nothing tells when the last byte of a socket has been acknowledged, so it is looked at again,
// after times that double between these.
constexpr Nanos kFirstLook = kMillisecond;
constexpr Nanos kLastLook = 100 * kMillisecond;

}  // namespace

// Every step can find that a connection has gone or moved meanwhile, so each looks again.
void Tunnel::join(Ref<Tunnel> t, VersionedId a, VersionedId b) {
  VcPool::Handle vb = NetVConnection::pool().address(b);
  NetHandler* home = vb ? vb->home() : nullptr;
  if (!t->joining_[0] && !t->joining_[1]) {
    t->joining_[0] = NetVConnection::pool().address(a);
    t->joining_[1] = NetVConnection::pool().address(b);
  }
  if (home && home->post([t, a, b](NetHandler& here) { take_off(t, a, b, here); })) return;
  fail(std::move(t), a, b);
}

// On b's thread, since only there it can be taken off.
void Tunnel::take_off(Ref<Tunnel> t, VersionedId a, VersionedId b, NetHandler& here) {
  VcPool::Handle va = NetVConnection::pool().address(a);
  VcPool::Handle vb = NetVConnection::pool().address(b);
  NetHandler* to = va ? va->home() : nullptr;
  if (!to || !vb) return fail(std::move(t), a, b);
  if (!vb->is_at(here)) return join(std::move(t), a, b);
  if (vb->closed_now()) return fail(std::move(t), a, b);
  t->take_over(1, *vb);
  vb->move_to(*to, [t = std::move(t), a, b](NetVConnection*) { bring_together(t, a, b); });
}

// On b's thread, which is now the one that a was on.
void Tunnel::bring_together(Ref<Tunnel> t, VersionedId a, VersionedId b) {
  VcPool::Handle va = NetVConnection::pool().address(a);
  VcPool::Handle vb = NetVConnection::pool().address(b);
  if (!va || !vb) return fail(std::move(t), a, b);
  if (!vb->home() || !va->is_at(*vb->home())) return join(std::move(t), a, b);
  if (va->closed_now() || vb->closed_now() || t->abandoned_.load(std::memory_order_acquire))
    return fail(std::move(t), a, b);
  t->start(std::move(va), std::move(vb));
}

// What is left of the two is closed on its own thread.
void Tunnel::fail(Ref<Tunnel> t, VersionedId a, VersionedId b) {
  TunnelResult result{TunnelEnd::kFailed, 0, 0};
  for (int side : {0, 1}) {
    const int error = t->joining_[side] ? t->joining_[side]->failure() : 0;
    if (error != 0 && error != ENET_CLOSED) result = {TunnelEnd::kError, error, side};
  }
  const bool reset = result.end == TunnelEnd::kError;
  for (VersionedId id : {a, b}) {
    remote::post(id, [reset](NetVConnection& vc) {
      if (reset) return vc.close_with_reset();
      vc.do_io_close();
    });
  }
  t->end(result);
}

void Tunnel::close(const Ref<Tunnel>& t, VersionedId a, VersionedId b) {
  t->abandon();
  for (VersionedId id : {a, b}) {
    remote::post(id, [t](NetVConnection& vc) {
      if (t->self_) return t->close();
      vc.do_io_close(0);  // on its way into the tunnel, which finds it gone
    });
  }
}

// Ends the operations of a connection, on its thread. What its read operation has brought and
// nobody has taken is the beginning of the tunnel's stream.
void Tunnel::take_over(int source, NetVConnection& vc) {
  Leg& leg = legs_[source];
  if (leg.buf) return;  // done before vc was moved
  leg.buf = MIOBuffer::create_empty(options_.size_index, options_.water_mark);
  leg.reader = leg.buf->alloc_reader();
  MIOBuffer* m = vc.read_vio.op == Op::kRead ? vc.read_vio.buffer.writer() : nullptr;
  if (IOBufferReader* r = m ? m->most_advanced_reader() : nullptr) {
    leg.buf->add(r);
    r->reset();
  }
  vc.do_io_read(nullptr, 0, nullptr);
  vc.do_io_write(nullptr, 0, nullptr);
  vc.cancel_inactivity_timeout();
  vc.cancel_active_timeout();
}

void Tunnel::start(VcPool::Handle a, VcPool::Handle b) {
  self_ = Ref<Tunnel>(this);
  for (VcPool::Handle& h : joining_)
    h = {};
  legs_[0].vc = std::move(a);
  legs_[1].vc = std::move(b);
  for (int source : {0, 1}) {
    take_over(source, *legs_[source].vc);
    legs_[source].vc->observer = this;
    legs_[source].vc->refuse_messages(ENET_TUNNELED);
    legs_[source].vc->fails_with_reset = true;
  }
  for (int source : {0, 1}) {
    Leg& leg = legs_[source];
    NetVConnection& to = *legs_[1 - source].vc;
    if (!to.can_send() || (leg.vc->shut_sides() & NetVConnection::kShutRead)) {
      // Shut by the user before: this direction has ended already.
      leg.vc->do_io_shutdown(Shutdown::kRead);
      to.do_io_shutdown(Shutdown::kWrite);
      leg.done = true;
      continue;
    }
    to.do_io_write(this, VIO::kUnlimited, leg.reader);
    leg.vc->do_io_read(this, VIO::kUnlimited, leg.buf);
  }
  at_ = legs_[0].vc->handler;
  if (legs_[0].done && legs_[1].done) return end(outcome_);
  if (!options_.limits.any()) return;
  for (Leg& leg : legs_)
    leg.vc->time_exactly();
  if (legs_[0].done || legs_[1].done) half_closed_at_ = monotonic_now();
  watch_.start(options_.limits, monotonic_now());
  watch();
}

// Looks whether it has to end, and when to look again.
void Tunnel::watch() {
  if (ended_ || !at_) return;
  if (finishing_ && !delivering()) return end(outcome_);
  const Nanos now = monotonic_now();
  TunnelWatch::Look look;
  look.half_closed_at = half_closed_at_;
  for (int source : {0, 1}) {
    const Leg& leg = legs_[source];
    const NetVConnection& to = *legs_[1 - source].vc;
    look.last_activity = std::max(look.last_activity, leg.vc->last_activity());
    const int64_t undelivered = finishing_ ? to.undelivered() : 0;
    look.direction[source] = {
        undelivered > 0 || (!leg.done && (leg.reader->read_avail() > 0 || to.queued_bytes() > 0)),
        to.bytes_out() - undelivered};
  }
  const TunnelWatch::Finding f = watch_.check(look, now);
  // Its first cause is told, not what became of the rest.
  if (f.end != TunnelEnd{})
    return end(outcome_.end == TunnelEnd::kError ? outcome_
                                                 : TunnelResult{f.end, ETIMEDOUT, f.side});
  Nanos next = f.next;
  if (finishing_) {
    next_look_ = std::clamp(next_look_ * 2, kFirstLook, kLastLook);
    next = next == 0 ? now + next_look_ : std::min(next, now + next_look_);
  }
  if (next != 0) at_->timers.arm(watch_timer_, next);
}

void Tunnel::on_watch(void* tunnel) {
  Ref<Tunnel> guard(static_cast<Tunnel*>(tunnel));
  guard->watch();
}

int Tunnel::handle_event(Event event, VIO* vio) {
  Ref<Tunnel> guard(this);  // end() drops self_
  if (ended_) return 0;
  const int at = leg_of(vio->vc_server);
  if (event == Event::kInactivityTimeout) {  // evicted from a queue
    end({TunnelEnd::kInactivity, ETIMEDOUT, at});
  } else if (vio->op == Op::kRead) {
    on_read(event, at);
  } else {
    on_write(event, 1 - at, *vio);
  }
  return 0;
}

void Tunnel::on_read(Event event, int source) {
  Leg& leg = legs_[source];
  NetVConnection& to = *legs_[1 - source].vc;
  switch (event) {
    case Event::kReadReady:
      to.reenable(&to.write_vio);
      return;
    case Event::kEos:
      if (leg.vc->lerrno == ECONNRESET) return source_failed(source, ECONNRESET);
      return source_ended(source);
    default:
      // EPIPE: a reset after its end, which concerns what goes to it. Its own stream is whole.
      if (leg.vc->lerrno == EPIPE) return source_ended(source);
      return source_failed(source, leg.vc->lerrno);
  }
}

// The rest of the buffer, then the end.
void Tunnel::source_ended(int source) {
  NetVConnection& to = *legs_[1 - source].vc;
  to.write_vio.done();
  if (to.write_vio.ntodo() <= 0) return direction_done(source);
  to.reenable(&to.write_vio);
}

void Tunnel::on_write(Event event, int source, VIO& vio) {
  Leg& leg = legs_[source];
  NetVConnection& to = *legs_[1 - source].vc;
  leg.moved.add(vio.ndone - leg.moved.get());
  switch (event) {
    case Event::kWriteReady:
      // Told again when the buffer has run empty, so that a source that was full is read again.
      to.trap_write_buffer_empty(true);
      if (leg.reader->read_avail() == 0 && !leg.vc->read.triggered) leg.buf->release_if_drained();
      if (leg.vc->read_vio.op == Op::kRead && leg.buf->has_room())
        leg.vc->reenable(&leg.vc->read_vio);
      return;
    case Event::kWriteComplete:
      return direction_done(source);
    default:
      // The destination takes no more. What it still sends is delivered: the other direction ends
      // by its own EOS or error.
      failed(to.lerrno ? to.lerrno : ECONNRESET, 1 - source);
      drop(source);
      if (legs_[1 - source].done) return finish();
      if (to.lerrno != 0 && to.lerrno != EPIPE && to.lerrno != ECONNRESET)
        to.end_reading(to.lerrno);
      return half_closed();
  }
}

void Tunnel::direction_done(int source) {
  Leg& leg = legs_[source];
  NetVConnection& to = *legs_[1 - source].vc;
  leg.moved.add(to.write_vio.ndone - leg.moved.get());
  leg.done = true;
  leg.buf->release_if_drained();
  if (legs_[1 - source].done) return finish();
  to.do_io_shutdown(Shutdown::kWrite);
  half_closed();
}

void Tunnel::half_closed() {
  half_closed_at_ = monotonic_now();
  if (options_.limits.any()) watch();  // its limit may be the nearest one
}

}  // namespace netvc
