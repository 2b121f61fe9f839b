// vc/pair_end.h - public to the next layers.
//
// PairEnd: what stands in the place of a descriptor in one of two connections that are joined
// inside the process (Apache Traffic Server's PluginVC; PV-*). Everything else of such a connection
// is a NetVConnection like any other: operations, messages, timeouts, tunnels, moving to another
// thread, workers.
//
//   active end  --give-->  [core buffer] --take-->  passive end
//               <--take--  [core buffer] <--give--
//
// A core buffer holds at most so many bytes (PV-26), and a small multiple of that in memory: pieces
// pass by reference if that keeps little else alive, and are copied together otherwise
// (MIOBuffer::add, PV-13). Whoever has moved bytes, or has ended,
// wakes the other end: directly when it is at the same handler, else by one command that stands for
// all until it has run (PV-6, PV-19).
//
// Owner: each connection owns its end; the core is shared by both, and freed with the later one
// (PV-30). Threads: an end belongs to its connection's thread; the two may be different ones
// (PV-29). They meet in the core: two shared buffers, whose bytes are ordered by their own
// counters, and the atomics below.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "base/versioned_pool.h"
#include "buffer/mio_buffer.h"
#include "net/address.h"
#include "vc/transport.h"

namespace netvc {

class NetVConnection;

struct PairOptions {
  int64_t core_bytes = int64_t{32} << 10;  // per direction
  Address active_addr, passive_addr;       // what the ends say of themselves and each other (PV-25)
  std::string tag;                         // who made it, and its number there: for people
  int64_t tag_id = 0;
  bool internal_request = false;  // the mark of the passive end
};

class PairEnd final : public Transport {
 public:
  static constexpr unsigned kWakeRead = 1, kWakeWrite = 2;

  /// Two connections that nobody knows yet, not attached. False when the pool is full.
  static bool create(const PairOptions& options, NetVConnection** active, NetVConnection** passive);
  ~PairEnd() override = default;

  bool is_active() const { return side_ == 0; }
  VersionedId peer() const { return core_->ids[1 - side_]; }
  const PairOptions& options() const { return core_->options; }

  // --- bytes
  /// Moves up to n bytes from the peer into buf: how many, 0 at the end, or -EAGAIN.
  ssize_t take(MIOBuffer& buf, int64_t n);
  /// Moves up to n bytes of r to the peer: how many, or -EAGAIN, -EPIPE.
  ssize_t give(IOBufferReader& r, int64_t n);
  /// To how many unread bytes a read operation fills buf: the core's size even if its water mark is
  /// lower (PV-17).
  int64_t fill_limit(const MIOBuffer& buf) const;
  int64_t room_in(const MIOBuffer& buf) const { return fill_limit(buf) - buf.max_read_avail(); }
  /// Everything that the peer has sent was taken, and nothing follows.
  bool at_end() const;
  bool was_reset() const { return in().was_reset.load(std::memory_order_acquire); }
  /// The peer does not take anything any more (PV-10).
  bool refused() const { return out().read_ended.load(std::memory_order_acquire); }
  /// When bytes have moved last, in either direction, by either end.
  Nanos moved_at() const { return core_->moved_at.load(std::memory_order_relaxed); }
  /// The peer has taken something: gives blocks back if nothing is left.
  void settle() { out().buf->release_if_drained(); }

  // --- ending; the peer is told at once (PV-22, PV-23)
  /// how: SHUT_RD, SHUT_WR, SHUT_RDWR.
  void shut(int how);
  /// The peer reads ECONNRESET after the bytes that it was sent, in place of the end.
  void reset();

  /// What the peer has woken this end for since the last call; the connection's thread.
  unsigned take_wakes() { return core_->wakes[side_].exchange(0, std::memory_order_acq_rel); }

  // --- opaque values of the users, mirrored: one end's local is the other one's remote (PV-25)
  void* user_data(bool remote) const {
    return core_->user_data[remote ? 1 - side_ : side_].load(std::memory_order_acquire);
  }
  void set_user_data(bool remote, void* p) {
    core_->user_data[remote ? 1 - side_ : side_].store(p, std::memory_order_release);
  }

  // --- the same of users in different threads: bytes, of which each of them has a copy. Any
  // thread.
  std::string user_bytes(bool remote) const {
    const std::lock_guard<std::mutex> lock(core_->bytes_mutex);
    return core_->user_bytes[remote ? 1 - side_ : side_];
  }
  void set_user_bytes(bool remote, std::string bytes) {
    const std::lock_guard<std::mutex> lock(core_->bytes_mutex);
    core_->user_bytes[remote ? 1 - side_ : side_].swap(bytes);
  }

  // --- Transport: the same bytes by copy, for messages
  ssize_t read(Connection& con, const iovec* iov, int count, unsigned* needs) override;
  ssize_t write(Connection& con, const iovec* iov, int count, unsigned* needs) override;
  bool short_read_means_empty(const Connection&) const override { return false; }

 private:
  // One direction. The flags are stored with release by the end that they are about, after what it
  // had to say, and loaded with acquire by the other one.
  struct Lane {
    Ref<MIOBuffer> buf;
    IOBufferReader* reader = nullptr;
    std::atomic<bool> write_ended{false};
    std::atomic<bool> read_ended{false};
    std::atomic<bool> was_reset{false};
  };
  struct Core final : RefCounted<Core> {
    explicit Core(const PairOptions& o);
    PairOptions options;
    VersionedId ids[2] = {};
    Lane lanes[2];                   // [i]: from end i to the other
    std::atomic<Nanos> moved_at{0};  // relaxed: a time
    // What end i is to look at. Bits are set by the other end, and taken by end i (both acq_rel):
    // who finds none there sends the command that takes them.
    std::atomic<unsigned> wakes[2] = {};
    std::atomic<void*> user_data[2] = {};
    std::mutex bytes_mutex;  // of users alone: no I/O takes it
    std::string user_bytes[2];
  };

  PairEnd(Ref<Core> core, int side, NetVConnection& vc)
      : core_(std::move(core)), side_(side), vc_(vc) {}
  Lane& in() const { return core_->lanes[1 - side_]; }
  Lane& out() const { return core_->lanes[side_]; }
  static ssize_t end_of(const Lane& lane, bool ended);
  int64_t room_out() const;
  void moved(int64_t n, unsigned wake);
  void wake_peer(unsigned bits);

  const Ref<Core> core_;
  const int side_;  // 0: active
  NetVConnection& vc_;
};

}  // namespace netvc
