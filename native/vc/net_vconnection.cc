#include "vc/net_vconnection.h"

#include <netinet/tcp.h>
#include <sys/ioctl.h>
#ifdef __linux__
#include <linux/sockios.h>
#endif

#include <cstring>

#include "net/socket_ops.h"
#include "vc/pending_connect.h"

namespace netvc {

namespace {

uint32_t next_sequence() {
  static std::atomic<uint32_t> last{0};  // a name giver, orders nothing
  uint32_t n;
  do {
    n = last.fetch_add(1, std::memory_order_relaxed) + 1;
  } while (n == 0);
  return n;
}

}  // namespace

VcPool& NetVConnection::pool() {
  static auto* pool = new VcPool();  // outlives every thread
  return *pool;
}

NetVConnection* NetVConnection::create(Connection&& con, VcContext context) {
  return pool().create(std::move(con), context);
}

NetVConnection::NetVConnection(VersionedId id, Connection con, VcContext context)
    : id_(id),
      sequence_(next_sequence()),
      con_(std::move(con)),
      submit_time_(monotonic_now()),
      context_(context) {
  read_vio.vc_server = write_vio.vc_server = this;
}

NetVConnection::~NetVConnection() { NETVC_ASSERT(!open_link.linked); }

// --- arming -------------------------------------------------------------------------------------

VIO* NetVConnection::arm(VIO& vio, Op op, Continuation* c, int64_t nbytes, bool has_buffer) {
  vio.op = op;
  vio.cont = c;
  vio.ndone = vio.reported = 0;
  vio.ended = false;
  ++vio.generation;
  if (has_buffer) {
    vio.nbytes = nbytes;
  } else {  // B-1, B-2: nothing that could run is left
    vio.buffer.clear();
    vio.nbytes = 0;
    disable(op == Op::kRead ? Side::kRead : Side::kWrite);
  }
  return &vio;
}

VIO* NetVConnection::do_io_read(Continuation* c, int64_t nbytes, Ref<MIOBuffer> m) {
  if (closed_now()) return nullptr;
  const bool has_buffer = static_cast<bool>(m);
  if (has_buffer) read_vio.buffer.writer_for(std::move(m));
  arm(read_vio, Op::kRead, c, nbytes, has_buffer);
  if (has_buffer && c) {
    if (read_ended_) read.triggered = true;  // the end is still there to be told
    reenable(&read_vio);
  }
  return &read_vio;
}

VIO* NetVConnection::do_io_write(Continuation* c, int64_t nbytes, IOBufferReader* r, bool owner) {
  NETVC_CHECK(!(r && owner));
  if (closed_now()) return nullptr;
  if (r) write_vio.buffer.reader_for(r);
  arm(write_vio, Op::kWrite, c, nbytes, r != nullptr);
  if (r && c && nbytes != 0) {
    if (write_failed_) write.triggered = true;
    reenable(&write_vio);
  }
  return &write_vio;
}

void NetVConnection::reenable(VIO* vio) {
  const Side s = vio == &read_vio ? Side::kRead : Side::kWrite;
  if (closed_now() || is_shut(s) || vio->ended) return;
  vio->enabled = true;
  update_interest(s);
}

void NetVConnection::reenable_re(VIO* vio) {
  if (closed_now()) return;  // messages may keep the write side enabled, but the frame above frees
  const Side s = vio == &read_vio ? Side::kRead : Side::kWrite;
  reenable(vio);
  Direction& d = direction(s);
  if (!handler || !d.enabled || !d.triggered) return;
  handler->unschedule(d);
  net_io(d);
}

void NetVConnection::update_interest(Side s) {
  Direction& d = direction(s);
  d.enabled = s == Side::kRead ? read_vio.enabled && !connect_
                               : write_vio.enabled || !out_.empty() || connect_;
  if (handler) handler->reschedule(d);
}

void NetVConnection::disable(Side s) {
  vio_of(s).enabled = false;
  update_interest(s);
}

bool NetVConnection::get_data(int id, void* data) {
  switch (id) {
    case kDataReadVio:
      *static_cast<VIO**>(data) = &read_vio;
      return true;
    case kDataWriteVio:
      *static_cast<VIO**>(data) = &write_vio;
      return true;
    case kDataClosed:
      *static_cast<int*>(data) = closed_.load(std::memory_order_relaxed);
      return true;
    default:
      return false;
  }
}

// --- messages -----------------------------------------------------------------------------------

bool NetVConnection::queue_write(const void* data, size_t n, bool counted) {
  const auto size = static_cast<int64_t>(n);
  if (!can_send()) {
    if (counted) sent(size);
    return false;
  }
  if (!counted) add_unsent(size);
  out_.append(data, n);
  update_interest(Side::kWrite);
  return true;
}

bool NetVConnection::queue_write(BlockChain& message, bool counted) {
  if (!can_send()) {
    if (counted) sent(message.size());
    return false;
  }
  if (!counted) add_unsent(message.size());
  out_.append(message);
  update_interest(Side::kWrite);
  return true;
}

// May run the user's code; like signal(): false when the connection was closed meanwhile.
bool NetVConnection::sent(int64_t n) {
  const int64_t left = unsent_.fetch_sub(n, std::memory_order_relaxed) - n;
  if (drain_mark_ < 0 || left > drain_mark_) return true;
  drain_mark_ = -1;
  if (!observer || closed_now()) return true;
  ++recursion_;
  observer->on_drained(*this);
  --recursion_;
  if (!closed_now()) return true;
  if (recursion_ == 0) close_vc();
  return false;
}

void NetVConnection::notify_drained(int64_t mark) {
  drain_mark_ = mark;
  sent(0);
}

bool NetVConnection::write_now(const void* data, size_t n) {
  if (!can_send()) return false;
  size_t taken = 0;
  // Only when nothing is in front of it and the kernel was not seen full.
  if (out_.empty() && write.triggered && !connect_ && handler && recursion_ == 0) {
    const iovec iov{const_cast<void*>(data), n};
    unsigned needs = 0;
    handler->counters.write_calls.add();
    const ssize_t r = transport->write(con_, &iov, 1, &needs);
    if (r > 0) {
      taken = static_cast<size_t>(r);
      bytes_out_ += r;
      handler->counters.write_bytes.add(r);
      net_activity();
    } else if (r == -EAGAIN || r == -EINPROGRESS || r == -ENOTCONN) {
      write.triggered = false;
    } else if (r < 0 && r != -ENOBUFS && r != -ENOMEM) {
      socket_error(static_cast<int>(-r));  // latched: the write pass meets it again and reports
    }
  }
  return taken == n || queue_write(static_cast<const char*>(data) + taken, n - taken);
}

// --- attaching, shutting, closing ---------------------------------------------------------------

int NetVConnection::attach(NetHandler& h) {
  if (const int error = h.attach(*this, con_.fd())) return error;
  home_.store(&h, std::memory_order_release);  // pairs with home()
  pool().set_owner(id_, h.owner);
  last_activity_ = h.now();
  update_interest(Side::kRead);
  update_interest(Side::kWrite);
  return 0;
}

void NetVConnection::do_io_shutdown(Shutdown how) {
  if (closed_now()) return;
  const auto sides = static_cast<unsigned>(how);
  if (sides & kShutRead) {
    shut_ |= kShutRead;  // OR, so that READ then WRITE keeps both (B-9)
    ::shutdown(con_.fd(), SHUT_RD);
    read_vio.clear();
    update_interest(Side::kRead);
  }
  if (sides & kShutWrite) {
    shut_ |= kShutWrite;
    write_vio.clear();
    if (out_.empty()) {
      ::shutdown(con_.fd(), SHUT_WR);
    } else {
      shut_after_flush_ = true;  // messages were accepted before: they go first
    }
    update_interest(Side::kWrite);
  }
}

void NetVConnection::do_io_close(int error) {
  if (closed_now()) return;
  read_vio.clear();
  write_vio.clear();
  if (error != 0 && error != -1) lerrno = error;
  closed_.store(error == -1 ? 1 : -1, std::memory_order_release);
  update_interest(Side::kRead);
  update_interest(Side::kWrite);
  if (recursion_ == 0) close_vc();  // else the outermost signal() frame does it (SIG-6)
}

void NetVConnection::close_vc() {
  if (observer) std::exchange(observer, nullptr)->on_vc_closed(*this, gone_);
  const bool unsent = !out_.empty() && handler && !write_failed_ && !connect_;
  if (closed_.load(std::memory_order_relaxed) == 1 && unsent && !gone_) {
    if (!lingering_) {
      lingering_ = true;
      linger_until_ = monotonic_now() + kLingerLimit;
      retry_later(kLingerLimit);
    }
    update_interest(Side::kWrite);
    return;
  }
  finish_close();
}

void NetVConnection::release() {
  read_vio.clear();
  write_vio.clear();
  closed_.store(1, std::memory_order_release);
  observer = nullptr;
  finish_close();
}

void NetVConnection::finish_close() {
  sent(out_.size());
  out_.clear();
  if (handler) {
    if (timer_) handler->timers.cancel(*timer_);
    cancel_connect();
    handler->detach(*this, con_.fd());
    handler->counters.closed.add();
  }
  con_.close();
  pool().fail(id_);  // may be the end of *this
}

void NetVConnection::shut_down() {
  NETVC_ASSERT(recursion_ == 0);
  if (closed_now()) return finish_close();  // was lingering
  ConnectHandler* told = connect_ ? connect_->handler : nullptr;
  gone_ = true;
  closed_.store(-1, std::memory_order_release);
  read_vio.clear();
  write_vio.clear();
  close_vc();
  if (told) told->on_open_failed({ECANCELED, 0});
}

bool NetVConnection::settle() {
  MIOBuffer* buf = read_vio.buffer.writer();
  return !buf || read.triggered || buf->release_if_drained();
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

// --- what is known about it ---------------------------------------------------------------------

const Address& NetVConnection::local_addr() {
  if (!local_) {
    local_ = std::make_unique<Address>();
    if (con_.is_socket) Address::local_of(con_.fd(), local_.get());
  }
  return *local_;
}

int NetVConnection::outstanding() const {
  int n = 0;
#ifdef SIOCOUTQ
  if (con_.fd() < 0 || ::ioctl(con_.fd(), SIOCOUTQ, &n) != 0) return -1;
#else
  if (con_.fd() < 0 || ::ioctl(con_.fd(), TIOCOUTQ, &n) != 0) return -1;
#endif
  return n;
}

int NetVConnection::set_tcp_congestion_control(const char* name) {
#ifdef TCP_CONGESTION
  return ::setsockopt(con_.fd(), IPPROTO_TCP, TCP_CONGESTION, name,
                      static_cast<socklen_t>(std::strlen(name)));
#else
  (void)name;
  return -1;
#endif
}

}  // namespace netvc
