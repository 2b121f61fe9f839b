#include "binding/env_state.h"

#include <algorithm>
#include <cstring>

#include "binding/js_reactor.h"
#include "binding/last_words.h"
#include "binding/write_batch.h"

namespace netvc {

EnvState::EnvState(napi_env env)
    : env_(env), commands_(kMaxCommands * 4), out_(new char[kOutBytes]) {}
EnvState::~EnvState() = default;

EnvState* EnvState::create(napi_env env) {
  auto* s = new EnvState(env);
  napi_value name = nullptr;
  napi_create_string_utf8(env, "netvc", NAPI_AUTO_LENGTH, &name);
  if (napi_get_uv_event_loop(env, &s->loop_) != napi_ok ||
      napi_async_init(env, nullptr, name, &s->context_) != napi_ok ||
      napi_add_async_cleanup_hook(env, &on_cleanup, s, &s->hook_) != napi_ok) {
    delete s;
    return nullptr;
  }
  last_words::enter(*s);
  return s;
}

// --- going down ---------------------------------------------------------------------------------

// Runs once, also for a terminated worker. After the reactors have closed no net thread knows this
// state any more; what is left are uv handles, whose close callbacks end in handle_closed().
void EnvState::on_cleanup(napi_async_cleanup_hook_handle, void* p) {
  auto* s = static_cast<EnvState*>(p);
  s->closing_ = s->terminating_ = true;
  last_words::leave(*s);
  s->send_last_words();
  s->handle_opened();  // this function itself
  for (uint32_t i = 0; i < s->reactors_.size(); ++i) {
    if (s->reactors_[i]) s->drop_reactor(i);
  }
  if (s->inbox_) s->inbox_->close();
  if (s->async_) {
    uv_close(reinterpret_cast<uv_handle_t*>(s->async_), [](uv_handle_t* h) {
      auto* state = static_cast<EnvState*>(h->data);
      delete reinterpret_cast<uv_async_t*>(h);
      state->handle_closed();
    });
    s->async_ = nullptr;
  }
  if (s->dispatch_) napi_delete_reference(s->env_, s->dispatch_);
  if (s->pool_ref_) napi_delete_reference(s->env_, s->pool_ref_);
  napi_async_destroy(s->env_, s->context_);
  s->handle_closed();
}

void EnvState::handle_closed() {
  if (--open_handles_ > 0 || !closing_) return;
  napi_async_cleanup_hook_handle hook = hook_;
  delete this;
  napi_remove_async_cleanup_hook(hook);
}

// --- waking -------------------------------------------------------------------------------------

int EnvState::open_async() {
  if (async_) return 0;
  auto* a = new uv_async_t;
  const int r =
      uv_async_init(loop_, a, [](uv_async_t* h) { static_cast<EnvState*>(h->data)->on_async(); });
  if (r != 0) {
    delete a;
    return r;
  }
  a->data = this;
  uv_unref(reinterpret_cast<uv_handle_t*>(a));
  async_ = a;
  handle_opened();
  return 0;
}

void EnvState::ref_async(bool on) {
  async_refs_ += on ? 1 : -1;
  if (!async_) return;
  auto* h = reinterpret_cast<uv_handle_t*>(async_);
  async_refs_ > 0 ? uv_ref(h) : uv_unref(h);
}

void EnvState::wake_js() {
  if (!wake_sent_.exchange(true, std::memory_order_seq_cst)) uv_async_send(async_);
}

void EnvState::on_async() {
  if (closing_) return;
  wake_sent_.store(false, std::memory_order_seq_cst);
  for (size_t i = 0; i < ports_.size(); ++i) {
    if (ports_[i] && !ports_[i]->is_local()) drain(*ports_[i]);
  }
  read_inbox();
}

void EnvState::read_inbox() {
  if (!inbox_) return;
  for (JsNotice* n = inbox_->take(); n;) {
    JsNotice* next = MpscList<JsNotice>::next(*n);
    inbox_records_.ring.push(n->record);
    if (n->text) reasons_[n->record.generation] = std::move(n->text);
    JsNotice::drop(n);
    n = next;
  }
  drain(inbox_records_);
  if (!inbox_records_.ring.empty()) wake_js();
}

Ref<EnvInbox> EnvState::inbox() {
  if (!inbox_) {
    open_async();
    inbox_ = Ref<EnvInbox>(new EnvInbox(async_ ? this : nullptr));
    add_port(inbox_records_);
  }
  return inbox_;
}

std::string EnvState::last_words(VersionedId id) {
  for (RecordPort* p : ports_) {
    if (!p || !p->source()) continue;
    if (auto text = static_cast<JsPort*>(p)->take_last_words(id)) return *text;
  }
  return {};
}

std::string EnvState::take_reason(uint32_t token) {
  const auto it = reasons_.find(token);
  if (it == reasons_.end()) return {};
  std::string text = *it->second;
  reasons_.erase(it);
  return text;
}

uint32_t EnvState::inbox_port() {
  inbox();
  return number_of(inbox_records_);
}

// --- into JavaScript ----------------------------------------------------------------------------

void EnvState::set_dispatch(napi_value function) {
  napi_create_reference(env_, function, 1, &dispatch_);
}

void EnvState::drain(RecordPort& port) {
  if (batch_.port || terminating_ || !dispatch_) return;  // a batch is running: it goes on itself
  napi_handle_scope scope;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  // As much as was there at the start, twice at most (a wrap of the ring): what comes meanwhile
  // waits for the next turn of the loop, so that other handles of the loop get their turn.
  bool alive = true;
  for (int part = 0; part < 2 && alive; ++part) {
    batch_ = {&port, 0, 0};
    batch_.n = port.ring.take(&batch_.from);
    if (batch_.n == 0) break;
    if (!port.is_local()) port.ring.merge_ready(batch_.from, batch_.n);
    control_[kCursor] = 0;
    control_[kInBatch] = 1;
    const uint32_t number = number_of(port);
    while (alive && static_cast<uint32_t>(control_[kCursor]) < batch_.n)
      alive = call_dispatch(number, batch_.from);
    control_[kInBatch] = 0;
    flush_commands();
    if (port.is_local()) settle(port, batch_);
    port.ring.advance(batch_.n);
    if (port.is_local()) port.ring.flush_overflow();
    port.consumed();
  }
  batch_ = {};
  if (!port.is_local() && !port.ring.empty()) wake_js();
  napi_close_handle_scope(env_, scope);
}

void EnvState::drain_nested(RecordPort& port) {
  if (batch_.port != &port) return drain(port);
  uint32_t from = 0;
  batch_.n = port.ring.take(&from);  // nothing was advanced: the same start, maybe more records
  const uint32_t number = number_of(port);
  bool alive = true;
  while (alive && static_cast<uint32_t>(control_[kCursor]) < batch_.n)
    alive = call_dispatch(number, from);
}

// One call for all records from the cursor on. A handler that throws ends the call; the exception
// goes where uncaught exceptions go and the rest of the batch is dispatched by the next call, since
// JavaScript moves the cursor before it calls a handler (AD-3).
bool EnvState::call_dispatch(uint32_t port, uint32_t from) {
  napi_value args[3];
  napi_create_uint32(env_, port, &args[0]);
  napi_create_uint32(env_, from, &args[1]);
  napi_create_uint32(env_, batch_.n, &args[2]);
  return call(dispatch_, 3, args);
}

void EnvState::call(napi_ref function) {
  napi_handle_scope scope;
  if (terminating_ || napi_open_handle_scope(env_, &scope) != napi_ok) return;
  call(function, 0, nullptr);
  napi_close_handle_scope(env_, scope);
}

// False: the env is terminating.
bool EnvState::call(napi_ref reference, size_t n, const napi_value* args) {
  napi_value function = nullptr, receiver = nullptr, result = nullptr;
  napi_get_reference_value(env_, reference, &function);
  napi_get_global(env_, &receiver);
  const napi_status status =
      napi_make_callback(env_, context_, receiver, function, n, args, &result);
  if (status == napi_ok) return true;
  bool pending = false;
  napi_is_exception_pending(env_, &pending);
  if (!pending) {
    terminating_ = true;
    return false;
  }
  report_exception();
  return true;
}

void EnvState::report_exception() {
  napi_value error = nullptr;
  if (napi_get_and_clear_last_exception(env_, &error) == napi_ok) napi_fatal_exception(env_, error);
}

// The users of these connections have seen their bytes: buffers that are drained give back blocks.
void EnvState::settle(RecordPort& port, const Batch& batch) {
  const EventRecord* records = port.ring.memory();
  for (uint32_t i = batch.from; i < batch.from + batch.n; ++i) {
    if (records[i].kind != static_cast<int32_t>(Event::kReadReady)) continue;
    if (NetVConnection* vc =
            NetVConnection::pool().peek(make_id(records[i].slot, records[i].version), this))
      vc->settle();
  }
}

bool EnvState::submit_collected() {
  const auto n = static_cast<uint32_t>(control_[kCommands]);
  if (n == 0) return false;
  control_[kCommands] = 0;
  control_[kOutUsed] = 0;
  WriteBatch::send(commands_.data(), n, out_.get(), this);
  return true;
}

void EnvState::flush_commands() {
  if (submit_collected()) touched();
}

void EnvState::send_last_words() {
  submit_collected();
  for (auto& r : reactors_) {
    if (r) r->send_what_waits();
  }
}

void EnvState::touched() {
  for (JsReactor* r : inline_reactors_)
    r->touched();
}

// --- tables -------------------------------------------------------------------------------------

int EnvState::add_reactor(std::unique_ptr<JsReactor> r) {
  reactors_.push_back(std::move(r));
  return static_cast<int>(reactors_.size()) - 1;
}

void EnvState::drop_reactor(uint32_t i) {
  if (!reactors_[i]) return;
  reactors_[i]->stop();
  for (size_t p = 0; p < ports_.size() && !closing_; ++p) {
    RecordPort* port = ports_[p];
    if (!port || !reactors_[i]->owns(*port)) continue;
    // What stopping has told. The port stays: its reactor goes below.
    do {
      port->ring.flush_overflow();
      drain(*port);
    } while (!terminating_ && !port->ring.empty());
  }
  reactors_[i].reset();
}

uint32_t EnvState::number_of(const RecordPort& port) const {
  uint32_t number = 0;
  while (ports_[number] != &port)
    ++number;
  return number;
}

uint32_t EnvState::add_port(RecordPort& p) {
  auto free = std::find(ports_.begin(), ports_.end(), nullptr);
  if (free == ports_.end()) free = ports_.insert(free, nullptr);
  *free = &p;
  p.serial = ++ports_made_;
  return static_cast<uint32_t>(free - ports_.begin());
}

JsPort* EnvState::port_of(const NetHandler* h) {
  RecordPort* newest = nullptr;  // an older one, of the same net threads, is closing
  for (RecordPort* p : ports_) {
    if (p && p->source() == h && (!newest || p->serial > newest->serial)) newest = p;
  }
  return static_cast<JsPort*>(newest);
}

void EnvState::drop_port(const RecordPort& p) {
  for (RecordPort*& q : ports_) {
    if (q == &p) q = nullptr;
  }
}

uint32_t EnvState::add_buffer(Ref<MIOBuffer> m) {
  if (free_buffers_.empty()) {
    buffers_.push_back(std::move(m));
    return static_cast<uint32_t>(buffers_.size()) - 1;
  }
  const uint32_t i = free_buffers_.back();
  free_buffers_.pop_back();
  buffers_[i] = std::move(m);
  return i;
}

void EnvState::drop_buffer(uint32_t i) {
  if (!buffer(i)) return;
  buffers_[i].reset();
  free_buffers_.push_back(i);
}

bool EnvState::set_pool(napi_value u8, char* data, size_t n) {
  if (pool_ref_) napi_delete_reference(env_, pool_ref_);
  pool_ref_ = nullptr;
  pool_ = data;
  pool_size_ = n;
  return napi_create_reference(env_, u8, 1, &pool_ref_) == napi_ok;
}

}  // namespace netvc
