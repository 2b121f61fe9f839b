// binding/js_reactor.h - internal to native/binding.
//
// JsReactor: one Reactor of JavaScript. Inline: a NetHandler whose turns run on the JavaScript
// thread, its epoll set nested in the env's uv loop. Threaded: a pool of net threads, its own, or
// the one that all threads of the process share (binding/shared_pool.h).
//
// Owner: EnvState. Threads: the env's. Death: stop() shuts the handlers down (and joins threads),
// the destructor follows when JavaScript has heard of everything.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "binding/env_state.h"
#include "binding/shared_pool.h"
#include "net/net_thread.h"
#include "server/acceptor.h"
#include "server/connect.h"
#include "vc/tunnel.h"

namespace netvc {

/// Keeps JavaScript from the readers of a buffer that a connection's thread is about to take over.
class ReaderHold {
 public:
  explicit ReaderHold(MIOBuffer* m);
  ReaderHold(ReaderHold&&) = default;
  ~ReaderHold();

 private:
  Ref<MIOBuffer> buffer_;
  int places_;
};

/// One address that JavaScript listens on: its socket and the acceptors that share it.
class JsListener final : public AcceptHandler {
 public:
  JsListener(JsReactor& reactor, uint32_t id) : reactor_(reactor), id_(id) {}
  void on_accept(NetVConnection& vc) override;
  void on_accept_error(int error) override;
  void on_accept_limited(Admission::Verdict v) override;
  bool make_room() override;
  bool somebody_leaves() override;
  void on_accept_stopped() override;

  void cancel();
  void pause();
  void resume(Acceptor::Until until);

  Ref<ListenSocket> socket;
  Distribute distribute = Distribute::kNone;
  CarriedTimeouts timeouts;
  std::vector<Ref<Acceptor>> acceptors;
  Ref<Admission> admission;
  std::atomic<int> running{0};  // acceptors that have not stopped; counts, orders nothing else

 private:
  void post(RecordKind kind, int error);
  std::atomic<Nanos> limited_at_[Admission::kVerdicts] =
      {};  // by verdict: when it was told last; relaxed
  JsReactor& reactor_;
  uint32_t id_;
};

/// One tunnel of JavaScript; freed by it once its end was told, or with the reactor.
class JsTunnel final : public TunnelListener {
 public:
  JsTunnel(JsReactor& reactor, uint32_t id, const TunnelOptions& options)
      : tunnel(new Tunnel(this, options)), reactor_(reactor), id_(id) {}
  void on_tunnel_end(Tunnel& t, const TunnelResult& result) override;
  bool belongs_to(const void* group) const override;
  void on_tunnel_left() override { told.store(true, std::memory_order_release); }

  Ref<Tunnel> tunnel;
  /// The buffers of read operations that the tunnel takes over.
  std::vector<ReaderHold> held;
  /// Its end was told, or is being told by its thread; release there, acquire by detach().
  std::atomic<bool> told{false};

 private:
  JsReactor& reactor_;
  uint32_t id_;
};

class JsReactor {
 public:
  /// threads 0: inline. 0 or a negative errno / uv error in *error.
  static std::unique_ptr<JsReactor> create(EnvState& state, int threads, int* error);
  static std::unique_ptr<JsReactor> create_shared(EnvState& state, int threads, uint32_t worker,
                                                  int* error);
  ~JsReactor();

  EnvState& state() { return state_; }
  bool is_inline() const { return inline_handler_ != nullptr; }
  bool owns(const RecordPort& p) const;
  /// Of all handlers, in order; port i belongs to handler i.
  size_t size() const { return ports_.size(); }
  NetHandler& handler(size_t i) { return ports_[i]->handler(); }
  JsPort& port(size_t i) { return *ports_[i]; }
  uint32_t port_number(size_t i) const { return port_numbers_[i]; }
  JsPort& port_of(const NetHandler& h) { return *ports_[static_cast<size_t>(h.index)]; }
  NetHandler& next_handler() {
    return is_inline() ? *inline_handler_ : shared_ ? shared_->threads.next() : pool_.next();
  }
  /// Null: the net threads, or the inline handler, are its own.
  SharedPool* shared() { return shared_.get(); }
  Seat& seat() { return seat_; }
  /// What VcObserver::belongs_to is asked with.
  const void* group() const { return this; }
  /// Runs f(i) on each net thread, or here when it is inline, and waits for all.
  void on_every_thread(const std::function<void(size_t)>& f);
  static void hand_back(NetVConnection& vc);

  /// Keeps the process alive, or not.
  void ref(bool on);
  /// Inline: a command may have queued work, told something or armed a timer outside of a turn.
  void touched();
  /// The kernel is given what connections have to send; what it does not take stays. Waits for net
  /// threads, at most a second.
  void send_what_waits();
  /// Idempotent. After it every connection is closed, or parked, and no net thread knows this
  /// reactor.
  void stop();

  /// Of all its listeners together; made by the first call.
  Ref<Admission> admission(int64_t connections);

  enum class AcceptMode { kSingle, kEveryThread, kOwnThreads };
  struct ListenMode {
    AcceptMode accept = AcceptMode::kSingle;
    int own_threads = 0;
    Distribute distribute = Distribute::kNone;
    CarriedTimeouts timeouts;  // of connections that are distributed
    bool paused = false;       // accepts from JsListener::resume() on
  };
  /// 0 or an errno value. The records ACCEPT, ACCEPT_ERROR, ACCEPT_STOPPED carry the id.
  int listen(uint32_t id, const Address& address, const AcceptOptions& options,
             const ListenMode& mode);
  JsListener* listener(uint32_t id);
  void close_listener(uint32_t id);
  void forget_listener(uint32_t id) { listeners_.erase(id); }

  JsTunnel& add_tunnel(uint32_t id, const TunnelOptions& options);
  JsTunnel* tunnel(uint32_t id);
  void free_tunnel(uint32_t id) { tunnels_.erase(id); }

 private:
  explicit JsReactor(EnvState& state) : state_(state) {}
  int open_inline();
  int open_threads(int threads);
  void make_ports(NetThreadPool& threads);
  void on_poll();
  void update_timer();
  void detach();
  void leave_thread(size_t i);

  EnvState& state_;
  NetThreadPool pool_;
  NetThreadPool accept_pool_;  // dedicated accept threads, when a listener wants them
  NetHandler::Lent inline_handler_;
  SharedPool::Attached shared_;
  Seat seat_;
  std::vector<std::unique_ptr<JsPort>> ports_;
  std::vector<uint32_t> port_numbers_;
  Ref<Admission> admission_;
  std::unordered_map<uint32_t, std::unique_ptr<JsListener>> listeners_;
  std::unordered_map<uint32_t, std::unique_ptr<JsTunnel>> tunnels_;
  uv_poll_t* poll_ = nullptr;
  uv_timer_t* timer_ = nullptr;
  Nanos timer_at_ = TimerQueue::kNever;
  bool in_turns_ = false;  // on_poll() runs, and calls touched() itself
  bool woken_ = false;     // the poller was woken and on_poll() has not come yet
  bool is_ref_ = false;
  bool stopped_ = false;
};

}  // namespace netvc
