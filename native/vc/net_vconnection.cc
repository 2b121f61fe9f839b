#include "vc/net_vconnection.h"

#include <sys/ioctl.h>
#ifdef __linux__
#include <linux/sockios.h>
#endif

#include "net/socket_options.h"
#include "vc/extras.h"
#include "vc/pair_end.h"
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
    if (read_ended_ || unread_) read.triggered = true;  // the end is still there to be told
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
  const bool was = d.enabled;
  d.enabled = s == Side::kRead
                  ? (read_vio.enabled && !connect_) || graceful_ || (watched_ && !closed_now())
                  : write_vio.enabled || messages_wait() || connect_;
  if (timeouts_ && d.enabled != was) timeouts_interest(d.enabled);
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
    case kDataLocal:
    case kDataRemote:
      if (!pair_) return false;
      *static_cast<void**>(data) = pair_->user_data(id == kDataRemote);
      return true;
    default:
      return false;
  }
}

bool NetVConnection::set_data(int id, void* data) {
  if (!pair_ || (id != kDataLocal && id != kDataRemote)) return false;
  pair_->set_user_data(id == kDataRemote, data);
  return true;
}

// --- attaching ----------------------------------------------------------------------------------

int NetVConnection::attach(NetHandler& h) {
  if (const int error = h.attach(*this, con_.fd())) return error;
  home_.store(&h, std::memory_order_release);  // pairs with home()
  pool().set_owner(id_, h.owner);
  last_activity_ = h.now();
  update_interest(Side::kRead);
  update_interest(Side::kWrite);
  arm_write_deadline();
  arm_timeouts();
  if (extras_) pause_oob(true);
  return 0;
}

bool NetVConnection::settle() {
  MIOBuffer* buf = read_vio.buffer.writer();
  return !buf || read.triggered || buf->release_if_drained();
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
  return set_congestion_control(con_.fd(), name) == 0 ? 0 : -1;
}

}  // namespace netvc
