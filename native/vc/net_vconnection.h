// vc/net_vconnection.h - public to the next layers.
//
// NetVConnection: the VConnection over a descriptor (Apache Traffic Server's UnixNetVConnection).
// It lives in a slot of a process-wide pool and is named by a 64-bit versioned id; it belongs to
// exactly one NetHandler, on whose thread everything here runs.
//
//   created (adopt / open) --attach--> open --do_io_close--> closed: descriptor closed, slot freed
//                      \--connecting--/        (with unsent messages: lingers until they are out)
//
// Two ways to send share one ordered byte stream (docs/write-path.md): the write VIO, and messages,
// from this thread (queue_write) or from any (vc/write.h). A message goes before those bytes of the
// VIO that the kernel has not taken yet, and is never interleaved with them.
//
// Failure: as events with lerrno; the first socket error is latched and reported by either side
// (B-13). It also makes the connection "failed" for all who hold its id: brpc's SetFailed, see
// failure(). Death: close_vc() on the handler's thread; the memory stays until the last pool
// handle.
//
// Files: net_vconnection.cc arming and attaching, net_io.cc the activations, net_write.cc messages,
// moving.cc, pairing.cc, closing.cc, failure.cc, connecting.cc, oob.cc, trace.cc.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/versioned_pool.h"
#include "net/connection.h"
#include "net/net_handler.h"
#include "vc/codes.h"
#include "vc/notice.h"
#include "vc/observers.h"
#include "vc/send_queue.h"
#include "vc/timeouts.h"
#include "vc/transport.h"
#include "vc/unsent.h"
#include "vc/vconnection.h"
#include "vc/write_list.h"

namespace netvc {

class PairEnd;
class TraceSink;

enum class VcContext : uint8_t { kUnset, kInbound, kOutbound };

using VcPool = VersionedPool<NetVConnection>;

class NetVConnection final : public VConnection, public NetEvent {
 public:
  /// Takes a slot, and con's descriptor. Null when the pool is full, and con is untouched. The
  /// caller attaches or releases it.
  static NetVConnection* create(Connection&& con, VcContext context);
  static VcPool& pool();

  // --- VConnection
  VIO* do_io_read(Continuation* c, int64_t nbytes, Ref<MIOBuffer> m) override;
  VIO* do_io_write(Continuation* c, int64_t nbytes, IOBufferReader* r, bool owner = false) override;
  void do_io_shutdown(Shutdown how) override;
  void do_io_close(int lerrno = -1) override;
  void reenable(VIO* vio) override;
  void reenable_re(VIO* vio) override;
  bool get_data(int id, void* data) override;
  bool set_data(int id, void* data) override;

  // --- messages of this thread; other threads use vc/write.h
  /// Queues n bytes by copy; the next write pass sends them. False when nothing more can be sent,
  /// and, as of all of these, without memory: then can_send() still holds, and nothing was queued.
  bool queue_write(const void* data, size_t n);
  /// The same by reference; takes the message's blocks.
  bool queue_write(BlockChain& message);
  /// Sends at once, without copying, when nothing is in front; queues what the kernel did not take.
  /// Without memory for that the connection fails, since the peer has a part of the message.
  bool write_now(const void* data, size_t n);
  /// The same, of a message that several connections share: rest(from, chain) gives the blocks of
  /// what is left from there on, when not everything could be sent at once, or none without memory.
  template <class F>
  bool write_now(const void* data, size_t n, F rest) {
    if (!can_send()) return false;
    const size_t sent = write_some(data, n);
    if (sent == n) return true;
    BlockChain left;
    rest(sent, left);
    if (!left.empty() && append(left)) {
      if (sent > 0) out_.begin();
      return true;
    }
    if (sent > 0) message_lost();
    return false;
  }
  /// There was no memory for a message that had been accepted: the connection fails with ENOMEM.
  void message_lost();
  int64_t queued_bytes() const { return out_.size(); }
  bool can_send() const { return !closed_now() && stream_open(); }
  /// Tells 0 as soon as unsent() <= mark, maybe at once; otherwise why it never will. Not on the
  /// stack of a caller that passed anything but its own mark.
  void when_drained(int64_t mark, Notice* told);
  /// Messages of other threads are refused with this code from now on (0: not refused).
  void refuse_messages(int code) { refused_.store(code, std::memory_order_release); }

