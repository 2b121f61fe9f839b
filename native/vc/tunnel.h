// vc/tunnel.h - public to the next layers.
//
// Tunnel: two connections of one net thread joined in both directions, without anybody else per
// byte. Each direction is one bounded buffer: the source stops being read while it is full.
// Half-close is kept: the end of one direction, after its last byte, shuts the writing side of the
// other connection, and the opposite direction goes on.
//
//        read VIO            write VIO
//   a ------------> [buffer] ------------> b
//     <------------ [buffer] <------------
//
// Ends when both directions have ended, or one connection was closed by its user, or one of its
// limits says so (vc/tunnel_watch.h); then both are closed and the listener is told once, on the
// net thread.
//
// An error never overtakes bytes (RD-17): what the source had sent is delivered first. It never
// looks like an end either: a side gets FIN when the other one has ended its stream and all of it
// was handed over, RST when it has failed, or when bytes for it are dropped. A reset makes the
// kernel forget what it has not sent, so it waits until the peer has acknowledged everything; no
// longer than the stall limit, or kStallAfterError without one.
//
// Messages that were queued on a connection before (queue_write) leave before the tunnel's bytes. A
// read operation under way is ended, and what it has brought and its reader (with several, the most
// advanced one) has not consumed comes next: bytes that somebody has looked at are not lost.
//
// Owner: reference counted; lives at least until it has ended. Threads: start() and everything else
// on the connections' thread; bytes() from any.
#pragma once

#include "base/counter.h"
#include "vc/net_vconnection.h"
#include "vc/tunnel_watch.h"

namespace netvc {

struct TunnelResult {
  TunnelEnd end = TunnelEnd::kEos;
  int error_number = 0;
  int side = 0;  // 0: a, 1: b; where the error, the close or the stall was met
};

class Tunnel;

class TunnelListener {
 public:
  virtual void on_tunnel_end(Tunnel& t, const TunnelResult& result) = 0;
  /// See VcObserver::belongs_to.
  virtual bool belongs_to(const void*) const { return false; }
  /// It is not told anything any more: the tunnel goes on by itself.
  virtual void on_tunnel_left() {}

 protected:
  ~TunnelListener() = default;
};

struct TunnelOptions {
  int size_index = kIndex64K;
  int64_t water_mark = int64_t{64} << 10;  // bytes unread per direction before reading stops
  TunnelLimits limits{};
};

class Tunnel final : public RefCounted<Tunnel>, private Continuation, private VcObserver {
 public:
  Tunnel(TunnelListener* listener, const TunnelOptions& options)
      : listener_(listener), options_(options) {}
  ~Tunnel() override = default;

  /// Any thread: joins a and b on a's thread, moving b there first if it lives elsewhere.
  static void join(Ref<Tunnel> t, VersionedId a, VersionedId b);
  /// Both on this thread, attached. Nobody else may use the reader of a read operation any more.
  void start(VcPool::Handle a, VcPool::Handle b);
  /// Ends it now: both connections are closed, unsent bytes are dropped.
  void close() { end({TunnelEnd::kClosed, 0, 0}); }
  /// The same from any thread, and also while it has not started.
  static void close(const Ref<Tunnel>& t, VersionedId a, VersionedId b);

  /// Any thread: if it has not started it never will, and ends as if a connection were gone.
  void abandon() { abandoned_.store(true, std::memory_order_release); }

  /// Any thread: bytes that have left towards the other side; direction 0 is a to b.
  int64_t bytes(int direction) const { return legs_[direction].moved.get(); }
  bool ended() const { return ended_; }

  /// How long bytes of a failed source may wait for a side that takes none.
  static constexpr Nanos kStallAfterError = 10 * kSecond;

 private:
  // Everything about one source: its connection, what was read from it, how far it got.
  struct Leg {
    VcPool::Handle vc;
    Ref<MIOBuffer> buf;
    IOBufferReader* reader = nullptr;
    Counter moved;
    bool done = false;     // source at its end, and its bytes handed over or undeliverable
    bool cut = false;      // source has failed: what it sent is not whole
    bool dropped = false;  // destination takes no more
  };

  static void take_off(Ref<Tunnel> t, VersionedId a, VersionedId b, NetHandler& here);
  static void bring_together(Ref<Tunnel> t, VersionedId a, VersionedId b);
  static void fail(Ref<Tunnel> t, VersionedId a, VersionedId b);
  void take_over(int source, NetVConnection& vc);
  int handle_event(Event event, VIO* vio) override;
  void on_vc_closed(NetVConnection& vc, bool by_itself) override;
  bool belongs_to(const void* group) const override {
    return listener_ && listener_->belongs_to(group);
  }
  bool goes_on_without(const void* group) override;
  int leg_of(const VConnection* vc) const { return vc == legs_[0].vc.get() ? 0 : 1; }
  void on_read(Event event, int source);
  void on_write(Event event, int source, VIO& vio);
  void source_ended(int source);
  void source_failed(int source, int error);
  void drop(int source);
  void direction_done(int source);
  void half_closed();
  void finish();
  bool delivering() const;
  void failed(int error, int side);
  bool owes_reset(int side, TunnelEnd how) const;
  void watch();
  static void on_watch(void* tunnel);
  void end(TunnelResult result);

  TunnelListener* listener_;
  TunnelOptions options_;
  Leg legs_[2];
  Ref<Tunnel> self_;           // until ended
  VcPool::Handle joining_[2];  // until it has started: why one of them has gone meanwhile
  TunnelWatch watch_;
  Timer watch_timer_{&on_watch, this};
  NetHandler* at_ = nullptr;  // where it has started
  Nanos half_closed_at_ = 0;
  TunnelResult outcome_;    // how it ends when both directions have
  Nanos next_look_ = 0;     // while delivering: after so long
  bool finishing_ = false;  // both directions are done
  bool ended_ = false;
  std::atomic<bool> abandoned_{false};  // release in abandon, acquire before it starts
};

}  // namespace netvc
