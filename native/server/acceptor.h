// server/acceptor.h - public to the next layers.
//
// ListenSocket: a bound, listening descriptor and what accepted connections get (AC-1, AC-2).
// Acceptor: drives one ListenSocket on one NetHandler: accepts until there is nothing more or the
// limit per wake-up is reached (AC-7; fewer while those who are there are busy), makes connections,
// hands each to the net thread that is next, attaches it there and tells the handler (AC-3..AC-5).
//
// pause() and resume() open and shut a gate; the edges that come meanwhile are kept in
// read.triggered.
//
// Out of descriptors (MA-2, B-40, INV-22) it evicts the connection that has idled longest, if one
// was put into the keep-alive queue, and waits for its descriptor; otherwise it takes in and closes
// those who wait, with a spare descriptor, so that they know; kRescues of them, then it pauses.
//
// Modes: one Acceptor on one net thread; one on each net thread, sharing the socket (the kernel
// wakes one of them); one or more on threads of their own. The inline engine is the first.
//
// Owner: both are reference counted. An Acceptor is alive from start() until cancel() or a fatal
// error has taken effect on its thread; the socket closes with its last user.
// Threads: start() and cancel() from any; the AcceptHandler is called on the connection's thread
// (on_accept) or the acceptor's (the rest).
#pragma once

#include <sys/types.h>

#include <atomic>
#include <functional>
#include <string>

#include "base/fd.h"
#include "base/ref.h"
#include "vc/net_vconnection.h"

namespace netvc {

struct AcceptOptions {
  int backlog = 0;  // 0: as long as the kernel allows (somaxconn)
  bool reuse_port = false;
  bool ipv6_only = true;
  int fd = -1;              // a bound socket to use instead of a new one; owned after success
  int defer_accept_s = 0;   // TCP_DEFER_ACCEPT
  int fast_open_queue = 0;  // TCP_FASTOPEN
  // IP_TRANSPARENT: connections to addresses that are not this machine's, as the firewall sends
  // them here; local_addr() is then where the peer meant to go. Needs CAP_NET_ADMIN.
  bool transparent = false;
  int accepts_per_wakeup = 16;
  bool backdoor = false;     // exempt from net/throttle.h (TH-5)
  Nanos idle_timeout = 0;    // AP-5: fails with EUNUSED who is idle for longer; 0: nobody
  Ref<Admission> admission;  // null: nothing is limited
  NetVCOptions connection;
};

class AcceptHandler {
 public:
  /// The connection is attached; usually arms it. Closing it here is legal (CL-7).
  virtual void on_accept(NetVConnection& vc) = 0;
  /// A fatal error; the acceptor stops (AC-6).
  virtual void on_accept_error(int error) = 0;
  /// A limit holds: accepting waits, or one was closed (kAddressFull, kNoDescriptor). On the
  /// acceptor's thread, and as often as it happens.
  virtual void on_accept_limited(Admission::Verdict) {}
  /// A descriptor is needed, and nobody waits in the keep-alive queue of the acceptor's thread:
  /// true if another thread was asked. On the acceptor's thread.
  virtual bool make_room() { return false; }
  /// A connection of another thread was told to go and is still there. On the acceptor's thread.
  virtual bool somebody_leaves() { return false; }
  /// Exactly once per acceptor that was given to start(): nothing of it calls the handler any more.
  /// On the acceptor's thread, or the one that got its last connection.
  virtual void on_accept_stopped() = 0;

 protected:
  ~AcceptHandler() = default;
};

class ListenSocket : public RefCounted<ListenSocket> {
 public:
  /// 0 or an errno value. A stale unix socket file is replaced, a live one is EADDRINUSE.
  static int open(const Address& address, const AcceptOptions& options, Ref<ListenSocket>* out);
  ~ListenSocket();
  /// Any thread. A listener owns this descriptor, which was given to it by AcceptOptions::fd:
  /// open() answers EBUSY to whoever gives it again.
  static bool is_taken(int fd);

  int fd() const { return fd_.get(); }
  /// With the port that the kernel chose.
  const Address& address() const { return address_; }
  const AcceptOptions& options() const { return options_; }