  /// Any thread: bytes of messages that were accepted and that the kernel has not taken.
  int64_t unsent() const { return unsent_.bytes(); }
  /// Any thread: closed by its user, or by itself.
  bool closed_to_all() const { return closed_.load(std::memory_order_acquire) != 0; }
  /// Any thread: new messages are refused with EOVERCROWDED, while the memory of those that wait is
  /// not below the limit.
  bool overcrowded() const { return unsent_.footprint() >= max_unwritten(); }
  int64_t max_unwritten() const { return max_unwritten_.load(std::memory_order_relaxed); }
  void set_max_unwritten(int64_t n) { max_unwritten_.store(n, std::memory_order_relaxed); }
  static constexpr int64_t kMaxUnwritten = int64_t{64} << 20;

  /// Any thread. 0 when the connection takes messages, otherwise the code to refuse them with.
  int write_refusal() const;
  /// Any thread, wait-free: counts and submits an acceptable request. See vc/write.h.
  static void submit(VersionedPool<NetVConnection>::Handle self, WriteRequest* r);

  // --- answers that messages will get (F-134); any thread
  static constexpr uint32_t kMaxPipelined = 0x3fff'ffff;
  struct Pipelined {
    uint32_t count;
    bool with_auth;
  };
  /// In the order of the messages on the wire. False when there is none.
  bool pop_pipelined(Pipelined* out);

  // --- failure (SK-4, SK-7); any thread
  /// 0 while it has not failed; then for ever the first error, or ENET_CLOSED.
  int failure() const { return failure_.load(std::memory_order_seq_cst); }
  bool failed() const { return failure() != 0 && failure() != ENET_CLOSED; }
  /// The first caller makes it fail: messages are refused, who waits is told, the socket is shut,
  /// and armed operations end with ERROR. False when it had failed or was closed before.
  static bool set_failed(VersionedPool<NetVConnection>::Handle self, int error, std::string text);
  /// Told exactly once with the error, also when it has failed already; ENET_CLOSED: it was closed.
  /// The ticket to give it up with; 0: told already.
  uint64_t on_failed(Notice* told);
  /// The notice, which is the caller's again and never told; null: it was told, or is being told.
  Notice* give_up_on_failed(uint64_t ticket);
  /// How many connections of this process have failed or were closed, modulo 2^32; raised after
  /// failure(). Who finds it unchanged needs not ask again.
  static std::atomic<uint32_t>& failures();
  /// It is to get no new work, and goes on (SK-9): available() is false for everybody from then on,
  /// until it ends. Any thread.
  void set_log_off() { log_off_.store(true, std::memory_order_relaxed); }
  bool available() const {
    return !log_off_.load(std::memory_order_relaxed) && failure() == 0 && !closed_to_all();
  }
  /// What set_failed was given; empty when the system failed it.
  std::string failure_text() {
    const auto text = failure_reason();
    return text ? *text : std::string();
  }
  std::shared_ptr<const std::string> failure_reason();

