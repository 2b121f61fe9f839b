// binding/env_state.h - internal to native/binding.
//
// EnvState: everything of one JavaScript thread (the main thread or a worker): its reactors, its
// buffers, the memory it shares with JavaScript, and the one way into JavaScript, dispatch().
//
// Memory shared with JavaScript, wrapped once:
//   control   int32 words, see Control
//   commands  int32 [slot, version, offset, length]: small messages waiting to be flushed
//   out       the bytes of these messages
//   (and one EventRing per port)
//
// Threads: the env's own, except wake_js() and what its inbox takes. Owner: the env; an async
// cleanup hook takes it down in order: reactors stop and net threads join, then uv handles close,
// then this is deleted.
#pragma once

#include <node_api.h>
#include <uv.h>

#include <atomic>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "binding/js_port.h"
#include "buffer/mio_buffer.h"

namespace netvc {

class JsReactor;

class EnvState final : public Waker {
 public:
  enum Control : uint32_t {
    kCursor = 0,    // records of the running batch that were handed to JavaScript
    kInBatch = 1,   // 1 while native code will flush when JavaScript returns
    kCommands = 2,  // commands waiting
    kOutUsed = 3,   // bytes of `out` in use
    kControlWords = 8,
  };
  static constexpr uint32_t kMaxCommands = 4096;
  static constexpr size_t kOutBytes = size_t{256} << 10;

  /// Registers itself with the env; lives until the env's cleanup.
  static EnvState* create(napi_env env);

  napi_env env() const { return env_; }
  uv_loop_t* loop() const { return loop_; }
  bool closing() const { return closing_; }

  // --- into JavaScript
  /// dispatch(port, from, n) and the array of per-port record memory; set once by lib.
  void set_dispatch(napi_value function);
  /// Hands every record of the port to JavaScript, then flushes what it wrote.
  void drain(RecordPort& port);
  /// From inside JavaScript: the same, nested in a batch that may be running (RE-5).
  void drain_nested(RecordPort& port);
  /// Calls a function of lib, outside of a batch; not when this env is going down.
  void call(napi_ref function);
  /// Sends the small messages that JavaScript has put into `out`.
  void flush_commands();
  /// This thread ends: the same, and as much as the kernel takes of all that was accepted. Waits
  /// for net threads, two turns of each. See binding/last_words.h.
  void send_last_words();
  void wake_js() override;

  // --- reactors and ports, by number
  int add_reactor(std::unique_ptr<JsReactor> r);
  JsReactor* reactor(uint32_t i) { return i < reactors_.size() ? reactors_[i].get() : nullptr; }
  void drop_reactor(uint32_t i);
  uint32_t add_port(RecordPort& p);
  void drop_port(const RecordPort& p);
  RecordPort* port(uint32_t i) { return i < ports_.size() ? ports_[i] : nullptr; }
  /// The port of this env for a handler, or null.
  JsPort* port_of(const NetHandler* h);
  /// Where other threads leave word for this one; made when first asked for.
  Ref<EnvInbox> inbox();
  uint32_t inbox_port();
  /// The notice that lib expects under this number; null for 0.
  Notice* notice(uint32_t token) { return token ? new JsNotice(inbox(), token) : nullptr; }
  /// Why a connection failed that is gone, if its GONE has not been read; known once.
  std::string last_words(VersionedId id);
  /// What a NOTICE with an error says in words; known once.
  std::string take_reason(uint32_t token);
  /// Inline reactors of this env, for touched().
  void add_inline(JsReactor& r) { inline_reactors_.push_back(&r); }
  void drop_inline(JsReactor& r) { std::erase(inline_reactors_, &r); }
  /// JavaScript has used a connection, maybe outside of a turn: what that queued, told or timed
  /// must not wait for the next edge.
  void touched();
  /// Counts uv handles that are open; the last closing one deletes a state that is going down.
  void handle_opened() { ++open_handles_; }
  void handle_closed();
  /// The async handle that net threads wake; made with the first threaded reactor.
  int open_async();
  /// Counted: every threaded reactor that wants the process alive holds one, and so do notices.
  void ref_async(bool on);

  // --- buffers, by number
  uint32_t add_buffer(Ref<MIOBuffer> m);
  MIOBuffer* buffer(uint32_t i) { return i < buffers_.size() ? buffers_[i].get() : nullptr; }
  void drop_buffer(uint32_t i);
  size_t buffer_count() const { return buffers_.size() - free_buffers_.size(); }

  /// Where reads copy to (lib/pool.ts); kept alive by a reference.
  bool set_pool(napi_value u8, char* data, size_t n);
  char* pool() const { return pool_; }
  size_t pool_size() const { return pool_size_; }

  int32_t* control() { return control_; }
  int32_t* commands() { return commands_.data(); }
  char* out() { return out_.get(); }

 private:
  struct InboxPort final : RecordPort {
    bool is_local() const override { return true; }
  };
  struct Batch {
    RecordPort* port = nullptr;
    uint32_t from = 0;
    uint32_t n = 0;
  };

  explicit EnvState(napi_env env);
  ~EnvState();
  bool submit_collected();
  bool call_dispatch(uint32_t port, uint32_t from);
  bool call(napi_ref function, size_t n, const napi_value* args);
  void report_exception();
  void settle(RecordPort& port, const Batch& batch);
  uint32_t number_of(const RecordPort& port) const;
  void read_inbox();
  void on_async();
  static void on_cleanup(napi_async_cleanup_hook_handle hook, void* state);

  napi_env env_;
  uv_loop_t* loop_ = nullptr;
  napi_ref dispatch_ = nullptr;
  napi_async_context context_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  bool closing_ = false;
  bool terminating_ = false;  // JavaScript cannot be called any more

  uv_async_t* async_ = nullptr;
  // Set by a net thread that has sent the wake-up, cleared by on_async before it looks at the
  // rings: both seq_cst, with EventRing's tail on the other side.
  std::atomic<bool> wake_sent_{false};

  std::vector<std::unique_ptr<JsReactor>> reactors_;
  std::vector<JsReactor*> inline_reactors_;
  std::vector<RecordPort*> ports_;
  uint64_t ports_made_ = 0;
  Ref<EnvInbox> inbox_;
  InboxPort inbox_records_;
  std::unordered_map<uint32_t, std::shared_ptr<const std::string>> reasons_;  // by token
  int async_refs_ = 0;
  std::vector<Ref<MIOBuffer>> buffers_;
  std::vector<uint32_t> free_buffers_;
  int open_handles_ = 0;

  Batch batch_;
  int32_t control_[kControlWords] = {};
  std::vector<int32_t> commands_;
  std::unique_ptr<char[]> out_;
  char* pool_ = nullptr;
  size_t pool_size_ = 0;
  napi_ref pool_ref_ = nullptr;
};

}  // namespace netvc
