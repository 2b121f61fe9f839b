// The messages of vc/net_vconnection.h: how they come from their writers to the kernel.
//
// Everything but submit() and write_refusal() runs on the connection's thread. Notices are told
// from here; they must not call into this connection (vc/notice.h), so no state is read again after
// them.
#include <cerrno>

#include "vc/net_vconnection.h"
#include "vc/remote.h"
#include "vc/shared_state.h"

namespace netvc {

namespace {

constexpr int kMaxIov = 1024;  // IOV_MAX on Linux
// As much as one activation sends before others get their turn (NH-4).
constexpr int64_t kPassLimit = int64_t{4} << 20;

}  // namespace

// --- from any thread ----------------------------------------------------------------------------

int NetVConnection::write_refusal() const {
  if (const int error = failure()) return error;
  if (closed_.load(std::memory_order_acquire) != 0) return ENET_CLOSED;
  return refused_.load(std::memory_order_acquire);
}

void NetVConnection::submit(VcPool::Handle self, WriteRequest* r) {
  NetVConnection& vc = *self;
  const bool timed = r->deadline != 0;
  vc.unsent_.add(r->size(), 1);  // before it is submitted (B-65)
  if (!vc.writes_.push(r)) {
    // Its deadline has to be known to the writer, even while the kernel takes nothing.
    if (timed) remote::post(vc.id_, [](NetVConnection& at_home) { at_home.take_messages(); });
    return;
  }
  NetHandler* home = vc.home();
  vc.writer_ = std::move(self);
  if (home->in_thread()) return vc.writer_called(*home);
  if (home->post_task(&vc.writer_call_)) return;
  // The handler has retired, and has closed the connection before: nobody else is at it.
  vc.writer_called(*home);
}

// --- taking -------------------------------------------------------------------------------------

void NetVConnection::writer_called(NetHandler& here) {
  VcPool::Handle keep = writer_.again();
  NetHandler* at = home();
  // It has moved meanwhile, or is still arriving here.
  const bool elsewhere = at != &here || (!is_at(here) && !closed_now());
  if (elsewhere && at->post_task(&writer_call_)) return;
  writing_ = true;
  if (!is_at(here)) return drop_messages(failure() ? failure() : ENET_CLOSED);
  do {
    take_messages();
  } while (out_.empty() && !finish_writing());  // something has come, and may have to be refused
  update_interest(Side::kWrite);
  settle();
}

// Everything that was submitted goes to the end of the queue, or is failed when nothing can leave.
// Also when the call to the writer is still under way: what this thread does next comes behind it.
void NetVConnection::take_messages() {
  if (writes_.idle()) return;
  const bool taken = stream_open() && !failed() && (!closed_now() || lingering_);
  const int64_t before = out_.requests();
  int64_t accepted = 0;
  for (WriteRequest* r = writes_.take(); r;) {
    WriteRequest* next = r->next.load(std::memory_order_relaxed);
    if (!taken) {
      r->next.store(nullptr, std::memory_order_relaxed);
      uncount(r->size(), 1, r, failure() ? failure() : closed_now() ? ENET_CLOSED : ENET_SHUT);
    } else if (const int error = serialise(r)) {
      r->next.store(nullptr, std::memory_order_relaxed);
      uncount(r->size(), 1, r, error);
    } else {
      const Nanos deadline = r->deadline;
      const Pipelined answers{r->pipelined_count, r->with_auth};
      const uint64_t order = out_.append(r);
      ++accepted;
      if (answers.count > 0) {
        Shared& s = shared();
        std::lock_guard<std::mutex> lock(s.mutex);
        s.answers.push(order, answers);
      }
      if (deadline != 0) {
        if (!write_deadline_) write_deadline_ = std::make_unique<Timer>(&on_write_deadline, this);
        if (!write_deadline_->armed() || write_deadline_->when() > deadline)
          handler->timers.arm(*write_deadline_, deadline);
      }
    }
    r = next;
  }
  // Some were joined with their neighbours.
  unsent_.take(0, accepted - (out_.requests() - before));
}

// A user message becomes bytes now, and counts from now on; it fails alone (SW-16).
int NetVConnection::serialise(WriteRequest* r) {
  const int64_t before = r->size();
  const int error = r->serialise();
  unsent_.add(r->size() - before, 0);
  return error;
}

// Gives the role of the writer up, unless something has come meanwhile. When true, another thread
// may be the writer already, if this connection has no handler any more.
bool NetVConnection::finish_writing() {
  if (!writing_) return true;
  VcPool::Handle w = std::move(writer_);  // before the list is idle: then it is the next one's
  writing_ = false;
  if (writes_.finish()) return true;
  writer_ = std::move(w);
  writing_ = true;
  return false;
}

// --- leaving ------------------------------------------------------------------------------------

ssize_t NetVConnection::write_to_kernel(const iovec* iov, int count, unsigned* needs) {
  handler->counters.write_calls.add();
  NETVC_ASSERT(!in_writev_.exchange(true, std::memory_order_relaxed));
  const ssize_t r = transport->write(con_, iov, count, needs);
  in_writev_.store(false, std::memory_order_relaxed);
  if (r > 0) {
    bytes_out_ += r;
    handler->counters.write_bytes.add(r);
    net_activity();
  }
  return r;
}

// As many pieces as one call takes, until all is out or the kernel has no room.
NetVConnection::Sent NetVConnection::send_queued() {
  for (int64_t pass = 0;;) {
    take_messages();
    const int64_t most = before_urgent();
    if (out_.empty()) {  // before the limit: whoever asked for the end of this must hear of it
      if (!finish_writing()) continue;
      return Sent::kAll;
    }
    if (pass >= kPassLimit) break;
    iovec iov[kMaxIov];
    int64_t attempted = 0;
    unsigned needs = 0;
    const int count = out_.iovecs(iov, kMaxIov, most, &attempted);
    const ssize_t r = write_to_kernel(iov, count, &needs);
    if (r > 0) {
      retries_of(Side::kWrite) = 0;
      pass += r;
      const int64_t before = out_.requests();
      WriteRequest* through = out_.consume(r);
      urgent_behind(r);
      uncount(r, before - out_.requests(), through, 0);
      continue;
    }
    if (r == -EAGAIN || r == -EWOULDBLOCK || r == -ENOTCONN || r == -EINPROGRESS) {
      handler->counters.write_no_room.add();
      not_ready(Side::kWrite);
      return Sent::kBlocked;
    }
    if (out_of_memory(r, Side::kWrite)) return Sent::kBlocked;
    fail_queue(socket_error(r == 0 ? EPIPE : static_cast<int>(-r)));
    return Sent::kFailed;
  }
  handler->reschedule(write);
  return Sent::kBlocked;
}

// What was queued is lost with the connection; whoever is armed hears of it.
void NetVConnection::fail_queue(int error) {
  note_failure(error);  // before any message is told (SW-11)
  write_failed_ = true;
  write.triggered = false;
  drop_messages(error);
  if (lingering_) return finish_close();
  if (write_vio.cont || !read_vio.cont) {
    lerrno = error;
    signal_done(error == ECONNRESET && write_vio.cont ? Event::kEos : Event::kError, Side::kWrite);
    return;
  }
  update_interest(Side::kWrite);
  read.triggered = true;  // the reader meets the end of the connection by itself
  handler->reschedule(read);
}

// Tells every message that was accepted, until nobody adds one (SW-11).
void NetVConnection::drop_messages(int code) {
  const int64_t queued = out_.size();
  const int64_t requests = out_.requests();
  uncount(queued, requests, out_.take_all(), code);
  while (writing_) {
    for (WriteRequest* r = writes_.take(); r;) {
      WriteRequest* next = r->next.load(std::memory_order_relaxed);
      r->next.store(nullptr, std::memory_order_relaxed);
      uncount(r->size(), 1, r, code);
      r = next;
    }
    if (finish_writing()) return;  // without a handler the next writer is another thread
  }
}

// n bytes do not wait any more, nor do so many requests. Of these, `done` are those whose makers
// are to be told.
void NetVConnection::uncount(int64_t n, int64_t requests, WriteRequest* done, int code) {
  const int64_t left = unsent_.take(n, requests);
  while (done) {
    WriteRequest* next = done->next.load(std::memory_order_relaxed);
    Notice* told = done->told;
    if (code != 0 && done->pipelined_count > 0 && done->order != 0) take_back_answers(done->order);
    done->destroy();
    if (told) tell_failed(told, code);
    done = next;
  }
  if (drains_) tell_drained(left);
}

void NetVConnection::take_back_answers(uint64_t order) {
  Shared& s = shared();
  std::lock_guard<std::mutex> lock(s.mutex);
  s.answers.take_back(order);
}

void NetVConnection::tell_drained(int64_t left) {
  const int why = closed_now() ? ENET_CLOSED : write_failed_ ? failure() : 0;
  std::erase_if(*drains_, [&](const Drain& d) {
    // A drained connection takes the next message.
    if (why == 0 && (left > d.mark || (left > 0 && overcrowded()))) return false;
    tell_failed(d.told, why);
    return true;
  });
}

void NetVConnection::when_drained(int64_t mark, Notice* told) {
  if (!drains_) drains_ = std::make_unique<std::vector<Drain>>();
  drains_->push_back({mark, told});
  tell_drained(unsent());
}

// --- deadlines ----------------------------------------------------------------------------------

void NetVConnection::arm_write_deadline() {
  if (!write_deadline_) return;
  if (const Nanos due = out_.next_deadline()) handler->timers.arm(*write_deadline_, due);
}

void NetVConnection::on_write_deadline(void* p) {
  auto* vc = static_cast<NetVConnection*>(p);
  const int64_t bytes = vc->out_.size();
  const int64_t requests = vc->out_.requests();
  WriteRequest* expired = vc->out_.take_expired(vc->handler->now());
  vc->uncount(bytes - vc->out_.size(), requests - vc->out_.requests(), expired, ETIMEDOUT);
  vc->arm_write_deadline();
  if (vc->out_.empty() && vc->finish_writing()) return vc->all_is_out();
  vc->update_interest(Side::kWrite);
}

// --- messages of this thread --------------------------------------------------------------------

bool NetVConnection::queue_write(const void* data, size_t n) {
  if (!can_send()) return false;
  take_messages();
  return append(data, n);
}

bool NetVConnection::queue_write(BlockChain& message) {
  if (!can_send()) return false;
  take_messages();
  return append(message);
}

bool NetVConnection::append(const void* data, size_t n) {
  const int64_t before = out_.requests();
  if (!out_.append(data, n)) return false;
  unsent_.add(static_cast<int64_t>(n), out_.requests() - before);
  update_interest(Side::kWrite);
  return true;
}

bool NetVConnection::append(BlockChain& message) {
  const int64_t before = out_.requests();
  const int64_t n = message.size();
  if (!out_.append(message)) return false;
  unsent_.add(n, out_.requests() - before);
  update_interest(Side::kWrite);
  return true;
}

void NetVConnection::message_lost() { set_failed(pool().address(id_), ENOMEM, {}); }

// The beginning of a message, when nothing is in front of it and the kernel was not seen full: how
// much has left. When that is nothing, what others have submitted before is in the queue. When it
// is a part, the rest is the next to be queued, in front of all that others submit (SW-9).
size_t NetVConnection::write_some(const void* data, size_t n) {
  const size_t sent = can_send_at_once() ? try_send(data, n) : 0;
  if (sent == 0) take_messages();
  return sent;
}

bool NetVConnection::can_send_at_once() const {
  return out_.empty() && writes_.idle() && write.triggered && !connect_ && handler &&
         recursion_ == 0 && !urgent_waits();
}

size_t NetVConnection::try_send(const void* data, size_t n) {
  const iovec iov{const_cast<void*>(data), n};
  unsigned needs = 0;
  const ssize_t r = write_to_kernel(&iov, 1, &needs);
  if (r > 0) return static_cast<size_t>(r);
  if (r == -EAGAIN || r == -EINPROGRESS || r == -ENOTCONN) {
    write.triggered = false;
  } else if (r < 0 && r != -ENOBUFS && r != -ENOMEM) {
    socket_error(static_cast<int>(-r));  // latched: the write pass meets it again and reports
  }
  return 0;
}

bool NetVConnection::write_now(const void* data, size_t n) {
  if (!can_send()) return false;
  const size_t sent = write_some(data, n);
  if (sent == n) return true;
  if (!append(static_cast<const char*>(data) + sent, n - sent)) {
    if (sent > 0) message_lost();
    return false;
  }
  if (sent > 0) out_.begin();
  return true;
}

}  // namespace netvc