  // --- attaching
  /// Registers with h, whose thread this is; 0 or an errno value, then the VC is still the
  /// caller's.
  int attach(NetHandler& h);
  /// After attach, for an outgoing connection: connect(2); 0 or -errno.
  int issue_connect(const NetVCOptions& options) { return con_.connect(options); }
  /// An adopted descriptor that could not be used stays the caller's (CN-8).
  void give_back_descriptor() { con_.release(); }
  /// After attach: waits for the connect to end, at most timeout (0: no limit); tells handler.
  void wait_connected(ConnectHandler* handler, Nanos timeout);
  /// Gives up an unfinished connect without telling anybody.
  void cancel_connect();
  /// Frees a VC that was never attached, or that nobody was told about: no events.
  void release();
  /// Leaves this handler for `to`, keeping id and descriptor; done(vc) runs on to's thread when it
  /// is attached there, or with null if that failed. Both VIOs must be unarmed (MG-2).
  void move_to(NetHandler& to, std::function<void(NetVConnection*)> done);
  /// Any thread, of a connection that nobody else knows: it belongs to h from now on, whose thread
  /// attaches it before any command to it runs.
  void start_at(NetHandler& h);
  /// The same on h's thread, at once.
  void start_here(NetHandler& h);

  // --- ends of a pair (vc/pair_end.h)
  /// Before it is attached, and once.
  void become_pair_end(std::unique_ptr<PairEnd> end, const Address& local, const Address& remote);
  /// Null: it has a descriptor.
  PairEnd* pair_end() const { return pair_.get(); }
  /// The other end has moved bytes, or has ended: what for, as PairEnd::kWake*.
  void pair_woken(unsigned bits);

  // --- timeouts (TO-*; vc/timeouts.h)
  /// Tells kInactivityTimeout when no byte has moved for t, in either direction, while a direction
  /// is enabled; kActiveTimeout when t has passed, whatever moved. Once: then it is to be set
  /// again, though the next byte starts the first one anew. 0 cancels. A repeated call starts over.
  void set_timeout(TimeoutKind kind, Nanos t, uint32_t tag = 0);
  void set_inactivity_timeout(Nanos t) { set_timeout(TimeoutKind::kInactivity, t); }
  void set_active_timeout(Nanos t) { set_timeout(TimeoutKind::kActive, t); }
  void cancel_inactivity_timeout() { set_inactivity_timeout(0); }
  void cancel_active_timeout() { set_active_timeout(0); }
  Nanos get_inactivity_timeout() const { return get_timeout(TimeoutKind::kInactivity); }
  Nanos get_active_timeout() const { return get_timeout(TimeoutKind::kActive); }
  /// What was set stays known, and does not run until it is set again.
  void suspend_timeouts();
  Nanos get_timeout(TimeoutKind kind) const;
  uint32_t timeout_tag(TimeoutKind kind) const;
  /// The queues of net/connection_queues.h, whose answers these are; false also when it is closed,
  /// maybe as a victim of its own arrival.
  bool add_to_keep_alive_queue();
  bool add_to_active_queue();
  void remove_from_queues();
  /// last_activity() is exact from now on, and not that of the turn's beginning.
  void time_exactly() { exact_time_ = true; }

  // --- closing in other ways than do_io_close
  /// Nobody reads it for now: what its peer has sent stays in the kernel. A failure closes it at
  /// once, and the peer's end does when there is nothing left to read.
  void watch_for_end(bool on);
  /// Sends what was accepted, then FIN, then reads and drops what the peer still sends until its
  /// end, so that no RST overtakes the last bytes (B-63); after `limit` it is closed as it is.
  void close_gracefully(Nanos limit = kLingerLimit);
  /// RST; what is unsent is lost.
  void close_with_reset();
  /// However it is closed from now on, its peer hears a reset and not an end.
  void reset_when_closed();
  /// What the kernel still holds is read, then the read operation ends with this error.
  void end_reading(int error);
  /// Sent bytes that a reset would take back: the peer has not acknowledged them, and still may. 0
  /// where bytes are with the peer as soon as they are sent.
  int64_t undelivered() const;
  /// Bytes that were read, and belong in front of what comes: the next read operation gets them.
  void unread(BlockChain& bytes);

  // --- NetEvent
  void net_io(Direction& d) override;
  void shut_down() override;
  bool settle() override;
  bool overdue(Nanos now) const override;
  Nanos idle_since() const override { return last_activity_; }
  Evicted evict() override;