 private:
  ListenSocket() = default;
  int bind_new(const Address& address);
  UniqueFd fd_;
  Address address_;
  AcceptOptions options_;
  std::string unlink_path_;  // the unix socket file that is ours
  ino_t inode_ = 0;
};

class Acceptor final : public RefCounted<Acceptor>, private NetEvent {
 public:
  /// Where a new connection goes; called on the acceptor's thread.
  using Choose = std::function<NetHandler&()>;

  Acceptor(Ref<ListenSocket> socket, AcceptHandler* told, Choose choose)
      : socket_(std::move(socket)),
        told_(told),
        choose_(std::move(choose)),
        idle_timeout_(socket_->options().idle_timeout),
        pause_(&on_pause_over, this) {}
  ~Acceptor();

  /// On h's thread. When it cannot, or was cancelled before, the handler is told at once.
  /// `exclusive` when several acceptors share the socket.
  void start(NetHandler& h, bool exclusive);
  /// Any thread. On the acceptor's thread no on_accept follows; connections on their way to another
  /// thread are closed there untold, and on_accept_stopped comes after the last of them.
  static void cancel(Ref<Acceptor> a);

  /// Any thread, before start() too. Nobody is accepted from now on but the one whose accept is
  /// under way, on each acceptor; who was accepted before is still delivered. Others wait in the
  /// kernel's queue.
  void pause() { gate_.store(kShut, std::memory_order_seq_cst); }
  enum class Until : uint8_t { kPaused, kSomebodyCame };
  /// The same threads as pause(), one at a time. kSomebodyCame: pauses by itself at the end of the
  /// first wake-up that has handed somebody over, so that accepts_per_wakeup come at most.
  static void resume(Ref<Acceptor> a, Until until);

  static constexpr Nanos kPause = 50 * kMillisecond;      // after EMFILE, ENFILE, ENOBUFS, ENOMEM
  static constexpr int kBusyPerAccept = 8;                // activations of others for each accept
  static constexpr Nanos kQuiet = kMillisecond;           // after it they are not busy any more
  static constexpr int kRescues = 32;                     // between two such pauses
  static constexpr Nanos kFullPause = 10 * kMillisecond;  // between two looks whether one has gone

 private:
  void net_io(Direction& d) override;
  void shut_down() override { stop(); }
  bool is_connection() const override { return false; }
  bool accept_one();
  bool admit(Admission::Ticket* ticket);
  int share_of_turn();
  bool throttled();
  bool somebody_waits();
  bool make_room();
  bool rescue();
  void pause_until(Nanos when);
  void update();
  void hand_over(NetVConnection* vc);
  bool deliver(NetVConnection& vc, NetHandler& h);
  void nobody_came();
  void stop();
  void call_ended();
  static void on_pause_over(void* acceptor);

  Ref<ListenSocket> socket_;
  AcceptHandler* told_;
  Choose choose_;
  const Nanos idle_timeout_;
  Timer pause_;
  UniqueFd spare_;  // given up for a moment, so that who waits can be accepted, and closed (MA-2)
  int rescues_ = 0;
  uint64_t served_before_ = 0;  // NetHandler::busy() that accepts were taken for
  Ref<Acceptor> self_;          // while started
  // start stores home_ and looks at cancelled_; cancel stores cancelled_ and looks at home_: all
  // four seq_cst, so that one of them sees the other.
  std::atomic<NetHandler*> home_{nullptr};
  std::atomic<bool> cancelled_{false};
  // kSpent: shut by itself, after a resume(kSomebodyCame), whose number it had till then, so that
  // no later one is taken back with it. resume() stores gate_ and looks at home_, as cancel() does.
  static constexpr uint32_t kShut = 0, kSpent = 1, kOpen = 2, kAgain = 3;
  std::atomic<uint32_t> gate_{kOpen};
  uint32_t last_gate_ = kAgain;  // of resume()
  bool handed_over_ = false;     // in this wake-up
  // Who may still call the handler: this until stop(), and every connection on its way to another
  // thread. acq_rel: the last one sees all calls done.
  std::atomic<int> callers_{1};
};

}  // namespace netvc
