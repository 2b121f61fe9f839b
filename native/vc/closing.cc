// The end of vc/net_vconnection.h: shutting sides, closing, and what follows a close: messages that
// still leave, and a peer that still sends.
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vc/pair_end.h"
#include "vc/pending_connect.h"

namespace netvc {

namespace {

constexpr int kDiscardReads = 16;  // per activation, of 16 KiB each
constexpr size_t kDiscardBytes = 16384;

}  // namespace

void NetVConnection::do_io_shutdown(Shutdown how) {
  if (closed_now()) return;
  const auto sides = static_cast<unsigned>(how);
  if (sides & kShutRead) {
    shut_ |= kShutRead;  // OR, so that READ then WRITE keeps both (B-9)
    shut_descriptor(SHUT_RD);
    read_vio.clear();
    update_interest(Side::kRead);
  }
  if (sides & kShutWrite) {
    take_messages();  // accepted before: they go first
    shut_ |= kShutWrite;
    refuse_messages(ENET_SHUT);
    write_vio.clear();
    if (out_.empty()) {
      end_of_stream();
    } else {
      shut_after_flush_ = true;
    }
    update_interest(Side::kWrite);
  }
}

void NetVConnection::shut_descriptor(int how) {
  if (pair_) {
    pair_->shut(how);
  } else {
    ::shutdown(con_.fd(), how);
  }
}

void NetVConnection::end_of_stream() {
  shut_ |= kShutWrite;
  shut_after_flush_ = false;
  end_oob(ENET_SHUT);
  shut_descriptor(SHUT_WR);
}

void NetVConnection::do_io_close(int error) {
  if (closed_now()) return;
  // By its id: it has no user yet but who waits for the outcome of the connect (CN-2).
  if (connect_) return end_connect({ENET_CLOSED, 0});
  take_messages();
  read_vio.clear();
  write_vio.clear();
  if (error != 0 && error != -1) lerrno = error;
  closed_.store(error == -1 ? 1 : -1, std::memory_order_release);
  remove_from_queues();
  update_interest(Side::kRead);
  update_interest(Side::kWrite);
  if (recursion_ == 0) close_vc();  // else the outermost signal() frame does it (SIG-6)
}

// Nobody could be told of its end (SIG-2).
void NetVConnection::end_by_itself() {
  gone_ = true;
  read_vio.clear();
  write_vio.clear();
  closed_.store(1, std::memory_order_release);
  remove_from_queues();
  if (recursion_ == 0) close_vc();
}

void NetVConnection::close_gracefully(Nanos limit) {
  if (closed_now()) return;
  if (con_.is_socket && con_.is_stream && !connect_ && !write_failed_ && handler) {
    graceful_ = true;
    linger_until_ = monotonic_now() + limit;
  }
  do_io_close();
}

void NetVConnection::reset_when_closed() {
  if (con_.is_socket) {
    const ::linger reset{1, 0};
    ::setsockopt(con_.fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  if (pair_) pair_->reset();
}

void NetVConnection::close_with_reset() {
  if (closed_now()) return;
  reset_when_closed();
  do_io_close(0);
}

void NetVConnection::end_reading(int error) {
  if (closed_now() || read_ended_) return;
  last_error_ = error;
  read.triggered = true;
  update_interest(Side::kRead);
}

int64_t NetVConnection::undelivered() const {
  if (closed_now() || pair_ || !con_.is_stream || !con_.remote.is_ip()) return 0;
  if (poll_flags & kPollErr) return 0;  // it has failed: nobody will acknowledge anything
  return std::max(0, outstanding());
}

void NetVConnection::watch_for_end(bool on) {
  watched_ = on;
  read.triggered = true;  // bytes may be there, for whoever reads next
  update_interest(Side::kRead);
}

// An edge has come: bytes, the peer's end, or a failure.
void NetVConnection::look_for_end() {
  not_ready(Side::kRead);
  if (pair_ ? pair_->was_reset() : (poll_flags & kPollErr) != 0) {
    note_failure(socket_error(ECONNRESET));
    return do_io_close(0);
  }
  int unread = 0;
  if (pair_ ? !pair_at_end()
            : !(poll_flags & (kPollRdHup | kPollHup)) ||
                  (::ioctl(con_.fd(), FIONREAD, &unread) == 0 && unread > 0))
    return;
  if (!unread_) do_io_close();
}

void NetVConnection::close_vc() {
  if (observer) std::exchange(observer, nullptr)->on_vc_closed(*this, gone_);
  if (drains_) tell_drained(unsent());
  end_oob(failure() ? failure() : ENET_CLOSED);
  const bool orderly = closed_.load(std::memory_order_relaxed) == 1 && !gone_;
  const bool unsent = !out_.empty() && !write_failed_ && !connect_;
  if (orderly && handler && (unsent || graceful_)) return linger(kLingerLimit);
  finish_close();
}

void NetVConnection::linger(Nanos limit) {
  if (!lingering_) {
    lingering_ = true;
    handler->counters.lingering.add();
    if (!graceful_) linger_until_ = monotonic_now() + limit;
    retry_later(std::max<Nanos>(0, linger_until_ - monotonic_now()));
    if (graceful_) {
      read.triggered = true;
      if (out_.empty()) end_of_stream();
    }
  }
  update_interest(Side::kRead);
  update_interest(Side::kWrite);
}

// No message is left: what waited for that comes now.
void NetVConnection::all_is_out() {
  if (lingering_ && !graceful_) return finish_close();
  if (lingering_ || shut_after_flush_) end_of_stream();
  update_interest(Side::kWrite);
}

void NetVConnection::linger_io(Direction& d) {
  if (d.side == Side::kWrite) {
    if (send_queued() == Sent::kAll) all_is_out();
    return;
  }
  char scratch[kDiscardBytes];
  for (int i = 0; i < kDiscardReads; ++i) {
    const iovec iov{scratch, sizeof scratch};
    unsigned needs = 0;
    const ssize_t r = transport->read(con_, &iov, 1, &needs);
    if (r > 0) {
      retries_of(Side::kRead) = 0;
      continue;
    }
    if (r == -EAGAIN || r == -EWOULDBLOCK) return not_ready(Side::kRead);
    if (out_of_memory(r, Side::kRead)) return;
    if (r < 0 || out_.empty()) return finish_close();
    graceful_ = false;  // the peer has ended; what is left of ours goes first
    return update_interest(Side::kRead);
  }
  handler->reschedule(read);
}

void NetVConnection::release() {
  read_vio.clear();
  write_vio.clear();
  closed_.store(1, std::memory_order_release);
  observer = nullptr;
  finish_close();
}

void NetVConnection::finish_close() {
  const int code = failure() ? failure() : ENET_CLOSED;
  note_failure(ENET_CLOSED);
  drop_messages(code);
  end_oob(code);
  if (drains_) tell_drained(unsent());
  if (handler) {
    if (timer_) handler->timers.cancel(*timer_);
    if (write_deadline_) handler->timers.cancel(*write_deadline_);
    if (timeouts_) handler->timers.cancel(timeouts_->timer);
    if (lingering_) handler->counters.lingering.add(-1);
    cancel_connect();
    handler->detach(*this, con_.fd());
    handler->counters.closed.add();
    handler->closed_log.add({id_, con_.remote, submit_time_, monotonic_now(), bytes_in_, bytes_out_,
                             failure(), context_ == VcContext::kOutbound});
  }
  con_.close();
  if (pair_) pair_->shut(SHUT_RDWR);
  pool().fail(id_);  // may be the end of *this
}

void NetVConnection::shut_down() {
  NETVC_ASSERT(recursion_ == 0);
  if (closed_now()) return finish_close();  // was lingering
  if (connect_) {
    note_failure(ENET_CLOSED);
    return end_connect({ECANCELED, 0});
  }
  gone_ = true;
  closed_.store(-1, std::memory_order_release);
  read_vio.clear();
  write_vio.clear();
  close_vc();
}

void NetVConnection::retry_later(Nanos delay) {
  if (!timer_) timer_ = std::make_unique<Timer>(&NetVConnection::on_timer, this);
  handler->timers.arm(*timer_, monotonic_now() + delay);
}

void NetVConnection::on_timer(void* p) {
  auto* vc = static_cast<NetVConnection*>(p);
  if (vc->lingering_) {
    const Nanos left = vc->linger_until_ - monotonic_now();
    if (left <= 0) return vc->finish_close();
    vc->retry_later(left);
  }
  vc->handler->reschedule(vc->read);
  vc->handler->reschedule(vc->write);
}

}  // namespace netvc