  // --- what is known about it
  VersionedId id() const { return id_; }
  uint32_t sequence() const { return sequence_; }  // process-wide, increasing, never 0 (VC-8)
  VcContext context() const { return context_; }
  Nanos submit_time() const { return submit_time_; }
  int get_socket() const { return con_.fd(); }
  const Address& remote_addr() const { return con_.remote; }
  /// Asked from the kernel once, then cached.
  const Address& local_addr();
  /// Bytes that the kernel has not seen acknowledged, -1 if unknown (VC-9).
  int outstanding() const;
  int apply_options(const NetVCOptions& options) { return con_.change_options(options); }
  int set_tcp_init_cwnd(int) {
    return -1;
  }  // TCP_INIT_CWND does not exist in Linux headers (VC-10)
  int set_tcp_congestion_control(const char* name);
  /// Each call of the transport is written to the sink from now on (OT-1), at most max_bytes of the
  /// bytes; null: no more of them. client: whose request it serves, as the lines are to say.
  void set_origin_trace(std::shared_ptr<TraceSink> sink, size_t max_bytes = 256);
  void set_origin_trace_addr(std::string client);
  void set_origin_trace_port(int port);
  /// Urgent bytes, by copy and in front of what waits to be sent, but not within a message (OB-1):
  /// 0, then told hears 0, maybe before this returns, or why they have not all left; else why not:
  /// told is the caller's.
  int send_oob(const void* data, size_t n, Notice* told);
  /// told hears ENET_OOB_CANCELLED; part may have left. No-op without (OB-2).
  void cancel_oob() { end_oob(ENET_OOB_CANCELLED); }
  /// One-shot: `event` when the write buffer was emptied and nothing else is told (WR-11); false
  /// cancels.
  void trap_write_buffer_empty(bool on, Event event = Event::kWriteReady) {
    trap_ = on;
    trap_event_ = event;
  }
  bool closed_now() const { return closed_.load(std::memory_order_relaxed) != 0; }
  /// Closed with an error, or with its handler.
  bool aborted() const { return closed_.load(std::memory_order_relaxed) < 0; }
  int recursion() const { return recursion_; }
  bool connecting() const { return connect_ != nullptr; }
  unsigned shut_sides() const { return shut_; }
  int latched_error() const { return latched_errno_; }
  Nanos last_activity() const { return last_activity_; }
  int64_t bytes_in() const { return bytes_in_; }
  int64_t bytes_out() const { return bytes_out_; }
  /// Any thread: where commands for this connection go right now.
  NetHandler* home() const { return home_.load(std::memory_order_acquire); }
  /// On h's thread: attached here. A command that was on its way when the connection left and came
  /// back can be in front of its arrival.
  bool is_at(const NetHandler& h) const { return home() == &h && open_link.linked; }
  std::atomic<uint32_t> remote_enables{0};  // see vc/remote.h
  uint32_t batch_messages = 0;              // see binding/write_batch.cc
  bool fails_with_reset = false;            // set_failed leaves the last word to the observer
  bool tell_close = false;                  // closed by somebody else than its user: see VcObserver

  VIO read_vio;
  VIO write_vio;
  VcObserver* observer = nullptr;
  Transport* transport = &Transport::plain();
  bool is_internal_request = false;  // carried (VC-12)
  bool is_transparent = false;
  uint32_t attributes = 0;

  static constexpr unsigned kShutRead = 1, kShutWrite = 2;
  static constexpr Nanos kLingerLimit = 10 * kSecond;  // unsent messages after do_io_close
  static constexpr Nanos kNew = 10 * kMillisecond;     // so long it is a newcomer (AC-7)

