// How a vc/tunnel.h ends: what fails, what is dropped, and what each side is told by its last
// packet.
#include <sys/ioctl.h>

#include <cerrno>
#include <utility>

#include "vc/pair_end.h"
#include "vc/tunnel.h"

namespace netvc {

namespace {

// Its peer has sent bytes that nobody has read. A pair has none that its tunnel could have taken.
bool has_unread(const NetVConnection& vc) {
  int n = 0;
  return vc.get_socket() >= 0 && ::ioctl(vc.get_socket(), FIONREAD, &n) == 0 && n > 0;
}

}  // namespace

// Everything that it had sent has been read. Nobody is there to take what the other side sends.
void Tunnel::source_failed(int source, int error) {
  Leg& leg = legs_[source];
  leg.cut = true;
  failed(error, source);
  drop(1 - source);
  leg.vc->observer = nullptr;
  leg.vc->close_with_reset();
  if (options_.limits.stall == 0) options_.limits.stall = kStallAfterError;
  watch_.set_limits(options_.limits, monotonic_now());
  if (leg.done) return finish();
  source_ended(source);
  watch();
}

// What its destination cannot take is dropped, and the source is not read any more.
void Tunnel::drop(int source) {
  Leg& leg = legs_[source];
  legs_[1 - source].vc->do_io_write(nullptr, 0, nullptr);
  if (leg.done) return;
  leg.done = leg.dropped = true;
  // Unix peers and pairs hear of a shut reading side when they write. A TCP peer does not, and the
  // kernel would answer what it sends after our FIN with a reset that overtakes our last bytes.
  if (leg.vc->pair_end() || !leg.vc->remote_addr().is_ip()) {
    leg.vc->do_io_shutdown(Shutdown::kRead);
  } else {
    leg.vc->do_io_read(nullptr, 0, nullptr);
  }
  leg.reader->reset();
  leg.buf->release_if_drained();
}

// The first cause is kept; EPIPE is only a consequence (B-13).
void Tunnel::failed(int error, int side) {
  const bool known = outcome_.end == TunnelEnd::kError &&
                     (outcome_.error_number != EPIPE || outcome_.side != side);
  if (!known) outcome_ = {TunnelEnd::kError, error, side};
}

// Both directions are done. A side that is to be reset, or whose own bytes were dropped, is held
// until what was sent to it has arrived: closing it would take that back.
void Tunnel::finish() {
  finishing_ = true;
  if (!delivering()) return end(outcome_);
  for (int side : {0, 1}) {
    if (!owes_reset(side, outcome_.end)) legs_[side].vc->do_io_shutdown(Shutdown::kWrite);
  }
  if (options_.limits.stall == 0) options_.limits.stall = kStallAfterError;
  watch_.set_limits(options_.limits, monotonic_now());
  watch();
}

bool Tunnel::delivering() const {
  for (int side : {0, 1}) {
    const Leg& from = legs_[1 - side];
    if (!from.dropped && (from.cut || legs_[side].dropped) && legs_[side].vc->undelivered() > 0)
      return true;
  }
  return false;
}

// Whether the stream towards a side would look whole, and is not.
bool Tunnel::owes_reset(int side, TunnelEnd how) const {
  const Leg& from = legs_[1 - side];
  if (from.cut || from.dropped) return true;
  if (from.done) return false;
  if (how >= TunnelEnd::kInactivity) return true;
  return (from.reader && from.reader->read_avail() > 0) || (from.vc && has_unread(*from.vc));
}

void Tunnel::on_vc_closed(NetVConnection& vc, bool by_itself) {
  const int side = leg_of(&vc);
  legs_[side].cut |= vc.aborted() && !by_itself;  // its user says that it is not whole
  if (owes_reset(side, TunnelEnd::kClosed)) vc.reset_when_closed();
  end({TunnelEnd::kClosed, vc.lerrno, side});
}

bool Tunnel::goes_on_without(const void* group) {
  if (!belongs_to(group)) return false;
  std::exchange(listener_, nullptr)->on_tunnel_left();  // may be the end of the listener
  return true;
}

void Tunnel::end(TunnelResult result) {
  if (std::exchange(ended_, true)) return;
  Ref<Tunnel> keep = std::move(self_);
  if (at_) at_->timers.cancel(watch_timer_);
  const bool reset[2] = {owes_reset(0, result.end), owes_reset(1, result.end)};
  for (int side : {0, 1}) {
    NetVConnection* vc = legs_[side].vc.get();
    if (!vc) continue;
    vc->observer = nullptr;
    if (reset[side]) {
      vc->close_with_reset();
    } else {
      vc->do_io_close(result.end >= TunnelEnd::kInactivity ? 0 : -1);
    }
  }
  for (VcPool::Handle& h : joining_)
    h = {};
  for (Leg& leg : legs_) {
    leg.vc = {};
    leg.reader = nullptr;
    leg.buf.reset();
  }
  if (listener_) listener_->on_tunnel_end(*this, result);
}

}  // namespace netvc
