#include "vc/pair_end.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "vc/remote.h"

namespace netvc {

PairEnd::Core::Core(const PairOptions& o) : options(o) {
  for (Lane& lane : lanes) {
    lane.buf = MIOBuffer::create_empty(kIndex32K, o.core_bytes);
    lane.buf->set_shared();
    lane.reader = lane.buf->alloc_reader();
  }
}

bool PairEnd::create(const PairOptions& options, NetVConnection** active,
                     NetVConnection** passive) {
  Ref<Core> core(new Core(options));
  NetVConnection* ends[2] = {};
  for (int side : {0, 1}) {
    ends[side] = NetVConnection::create({}, side == 0 ? VcContext::kOutbound : VcContext::kInbound);
    if (!ends[side]) {
      if (side == 1) ends[0]->release();
      return false;
    }
    core->ids[side] = ends[side]->id();
  }
  for (int side : {0, 1}) {
    const Address& own = side == 0 ? options.active_addr : options.passive_addr;
    const Address& other = side == 0 ? options.passive_addr : options.active_addr;
    std::unique_ptr<PairEnd> end(new PairEnd(core, side, *ends[side]));
    ends[side]->become_pair_end(std::move(end), own, other);
  }
  ends[1]->is_internal_request = options.internal_request;
  *active = ends[0];
  *passive = ends[1];
  return true;
}

// --- bytes
// ----------------------------------------------------------------------------------------

int64_t PairEnd::room_out() const {
  return core_->options.core_bytes - out().buf->max_read_avail();
}

int64_t PairEnd::fill_limit(const MIOBuffer& buf) const {
  return std::max(buf.water_mark.load(std::memory_order_relaxed), core_->options.core_bytes);
}

bool PairEnd::at_end() const {
  const Lane& lane = in();
  // In this order: what was sent before the end is there once the end is seen.
  return lane.write_ended.load(std::memory_order_acquire) && lane.reader->read_avail() == 0;
}

// After the last byte (RD-17).
ssize_t PairEnd::end_of(const Lane& lane, bool ended) {
  if (!ended) return -EAGAIN;
  return lane.was_reset.load(std::memory_order_acquire) ? -ECONNRESET : 0;
}

ssize_t PairEnd::take(MIOBuffer& buf, int64_t n) {
  Lane& lane = in();
  const bool ended = lane.write_ended.load(std::memory_order_acquire);
  const int64_t there = std::min(lane.reader->read_avail(), n);
  if (there <= 0) return end_of(lane, ended);
  const int64_t taken = buf.add(lane.reader, there);
  if (taken == 0) return -ENOMEM;
  NETVC_CHECK(lane.reader->consume(taken));
  moved(taken, kWakeWrite);
  return taken;
}

ssize_t PairEnd::give(IOBufferReader& r, int64_t n) {
  if (refused()) return -EPIPE;
  n = std::min(n, room_out());
  if (n <= 0) return -EAGAIN;
  const int64_t given = out().buf->add(&r, n);
  if (given == 0) return -ENOMEM;
  NETVC_CHECK(r.consume(given));
  moved(given, kWakeRead);
  return given;
}

ssize_t PairEnd::read(Connection&, const iovec* iov, int count, unsigned* needs) {
  *needs |= kNeedsRead;
  Lane& lane = in();
  const bool ended = lane.write_ended.load(std::memory_order_acquire);
  int64_t n = 0;
  for (int i = 0; i < count; ++i)
    n += lane.reader->read(iov[i].iov_base, static_cast<int64_t>(iov[i].iov_len));
  if (n == 0) return end_of(lane, ended);
  moved(n, kWakeWrite);
  return n;
}

ssize_t PairEnd::write(Connection&, const iovec* iov, int count, unsigned* needs) {
  *needs |= kNeedsWrite;
  if (refused()) return -EPIPE;
  const int64_t room = room_out();
  if (room <= 0) return -EAGAIN;
  int64_t n = 0;
  for (int i = 0; i < count && n < room; ++i) {
    const int64_t part = std::min(static_cast<int64_t>(iov[i].iov_len), room - n);
    if (out().buf->write(iov[i].iov_base, part) < part) {
      if (n == 0) return -ENOMEM;
      break;
    }
    n += part;
  }
  moved(n, kWakeRead);
  return n;
}

// --- the other end
// ----------------------------------------------------------------------------------------

void PairEnd::moved(int64_t n, unsigned wake) {
  if (n <= 0) return;
  core_->moved_at.store(monotonic_now(), std::memory_order_relaxed);
  wake_peer(wake);
}

void PairEnd::wake_peer(unsigned bits) {
  VcPool::Handle peer = NetVConnection::pool().address(this->peer());
  NetHandler* home = peer ? peer->home() : nullptr;
  if (!home) return;
  if (home == vc_.handler && home->in_thread() && peer->is_at(*home)) return peer->pair_woken(bits);
  if (core_->wakes[1 - side_].fetch_or(bits, std::memory_order_acq_rel) != 0) return;
  remote::post(this->peer(), [](NetVConnection& there) { there.pair_woken(0); });
}

void PairEnd::shut(int how) {
  unsigned wake = 0;
  if (how != SHUT_WR && !in().read_ended.exchange(true, std::memory_order_acq_rel)) {
    in().reader->reset();
    wake |= kWakeWrite;
  }
  if (how != SHUT_RD && !out().write_ended.exchange(true, std::memory_order_acq_rel))
    wake |= kWakeRead;
  if (wake) wake_peer(wake);
}

void PairEnd::reset() {
  out().was_reset.store(true, std::memory_order_release);
  shut(SHUT_RDWR);
}

}  // namespace netvc