 private:
  friend class VersionedPool<NetVConnection>;
  struct PendingConnect;
  struct Extras;
  struct Shared;
  // Calls the writer on the connection's thread. Part of the connection, so that calling allocates
  // nothing: it is posted only by whoever finds writes_ idle, which it is not before it has run.
  class WriterCall final : public Task {
   public:
    explicit WriterCall(NetVConnection& vc) : vc_(vc) {}
    void run(NetHandler& here) override { vc_.writer_called(here); }  // may be the end of vc_
    void run_and_release(NetHandler& here) override { run(here); }
    void release() override {}

   private:
    NetVConnection& vc_;
  };
  enum class Sent { kAll, kBlocked, kFailed };

  NetVConnection(VersionedId id, Connection con, VcContext context);
  ~NetVConnection();

  bool stream_open() const { return !(shut_ & kShutWrite) && !write_failed_ && !shut_after_flush_; }
  VIO* arm(VIO& vio, Op op, Continuation* c, int64_t nbytes, bool has_buffer);
  VIO& vio_of(Side s) { return s == Side::kRead ? read_vio : write_vio; }
  bool is_shut(Side s) const { return (shut_ & (s == Side::kRead ? kShutRead : kShutWrite)) != 0; }
  void update_interest(Side s);
  void disable(Side s);
  void end_by_itself();
  void close_vc();
  void finish_close();
  void end_of_stream();
  void linger(Nanos limit);
  void linger_io(Direction& d);
  void all_is_out();
  void look_for_end();
  void shut_descriptor(int how);
  void arrive_at(NetHandler& to, std::function<void(NetVConnection*)> done);
  void retry_later(Nanos delay);
  static void on_timer(void* vc);

  // net_io.cc
  void read_from_net();
  int64_t fill_from_net(MIOBuffer& buf, int64_t toread);
  void end_of_read(ssize_t r);
  void write_to_net();
  void write_vio_to_net();
  void end_of_write(ssize_t r, unsigned needs);
  int64_t take_unread(MIOBuffer& buf, int64_t toread);
  bool stalled(VIO& vio, Side s);
  bool signal(Event e, VIO& vio);
  bool signal_done(Event e, Side s);
  bool signal_error(int error, Side s);
  void not_ready(Side s);
  bool out_of_memory(ssize_t r, Side s);
  uint8_t& retries_of(Side s) { return retries_[static_cast<size_t>(s)]; }
  int socket_error(int fallback);
  void net_activity() {
    if (timeouts_) return timeouts_moved();
    last_activity_ = exact_time_ ? monotonic_now() : handler->now();
  }

  // pairing.cc
  bool by_reference() const { return pair_ && is_direct(); }
  bool is_direct() const;
  bool pair_at_end() const { return pair_ && is_at_end(); }
  bool is_at_end() const;
  bool is_armed(Side s) const;
  int64_t read_room(MIOBuffer& buf) const;
  int64_t fill_from_pair(MIOBuffer& buf, int64_t toread);
  ssize_t give_to_pair(IOBufferReader& r, int64_t n, unsigned* needs);

  // timeouts.cc
  void arm_timeouts();
  void timeouts_moved();
  void timeouts_interest(bool enabled);
  static void on_timeout(void* vc);
  Continuation* addressee(Side s);
  bool can_tell_timeout();
  void tell_timeout(TimeoutKind kind);
  template <class F>
  bool in_queue_walk(F f);  // queueing.cc

  // net_write.cc
  ssize_t write_to_kernel(const iovec* iov, int count, unsigned* needs);
  Sent send_queued();
  void take_messages();
  bool append(const void* data, size_t n);
  bool append(BlockChain& message);
  size_t write_some(const void* data, size_t n);
  bool can_send_at_once() const;
  size_t try_send(const void* data, size_t n);
  // Something has to be sent in front of the write operation, or an end waits for that.
  bool messages_wait() const { return !out_.empty() || writing_ || shut_after_flush_; }
  int serialise(WriteRequest* r);
  bool finish_writing();
  void writer_called(NetHandler& here);
  void fail_queue(int error);
  void drop_messages(int code);
  void uncount(int64_t n, int64_t requests, WriteRequest* done, int code);
  void tell_drained(int64_t left);
  void take_back_answers(uint64_t order);
  void arm_write_deadline();
  static void on_write_deadline(void* vc);

