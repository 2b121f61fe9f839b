// The urgent bytes of vc/net_vconnection.h (OB-*). The kernel is asked again every 10 ms, as
// upstream does: the edge that says "room" belongs to the write side, which may not wait for one.
// They overtake what waits, but a message that has left in part is finished first (SW-9): then
// send_queued() asks too, at its end and before each other message.
#include <cerrno>
#include <utility>

#include "net/socket_ops.h"
#include "vc/extras.h"
#include "vc/pair_end.h"

namespace netvc {

namespace {

constexpr Nanos kAskAgain = 10 * kMillisecond;

bool try_later(ssize_t r) { return r == -EAGAIN || r == -EWOULDBLOCK || r == -ENOTCONN; }

// Of this call, and not what has become of the connection.
bool only_this_call(ssize_t r) {
  return r == -EOPNOTSUPP || r == -EINVAL || r == -ENOBUFS || r == -ENOMEM || r == -ENOTSOCK;
}

}  // namespace

NetVConnection::Extras& NetVConnection::extras() {
  if (!extras_) extras_ = std::make_unique<Extras>(this);
  return *extras_;
}

int NetVConnection::send_oob(const void* data, size_t n, Notice* told) {
  if (n == 0) return EINVAL;
  if (closed_now() || !handler) return ENET_CLOSED;
  if (failed()) return failure();
  if (!stream_open()) return ENET_SHUT;
  if (pair_) return EOPNOTSUPP;
  Extras& x = extras();
  if (!x.oob.empty()) return ENET_OOB_PENDING;
  x.oob.assign(static_cast<const char*>(data), n);
  x.oob_told = told;
  x.oob_behind = out_.begun();
  push_oob();
  return 0;
}

bool NetVConnection::urgent_waits() const { return extras_ && !extras_->oob.empty(); }

// How many bytes of messages may leave before urgent ones are asked for again.
int64_t NetVConnection::before_urgent() {
  if (urgent_waits()) push_oob();
  return urgent_waits() && extras_->oob_behind > 0 ? extras_->oob_behind : INT64_MAX;
}

// n bytes of messages have left.
void NetVConnection::urgent_behind(int64_t n) {
  if (!urgent_waits()) return;
  int64_t& behind = extras_->oob_behind;
  behind = behind > 0 ? behind - n : out_.begun();
}

void NetVConnection::push_oob() {
  Extras& x = *extras_;
  if (x.oob_behind > 0) return;
  const iovec bytes{x.oob.data(), x.oob.size()};
  // A fast open connects with its first write, and a socket that never connected answers EPIPE.
  const bool connected = !connect_ && !con_.fast_open_pending;
  const ssize_t r = connected ? sock::send_oob(con_.fd(), bytes) : -ENOTCONN;
  if (connected && x.trace.on()) x.trace.note("oob", con_, r, &bytes, 1);
  if (r > 0) {
    bytes_out_ += r;
    handler->counters.write_bytes.add(r);
    net_activity();
    x.oob.erase(0, static_cast<size_t>(r));
    if (x.oob.empty()) {
      handler->timers.cancel(x.oob_timer);
      return std::exchange(x.oob_told, nullptr)->tell(0);
    }
  } else if (!try_later(r)) {  // B-21
    const int error = r == 0 ? EPIPE : static_cast<int>(-r);
    return end_oob(only_this_call(r) ? error : socket_error(error));
  }
  handler->timers.arm(x.oob_timer, monotonic_now() + kAskAgain);
}

void NetVConnection::on_oob_timer(void* vc) { static_cast<NetVConnection*>(vc)->push_oob(); }

// Of a connection that leaves its handler, and of one that has arrived.
void NetVConnection::pause_oob(bool go_on) {
  Timer& timer = extras_->oob_timer;
  if (!go_on) return handler->timers.cancel(timer);
  if (!extras_->oob.empty()) handler->timers.arm(timer, monotonic_now() + kAskAgain);
}

void NetVConnection::end_oob(int code) {
  if (!extras_ || extras_->oob.empty()) return;
  extras_->oob.clear();
  if (handler) handler->timers.cancel(extras_->oob_timer);
  tell_failed(std::exchange(extras_->oob_told, nullptr), code);
}

}  // namespace netvc
