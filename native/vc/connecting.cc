// The connecting half of vc/net_vconnection.h (CN-5..CN-7).
#include "net/socket_ops.h"
#include "vc/pending_connect.h"

namespace netvc {

void NetVConnection::wait_connected(ConnectHandler* h, Nanos timeout) {
  connect_ = std::make_unique<PendingConnect>(h, this);
  if (timeout > 0) handler->timers.arm(connect_->deadline, monotonic_now() + timeout);
  update_interest(Side::kRead);
  update_interest(Side::kWrite);
}

void NetVConnection::cancel_connect() {
  if (!connect_) return;
  handler->timers.cancel(connect_->deadline);
  connect_.reset();
}

void NetVConnection::connect_progress() {
  if (const int error = con_.is_socket ? sock::take_error(con_.fd()) : 0) {
    return end_connect({ENET_CONNECT_FAILED, error});
  }
  // A socket that was never connected also reports OUT|HUP (CN-5): only a peer proves the opposite.
  Address peer;
  if (!con_.fast_open_pending && !Address::peer_of(con_.fd(), &peer)) {
    not_ready(Side::kWrite);
    return;
  }
  end_connect({0, 0});
}

void NetVConnection::on_connect_deadline(void* vc) {
  static_cast<NetVConnection*>(vc)->end_connect({ENET_CONNECT_TIMEOUT, ETIMEDOUT});
}

void NetVConnection::end_connect(ConnectError error) {
  ConnectHandler* told = connect_->handler;
  NetHandler* h = handler;
  if (error.code) {
    h->counters.connect_failures.add();
    lerrno = error.error_number;
    note_failure(error.error_number ? error.error_number : error.code);  // SC-4
    error.id = id_;
    error.reason = failure_reason();
    release();
    return told->on_open_failed(error);
  }
  cancel_connect();
  // Of the time before the connect. The peer's end may have come with the same edge: kPollRdHup
  // stays.
  poll_flags &= ~kPollHup;
  h->counters.connects.add();
  update_interest(Side::kRead);
  update_interest(Side::kWrite);
  told->on_open(*this);
}

}  // namespace netvc
