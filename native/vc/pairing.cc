// What vc/net_vconnection.h does differently when the other end is in this process (PV-*).
#include <algorithm>
#include <cerrno>
#include <utility>

#include "vc/pair_end.h"
#include "vc/remote.h"

namespace netvc {

void NetVConnection::become_pair_end(std::unique_ptr<PairEnd> end, const Address& local,
                                     const Address& remote) {
  NETVC_CHECK(!pair_ && !handler && con_.fd() < 0);
  pair_ = std::move(end);
  transport = pair_.get();
  con_.remote = remote;
  local_ = std::make_unique<Address>(local);
}

// A traced connection goes through the transport that writes the lines.
bool NetVConnection::is_direct() const { return transport == pair_.get(); }

bool NetVConnection::is_armed(Side s) const {
  const VIO& vio = s == Side::kRead ? read_vio : write_vio;
  return vio.op != Op::kNone && vio.cont && vio.buffer && !vio.ended && vio.ntodo() > 0 &&
         !is_shut(s);
}

int64_t NetVConnection::read_room(MIOBuffer& buf) const {
  return by_reference() ? pair_->room_in(buf) : buf.write_avail();
}

bool NetVConnection::is_at_end() const { return !unread_ && pair_->at_end(); }

// PV-19: what is idle for lack of bytes, or of room, looks again; an end is told also to those who
// are idle for another reason (PV-16, PV-10).
void NetVConnection::pair_woken(unsigned bits) {
  bits |= pair_->take_wakes();
  if (closed_now() && !lingering_) return;
  if (bits & PairEnd::kWakeRead) {
    read.triggered = true;
    if (is_armed(Side::kRead) && (pair_at_end() || read_room(*read_vio.buffer.writer()) > 0))
      read_vio.enabled = true;
    update_interest(Side::kRead);
  }
  if (bits & PairEnd::kWakeWrite) {
    write.triggered = true;
    pair_->settle();
    if (is_armed(Side::kWrite)) write_vio.enabled = true;
    update_interest(Side::kWrite);
  }
}

// As fill_from_net, without a copy: what was read is in buf when it returns.
int64_t NetVConnection::fill_from_pair(MIOBuffer& buf, int64_t toread) {
  handler->counters.read_calls.add();
  int64_t got = 0;
  if (unread_) {
    while (got < toread && !unread_->empty()) {
      iovec from;
      int64_t n = 0;
      unread_->iovecs(&from, 1, &n);
      const int64_t part = std::min(n, toread - got);
      if (buf.write(from.iov_base, part) < part) break;
      unread_->consume(part);
      got += part;
    }
    if (unread_->empty()) unread_.reset();
    read_vio.ndone += got;
    if (got == 0) end_of_read(-ENOMEM);
    return got;
  }
  const ssize_t r = pending_read_ <= 0 ? pending_read_ : pair_->take(buf, toread);
  if (r <= 0) {
    end_of_read(r);
    return 0;
  }
  bytes_in_ += r;
  if (handler->now() - submit_time_ > kNew) handler->was_busy();
  handler->counters.read_bytes.add(r);
  net_activity();
  read_vio.ndone += r;
  return r;
}

ssize_t NetVConnection::give_to_pair(IOBufferReader& r, int64_t n, unsigned* needs) {
  handler->counters.write_calls.add();
  *needs |= kNeedsWrite;
  const ssize_t given = pair_->give(r, n);
  if (given <= 0) return given;
  bytes_out_ += given;
  handler->counters.write_bytes.add(given);
  net_activity();
  return given;
}

}  // namespace netvc
