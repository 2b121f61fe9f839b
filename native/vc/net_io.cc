// The I/O half of vc/net_vconnection.h: one read or write activation (RD-*, WR-*, SIG-*).
//
// Every call to signal() may run the user's code, which may do anything to this connection: after
// it, state is read again, and when it answered false the connection does not exist any more.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "net/socket_ops.h"
#include "vc/net_vconnection.h"
#include "vc/pair_end.h"

namespace netvc {

namespace {

constexpr int kMaxIov = 1024;  // IOV_MAX on Linux
constexpr Nanos kNoMemoryDelay = 10 * kMillisecond;
constexpr int kNoMemoryRetries = 5;

bool would_block(ssize_t r) { return r == -EAGAIN || r == -EWOULDBLOCK || r == -ENOTCONN; }
bool no_memory(ssize_t r) { return r == -ENOMEM || r == -ENOBUFS; }

}  // namespace

void NetVConnection::net_io(Direction& d) {
  if (lingering_) return linger_io(d);
  if (closed_now()) return close_vc();
  if (d.side == Side::kRead) {
    if (watched_) return look_for_end();
    read_from_net();
  } else {
    write_to_net();
  }
}

// --- signalling ---------------------------------------------------------------------------------

bool NetVConnection::signal(Event e, VIO& vio) {
  ++recursion_;
  if (vio.cont) {
    handler->counters.events.add();
    vio.cont->handle_event(e, &vio);
  } else {
    // SIG-2: nobody can be told. A READY here would be a bug of ours: said, and survived.
    if (e == Event::kReadReady || e == Event::kWriteReady) {
      std::fprintf(stderr, "netvc: internal: event %d without continuation\n", static_cast<int>(e));
    }
    if (!closed_now()) end_by_itself();
  }
  --recursion_;
  if (recursion_ > 0 || !closed_now()) return true;
  close_vc();
  return false;
}

bool NetVConnection::signal_done(Event e, Side s) {
  VIO& vio = vio_of(s);
  disable(s);  // before the callback, so that re-arming inside it counts (SIG-3)
  vio.ended = e == Event::kEos || e == Event::kError;
  if (!signal(e, vio)) return false;
  if (!closed_now()) handler->reschedule(direction(s));
  return true;
}

bool NetVConnection::signal_error(int error, Side s) {
  lerrno = error;
  return signal_done(Event::kError, s);
}

// The first error of the socket, for ever (B-13): read, write and SO_ERROR compete for it in the
// kernel. EPIPE is a consequence, never the cause, and is not latched.
int NetVConnection::socket_error(int fallback) {
  if (latched_errno_ == 0 && con_.is_socket && (fallback == EPIPE || (poll_flags & kPollErr))) {
    latched_errno_ = sock::take_error(con_.fd());
  }
  if (latched_errno_ == 0 && fallback != EPIPE) latched_errno_ = fallback;
  return latched_errno_ ? latched_errno_ : fallback;
}

void NetVConnection::not_ready(Side s) {
  direction(s).triggered = false;
  handler->unschedule(direction(s));
}

// ENOMEM and ENOBUFS pass: try again in 10 ms, a few times, then it is an error (B-17).
bool NetVConnection::out_of_memory(ssize_t r, Side s) {
  if (!no_memory(r) || ++retries_of(s) > kNoMemoryRetries) return false;
  handler->unschedule(direction(s));
  retry_later(kNoMemoryDelay);
  return true;
}

bool NetVConnection::stalled(VIO& vio, Side s) {
  if (vio.cont->can_take_event()) [[likely]]
    return false;
  vio.cont->resume_later(*this, s);
  handler->unschedule(direction(s));
  return true;
}

// --- reading ------------------------------------------------------------------------------------

void NetVConnection::read_from_net() {
  VIO& vio = read_vio;
  MIOBuffer* buf = vio.buffer.writer();
  if (!vio.enabled || vio.op != Op::kRead || !buf || !vio.cont || vio.ntodo() <= 0)
    return disable(Side::kRead);
  if (stalled(vio, Side::kRead)) return;
  if (pair_at_end()) [[unlikely]]
    return end_of_read(pair_->take(*buf, 0));  // told also when the buffer is full (PV-16)

  const int64_t room = read_room(*buf);
  if (room == 0 && !by_reference() && buf->has_room()) [[unlikely]]
    return end_of_read(-ENOMEM);
  const int64_t toread = std::min(room, vio.ntodo());
  if (toread > 0) {
    const int64_t got = by_reference() ? fill_from_pair(*buf, toread) : fill_from_net(*buf, toread);
    if (got == 0) return;  // end_of_read() has told what there was to tell
    if (vio.ntodo() <= 0) {
      signal_done(Event::kReadComplete, Side::kRead);
      return;
    }
    const uint32_t generation = vio.generation;
    if (!signal(Event::kReadReady, vio) || closed_now()) return;
    if (vio.generation != generation) return handler->reschedule(read);  // B-52
    buf = vio.buffer.writer();
    // At rest a connection holds no block; a user on another thread may need a moment to catch up.
    if (!read.triggered && buf && !buf->release_if_drained()) handler->settle_later(*this);
  }
  if (vio.ntodo() <= 0 || !vio.enabled || !buf) return disable(Side::kRead);
  if (by_reference() ? read_room(*buf) <= 0 : !buf->has_room()) {
    buf->stop_above(by_reference() ? pair_->fill_limit(*buf) - 1 : buf->water_mark.load());
    disable(Side::kRead);
    if (observer) observer->on_buffer_full(*this);
    return;
  }
  handler->reschedule(read);
}

// RD-7..RD-10. The number of bytes now in buf; 0 after end_of_read().
int64_t NetVConnection::fill_from_net(MIOBuffer& buf, int64_t toread) {
  ssize_t r = pending_read_;
  const int64_t before = unread_ ? take_unread(buf, toread) : 0;
  int64_t got = before;
  iovec iov[kMaxIov];
  while (r > 0 && got < toread) {
    const int count = buf.room_iovecs(iov, kMaxIov, toread - got, got);
    int64_t attempted = 0;
    for (int i = 0; i < count; ++i)
      attempted += static_cast<int64_t>(iov[i].iov_len);
    unsigned needs = 0;
    handler->counters.read_calls.add();
    r = transport->read(con_, iov, count, &needs);
    if (r > 0) got += r;
    if (r < attempted) break;
  }
  if (got == 0) {
    pending_read_ = 1;
    end_of_read(r);
    return 0;
  }
  constexpr uint32_t kMoreToSee = kPollErr | kPollHup | kPollRdHup | kPollPri;
  if (r <= 0) {
    // Bytes first; how it ended is kept for the next activation (B-12).
    if (would_block(r)) {
      read.triggered = false;
    } else {
      pending_read_ = r;
    }
  } else if (got < toread && !(poll_flags & kMoreToSee) &&
             transport->short_read_means_empty(con_)) {
    read.triggered = false;  // saves the read that would only answer EAGAIN
  }
  retries_of(Side::kRead) = 0;
  bytes_in_ += got - before;
  if (handler->now() - submit_time_ > kNew) handler->was_busy();
  handler->counters.read_bytes.add(got - before);
  net_activity();
  NETVC_CHECK(buf.fill(got));
  read_vio.ndone += got;
  return got;
}

void NetVConnection::unread(BlockChain& bytes) {
  if (bytes.empty()) return;
  if (!unread_) unread_ = std::make_unique<BlockChain>();
  bytes.append(*unread_);
  unread_->append(bytes);
}

// What was unread is copied into the room of buf; it was looked at before, so it is little.
int64_t NetVConnection::take_unread(MIOBuffer& buf, int64_t toread) {
  int64_t taken = 0;
  while (taken < toread && !unread_->empty()) {
    iovec from, to;
    int64_t n = 0;
    unread_->iovecs(&from, 1, &n);
    if (buf.room_iovecs(&to, 1, toread - taken, taken) == 0) break;
    const size_t part = std::min(from.iov_len, to.iov_len);
    std::memcpy(to.iov_base, from.iov_base, part);
    unread_->consume(static_cast<int64_t>(part));
    taken += static_cast<int64_t>(part);
  }
  if (unread_->empty()) unread_.reset();
  return taken;
}

void NetVConnection::end_of_read(ssize_t r) {
  if (would_block(r) && last_error_) r = -last_error_;
  if (would_block(r)) {
    handler->counters.read_no_data.add();
    not_ready(Side::kRead);
    if (MIOBuffer* buf = read_vio.buffer.writer()) buf->release_if_drained();
    return;
  }
  if (out_of_memory(r, Side::kRead)) return;
  read.triggered = false;
  read_ended_ = true;
  pending_read_ = r;
  if (MIOBuffer* buf = read_vio.buffer.writer()) buf->release_if_drained();
  const int error = socket_error(static_cast<int>(-r));
  if (error) note_failure(error);
  if (error == 0 || error == ECONNRESET) {
    lerrno = error;
    signal_done(Event::kEos, Side::kRead);
  } else {
    signal_error(error, Side::kRead);
  }
}

// --- writing ------------------------------------------------------------------------------------

void NetVConnection::write_to_net() {
  if (connect_) return connect_progress();
  if (messages_wait()) {
    if (send_queued() != Sent::kAll) return;
    if (shut_after_flush_) end_of_stream();
  }
  write_vio_to_net();
}

void NetVConnection::write_vio_to_net() {
  VIO& vio = write_vio;
  IOBufferReader* reader = vio.buffer.reader();
  if (!vio.enabled || vio.op != Op::kWrite || !reader || !vio.cont || vio.ntodo() <= 0)
    return disable(Side::kWrite);
  if (stalled(vio, Side::kWrite)) return;
  if (pair_ && pair_->refused()) return end_of_write(-EPIPE, kNeedsWrite);  // PV-10

  bool signalled = false;
  int64_t towrite = std::min(reader->read_avail(), vio.ntodo());
  const bool ask = pair_ ? towrite <= 0 : towrite != vio.ntodo();  // PV-11
  if (ask && vio.buffer.writer()->can_take_more()) {
    // Prefill: what the user adds now leaves in this same activation (WR-5, WR-6).
    const uint32_t generation = vio.generation;
    if (!signal(Event::kWriteReady, vio) || closed_now()) return;
    if (vio.generation != generation) return handler->reschedule(write);
    if (!vio.enabled || vio.ntodo() <= 0) return disable(Side::kWrite);
    signalled = true;
    reader = vio.buffer.reader();
    if (!reader) return disable(Side::kWrite);
    towrite = std::min(reader->read_avail(), vio.ntodo());
  }
  if (towrite <= 0) return disable(Side::kWrite);
  // A thread may have submitted a message and added these bytes behind it just now (AD-1).
  take_messages();
  if (!out_.empty()) return update_interest(Side::kWrite);

  unsigned needs = 0;
  int64_t accepted = 0;
  ssize_t r = 1;
  if (by_reference()) {
    r = give_to_pair(*reader, towrite, &needs);
    accepted = std::max<int64_t>(r, 0);
    vio.ndone += accepted;
  }
  while (!by_reference() && accepted < towrite) {
    iovec iov[kMaxIov];
    int64_t attempted = 0;
    const int count = reader->iovecs(iov, kMaxIov, towrite - accepted, &attempted);
    r = write_to_kernel(iov, count, &needs);
    if (r <= 0) break;
    NETVC_CHECK(reader->consume(r));
    accepted += r;
    vio.ndone += r;
    if (r < attempted) break;
  }
  if (accepted == 0) return end_of_write(r, needs);

  retries_of(Side::kWrite) = 0;
  if (r < 0) {
    if (would_block(r) || r == -EINPROGRESS) {
      write.triggered = false;  // known already: no need to ask again
    } else if (!no_memory(r)) {
      socket_error(static_cast<int>(-r));  // latched; the next activation reports it
    }
  }

  bool emptied = false;
  if (trap_ && reader->read_avail() == 0) {
    trap_ = false;
    emptied = true;
  }
  if (vio.ntodo() <= 0) {
    signal_done(Event::kWriteComplete, Side::kWrite);
    return;
  }
  if (!signalled || emptied || pair_) {  // PV-14
    const uint32_t generation = vio.generation;
    const Event e = emptied && (signalled || pair_) ? trap_event_ : Event::kWriteReady;
    if (!signal(e, vio) || closed_now()) return;
    if (vio.generation != generation) return handler->reschedule(write);  // WR-12
  }
  if (needs & kNeedsRead) handler->reschedule(read);
  reader = vio.buffer.reader();
  if (!reader || reader->read_avail() == 0) return disable(Side::kWrite);
  handler->reschedule(write);
}

// WR-10: nothing was accepted.
void NetVConnection::end_of_write(ssize_t r, unsigned needs) {
  if (would_block(r) || r == -EINPROGRESS) {
    handler->counters.write_no_room.add();
    if (needs & kNeedsRead) not_ready(Side::kRead);
    if (needs & kNeedsWrite) not_ready(Side::kWrite);
    return;
  }
  if (out_of_memory(r, Side::kWrite)) return;
  write.triggered = false;
  write_failed_ = true;
  const int error = r == 0 ? 0 : socket_error(static_cast<int>(-r));
  note_failure(error ? error : EPIPE);
  if (error == 0 || error == ECONNRESET) {
    lerrno = error;
    signal_done(Event::kEos, Side::kWrite);
  } else {
    signal_error(error, Side::kWrite);
  }
}

}  // namespace netvc