  // failure.cc
  void fail_here();
  void note_failure(int error);
  void tell_failed(Notice* n, int error);
  Shared& shared();

  // oob.cc
  Extras& extras();
  void end_oob(int code);
  void push_oob();
  bool urgent_waits() const;
  int64_t before_urgent();
  void urgent_behind(int64_t n);
  void pause_oob(bool go_on);
  static void on_oob_timer(void* vc);

  // connecting.cc
  void connect_progress();
  void end_connect(ConnectError error);
  static void on_connect_deadline(void* vc);

  const VersionedId id_;
  const uint32_t sequence_;
  Connection con_;
  std::unique_ptr<Address> local_;
  std::unique_ptr<PendingConnect> connect_;
  std::unique_ptr<Timer> timer_;  // retry after ENOBUFS, or the end of lingering; made when needed

  SendQueue out_;
  WriterCall writer_call_{*this};
  // While writes_ is not idle. Stored by who found it idle, taken back before it is idle again,
  // both ordered by writes_ and the mailbox.
  VersionedPool<NetVConnection>::Handle writer_;
  bool writing_ = false;                // writer_called() has come: messages are taken from writes_
  std::atomic<bool> in_writev_{false};  // INV-29; checked in debug builds
  std::atomic<bool> log_off_{false};    // relaxed: orders nothing
  struct Drain {
    int64_t mark;
    Notice* told;
  };
  std::unique_ptr<std::vector<Drain>> drains_;
  std::unique_ptr<Timer> write_deadline_;
  std::unique_ptr<BlockChain> unread_;
  std::unique_ptr<Timeouts> timeouts_;
  std::unique_ptr<Extras> extras_;
  std::unique_ptr<PairEnd> pair_;

  // What a submission touches, in one cache line.
  alignas(64) WriteList writes_;
  Unsent unsent_;
  std::atomic<int64_t> max_unwritten_{kMaxUnwritten};  // relaxed
  // The first error. seq_cst with shared_: who registers publishes shared_, then looks at failure_;
  // who fails stores failure_, then looks at shared_ (SK-7).
  std::atomic<int> failure_{0};
  std::atomic<int> refused_{0};  // release in refuse_messages, acquire in write_refusal
  // 0 open, 1 closed, -1 aborted. Stored on the handler's thread (release); other threads may look.
  std::atomic<int> closed_{0};
  std::atomic<Shared*> shared_{nullptr};  // made when first needed, freed with the connection

  Nanos submit_time_;
  Nanos last_activity_ = 0;
  Nanos linger_until_ = 0;
  int64_t bytes_in_ = 0;
  int64_t bytes_out_ = 0;
  std::atomic<NetHandler*> home_{nullptr};  // release on attach, acquire in home()
  int recursion_ = 0;
  int latched_errno_ = 0;
  int last_error_ = 0;        // end_reading()
  ssize_t pending_read_ = 1;  // <= 0: how the next read activation ends, seen after bytes (B-12)
  uint8_t shut_ = 0;
  uint8_t retries_[2] = {};  // by side: times in a row that the system had no memory (B-17)
  VcContext context_;
  Event trap_event_ = Event::kWriteReady;
  bool trap_ = false;
  bool lingering_ = false;
  bool watched_ = false;   // watch_for_end()
  bool graceful_ = false;  // lingers until the peer's end
  bool shut_after_flush_ = false;
  bool write_failed_ = false;
  bool read_ended_ = false;  // EOS or ERROR was told: a new arming hears it again
  bool exact_time_ = false;
  bool gone_ = false;  // ended without do_io_close
};

}  // namespace netvc
