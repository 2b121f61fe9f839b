// binding/js_port.h - internal to native/binding.
//
// JsPort: what one NetHandler and one JavaScript thread (env) know of each other. To the native
// side it is the continuation of every VIO that JavaScript armed, the observer of its connections,
// and the listener of its tunnels and connects; all it does is write records. Handlers of
// JavaScript never run here (architecture: net threads never enter JavaScript).
//
// Owner: the JsReactor. Threads: the callbacks on the handler's thread; take/advance through
// EnvState on the env's. Death: after the handler has shut down.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "binding/env_inbox.h"
#include "server/acceptor.h"
#include "server/connect.h"
#include "vc/remote.h"
#include "vc/tunnel.h"

namespace netvc {

class JsConnect;

/// Records on their way to JavaScript, as EnvState drains them.
class RecordPort {
 public:
  /// Filled on the env's own thread: by the inline engine, or from the inbox.
  virtual bool is_local() const = 0;
  /// On the env's thread, after records were consumed.
  virtual void consumed() {}
  /// Whose records they are; null: nobody's in particular.
  virtual NetHandler* source() { return nullptr; }

  EventRing ring;
  uint64_t serial = 0;  // EnvState::add_port

 protected:
  ~RecordPort() = default;
};

/// In place of the tag of whoever set a timeout: told since it is evicted (KQ-4).
inline constexpr int32_t kEvictedTag = -1;
/// With the side of a timeout: the other one is not told, since this is an end of a pair (PV-24).
inline constexpr int32_t kThisSideOnly = 2;

/// Milliseconds that a connection takes along to another JavaScript thread; -1: none was set, and
/// those of the new thread's reactor hold.
struct CarriedTimeouts {
  int32_t inactivity = -1;
  int32_t active = -1;

  /// What is set natively.
  static CarriedTimeouts of(const NetVConnection& vc);
};

class JsPort final : public RecordPort, public Continuation, public VcObserver, public TurnEndHook {
 public:
  /// waker null: inline engine, whoever runs the turn drains the ring itself.
  JsPort(NetHandler& handler, Waker* waker) : handler_(handler), waker_(waker) {}
  ~JsPort() override { handler_.cancel_turn_end(*this); }

  NetHandler& handler() { return handler_; }
  NetHandler* source() override { return &handler_; }
  bool is_local() const override { return waker_ == nullptr; }

  /// On the handler's thread.
  void post(const EventRecord& r) {
    ring.push(r);
    if (waker_) handler_.at_turn_end(*this);
  }
  void post_vc(RecordKind kind, const NetVConnection& vc, uint32_t generation, int32_t error = 0);
  /// The connection is this thread's from now on; shut: its sides that are.
  void post_assigned(const NetVConnection& vc, uint32_t shut, const CarriedTimeouts& timeouts);

  /// An event of the operation, as handle_event; error is given, and no bytes are counted.
  void post_vio(int32_t event, const VIO& vio, int32_t error);

  /// A connect that may still be under way (handler's thread); told is deleted when it is
  /// cancelled.
  void connecting(uint32_t request, JsConnect* told, ConnectAction action);
  void connect_ended(uint32_t request) { connects_.erase(request); }
  void cancel_connect(uint32_t request);
  void cancel_connects();

  /// Whose port it is, for belongs_to.
  const void* group = nullptr;
  /// Counts the connections that are given to JavaScript here; or null.
  std::atomic<int>* connections = nullptr;

  /// Lets stalled reads go on.
  void consumed() override;

  /// The handler's thread: what setFailed was given, for who hears of the end; text may be null.
  void keep_last_words(VersionedId id, std::shared_ptr<const std::string> text);
  /// The env's thread. The same, of a connection that has told GONE or OPEN_FAILED.
  std::shared_ptr<const std::string> take_last_words(VersionedId id);

  // --- Continuation
  int handle_event(Event event, VIO* vio) override;
  bool can_take_event() const override { return ring.has_room(); }
  void resume_later(VConnection& vc, Side side) override;
  bool answers_later() const override { return true; }
  // --- VcObserver
  void on_vc_closed(NetVConnection& vc, bool by_itself) override;
  void on_buffer_full(NetVConnection& vc) override;
  bool belongs_to(const void* g) const override { return group == g; }
  // --- TurnEndHook
  void on_turn_end() override;

 private:
  void resume();

  NetHandler& handler_;
  Waker* waker_;
  struct Stalled {
    VersionedId id;
    Side side;
  };
  struct Connecting {
    JsConnect* told;
    ConnectAction action;
  };
  std::unordered_map<uint32_t, Connecting> connects_;  // handler's thread
  std::vector<Stalled> stalled_;                       // handler's thread
  // The handler adds, the env takes; some may be of nobody's interest.
  static constexpr size_t kLastWords = 4096;
  std::mutex last_words_mutex_;
  std::deque<std::pair<VersionedId, std::shared_ptr<const std::string>>> last_words_;
  std::atomic<bool> has_stalled_{false};  // handler sets (release), env takes (acq_rel)
};

/// One connect request of JavaScript; deletes itself after its one callback.
class JsConnect final : public ConnectHandler {
 public:
  /// adopts: a descriptor of ours that connect_up() was given, or -1.
  JsConnect(JsPort& port, uint32_t request, int adopts)
      : port_(port), request_(request), adopts_(adopts) {}
  void on_open(NetVConnection& vc) override;
  void on_open_failed(ConnectError error) override;

 private:
  JsPort& port_;
  uint32_t request_;
  int adopts_;
};

}  // namespace netvc
