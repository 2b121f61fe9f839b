#include "binding/js_reactor.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace netvc {

namespace {

constexpr int kMaxRounds =
    32;  // turns per callback of the loop before its other handles get a turn

template <class Handle>
void close_handle(EnvState& state, Handle* h) {
  auto* handle = reinterpret_cast<uv_handle_t*>(h);
  handle->data = &state;
  uv_close(handle, [](uv_handle_t* closed) {
    auto* s = static_cast<EnvState*>(closed->data);
    delete reinterpret_cast<Handle*>(closed);
    s->handle_closed();
  });
}

}  // namespace

std::unique_ptr<JsReactor> JsReactor::create(EnvState& state, int threads, int* error) {
  std::unique_ptr<JsReactor> r(new JsReactor(state));
  *error = threads == 0 ? r->open_inline() : r->open_threads(threads);
  if (*error) return nullptr;
  for (auto& p : r->ports_)
    r->port_numbers_.push_back(state.add_port(*p));
  return r;
}

int JsReactor::open_inline() {
  inline_handler_ = NetHandler::lend();
  if (const int error = inline_handler_->open()) return -error;
  inline_handler_->owner = &state_;
  ports_.push_back(std::make_unique<JsPort>(*inline_handler_, nullptr));
  auto* p = new uv_poll_t;
  if (const int error = uv_poll_init(state_.loop(), p, inline_handler_->nested_fd())) {
    delete p;
    return error;
  }
  poll_ = p;
  p->data = this;
  state_.handle_opened();
  uv_poll_start(p, UV_READABLE,
                [](uv_poll_t* h, int, int) { static_cast<JsReactor*>(h->data)->on_poll(); });
  uv_unref(reinterpret_cast<uv_handle_t*>(p));
  timer_ = new uv_timer_t;
  uv_timer_init(state_.loop(), timer_);
  timer_->data = this;
  state_.handle_opened();
  state_.add_inline(*this);
  inline_handler_->turn(
      0);  // from now on a post from elsewhere makes the nested descriptor readable
  return 0;
}

int JsReactor::open_threads(int threads) {
  if (const int error = state_.open_async()) return error;
  if (const int error = pool_.start(threads)) return -error;
  make_ports(pool_);
  return 0;
}

void JsReactor::make_ports(NetThreadPool& threads) {
  for (size_t i = 0; i < threads.size(); ++i) {
    ports_.push_back(std::make_unique<JsPort>(threads.handler(i), &state_));
    ports_.back()->group = this;
  }
}

std::unique_ptr<JsReactor> JsReactor::create_shared(EnvState& state, int threads, uint32_t worker,
                                                    int* error) {
  std::unique_ptr<JsReactor> r(new JsReactor(state));
  if ((*error = state.open_async()) != 0) return nullptr;
  r->shared_ = SharedPool::attach(threads, error);
  *error = -*error;
  if (!r->shared_) return nullptr;
  r->make_ports(r->shared_->threads);
  for (auto& p : r->ports_) {
    r->port_numbers_.push_back(state.add_port(*p));
    p->connections = &r->seat_.connections;
    r->seat_.ports.push_back(p.get());
  }
  r->seat_.worker = worker;
  r->shared_->add(r->seat_);
  return r;
}

JsReactor::~JsReactor() {
  stop();
  for (auto& p : ports_)
    state_.drop_port(*p);
}

bool JsReactor::owns(const RecordPort& p) const {
  return std::any_of(ports_.begin(), ports_.end(), [&](const auto& q) { return q.get() == &p; });
}

// --- the inline engine's turns
// --------------------------------------------------------------------

void JsReactor::on_poll() {
  woken_ = false;
  in_turns_ = true;
  for (int round = 0; round < kMaxRounds && !stopped_; ++round) {
    inline_handler_->turn(0);
    state_.drain(*ports_[0]);
    if (stopped_ || !inline_handler_->has_work()) break;
  }
  in_turns_ = false;
  touched();
}

void JsReactor::touched() {
  if (!is_inline() || stopped_ || in_turns_) return;
  if (!woken_ && (inline_handler_->has_work() || !ports_[0]->ring.empty())) {
    woken_ = true;
    inline_handler_->wake();
  }
  update_timer();
}

void JsReactor::update_timer() {
  const Nanos due = inline_handler_->next_timer();
  if (due == timer_at_) return;
  timer_at_ = due;
  if (due == TimerQueue::kNever) {
    uv_timer_stop(timer_);
    return;
  }
  const Nanos wait = std::max<Nanos>(0, due - monotonic_now());
  uv_update_time(state_.loop());  // the loop's clock may be older than the deadline was made with
  uv_timer_start(
      timer_,
      [](uv_timer_t* h) {
        auto* r = static_cast<JsReactor*>(h->data);
        r->timer_at_ = TimerQueue::kNever;
        r->on_poll();
      },
      static_cast<uint64_t>((wait + kMillisecond - 1) / kMillisecond), 0);
  uv_unref(reinterpret_cast<uv_handle_t*>(timer_));
}

// Commands of this thread are run by the turn in which they are found, and what they have submitted
// is sent at its end: so it is done when another one has begun.
void JsReactor::send_what_waits() {
  if (stopped_) return;
  if (is_inline()) return inline_handler_->turn(0);
  struct Round {
    std::mutex mutex;
    std::condition_variable over;
    size_t left = 0;
  };
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(1);
  for (int i = 0; i < 2; ++i) {
    auto round = std::make_shared<Round>();
    std::unique_lock<std::mutex> lock(round->mutex);
    for (auto& p : ports_) {
      round->left += p->handler().post([round](NetHandler&) {
        std::lock_guard<std::mutex> told(round->mutex);
        if (--round->left == 0) round->over.notify_one();
      });
    }
    round->over.wait_until(lock, limit, [&] { return round->left == 0; });
  }
}

void JsReactor::ref(bool on) {
  if (stopped_ || on == is_ref_) return;
  is_ref_ = on;
  if (!is_inline()) return state_.ref_async(on);
  auto* h = reinterpret_cast<uv_handle_t*>(poll_);
  on ? uv_ref(h) : uv_unref(h);
}

void JsReactor::stop() {
  if (stopped_) return;
  ref(false);
  stopped_ = true;
  if (shared_) return detach();
  state_.drop_inline(*this);
  if (poll_) uv_poll_stop(poll_);
  accept_pool_.stop();
  pool_.stop();
  if (inline_handler_) inline_handler_->retire();
  if (poll_) close_handle(state_, std::exchange(poll_, nullptr));
  if (timer_) {
    uv_timer_stop(timer_);
    close_handle(state_, std::exchange(timer_, nullptr));
  }
}

// --- listening
// ------------------------------------------------------------------------------------

int JsReactor::listen(uint32_t id, const Address& address, const AcceptOptions& options,
                      const ListenMode& mode) {
  auto listener = std::make_unique<JsListener>(*this, id);
  listener->distribute = mode.distribute;
  listener->timeouts = mode.timeouts;
  listener->admission = options.admission;
  if (const int error = ListenSocket::open(address, options, &listener->socket)) return error;
  std::vector<NetHandler*> at;
  if (mode.accept == AcceptMode::kOwnThreads) {
    if (accept_pool_.size() == 0) {
      if (const int error = accept_pool_.start(std::max(1, mode.own_threads))) return error;
    }
    for (size_t i = 0; i < accept_pool_.size(); ++i)
      at.push_back(&accept_pool_.handler(i));
  } else if (mode.accept == AcceptMode::kEveryThread) {
    for (size_t i = 0; i < size(); ++i)
      at.push_back(&handler(i));
  } else {
    at.push_back(&next_handler());
  }
  const bool exclusive = at.size() > 1;
  const bool stay = mode.accept == AcceptMode::kEveryThread;
  for (NetHandler* h : at) {
    Acceptor::Choose choose;
    if (stay) {
      choose = [h]() -> NetHandler& { return *h; };
    } else {
      choose = [this]() -> NetHandler& { return next_handler(); };
    }
    Ref<Acceptor> a(new Acceptor(listener->socket, listener.get(), std::move(choose)));
    if (mode.paused) a->pause();
    listener->acceptors.push_back(a);
    listener->running.fetch_add(1, std::memory_order_relaxed);
    const auto start = [a, exclusive](NetHandler& there) { a->start(there, exclusive); };
    if (h->in_thread()) {
      start(*h);
    } else {
      h->post(start);
    }
  }
  listeners_[id] = std::move(listener);
  return 0;
}

Ref<Admission> JsReactor::admission(int64_t connections) {
  if (!admission_ && connections > 0)
    admission_ = Ref<Admission>(new Admission({.connections = connections}));
  return admission_;
}

JsListener* JsReactor::listener(uint32_t id) {
  auto it = listeners_.find(id);
  return it == listeners_.end() ? nullptr : it->second.get();
}

void JsReactor::close_listener(uint32_t id) {
  if (JsListener* l = listener(id)) l->cancel();
}

void JsListener::cancel() {
  for (Ref<Acceptor>& a : acceptors)
    Acceptor::cancel(a);
  socket = {};  // the last acceptor closes it: inline before this returns
}

void JsListener::pause() {
  for (Ref<Acceptor>& a : acceptors)
    a->pause();
}

void JsListener::resume(Acceptor::Until until) {
  for (Ref<Acceptor>& a : acceptors)
    Acceptor::resume(a, until);
}

void JsListener::on_accept(NetVConnection& vc) {
  Seat* seat = distribute == Distribute::kNone ? nullptr : reactor_.shared()->choose(distribute);
  JsPort& port = seat ? seat->port_at(*vc.handler) : reactor_.port_of(*vc.handler);
  vc.observer = &port;
  if (seat) return port.post_assigned(vc, 0, timeouts);
  port.post_vc(kRecordAccept, vc, id_);
}

void JsListener::post(RecordKind kind, int error) {
  // An acceptor thread has no port of its own: the first one's thread tells for it.
  EventRecord r;
  r.kind = kind;
  r.generation = id_;
  r.error = error;
  JsPort& port = reactor_.port(0);
  if (port.handler().in_thread()) return port.post(r);
  port.handler().post([&port, r](NetHandler&) { port.post(r); });
}

// --- tunnels
// --------------------------------------------------------------------------------------

JsTunnel& JsReactor::add_tunnel(uint32_t id, const TunnelOptions& options) {
  return *(tunnels_[id] = std::make_unique<JsTunnel>(*this, id, options));
}

JsTunnel* JsReactor::tunnel(uint32_t id) {
  auto it = tunnels_.find(id);
  return it == tunnels_.end() ? nullptr : it->second.get();
}

ReaderHold::ReaderHold(MIOBuffer* m) : buffer_(m), places_(m ? m->places() : 0) {
  for (int i = 0; i < places_; ++i)
    m->reader_at(i)->lease.fetch_add(1, std::memory_order_relaxed);
}

ReaderHold::~ReaderHold() {
  for (int i = 0; buffer_ && i < places_; ++i)
    buffer_->reader_at(i)->lease.fetch_sub(1, std::memory_order_release);
}

bool JsTunnel::belongs_to(const void* group) const { return &reactor_ == group; }

void JsTunnel::on_tunnel_end(Tunnel&, const TunnelResult& result) {
  EventRecord r;
  r.kind = kRecordTunnelEnd;
  r.generation = id_;
  r.count = static_cast<int32_t>(result.end);
  r.error = result.error_number;
  r.side = result.side;
  told.store(true, std::memory_order_release);
  // The thread that ends it is the one of a connection, unless it could not even start. JavaScript
  // may free this object as soon as the record is there.
  for (size_t i = 0; i < reactor_.size(); ++i) {
    if (reactor_.handler(i).in_thread()) return reactor_.port(i).post(r);
  }
  JsPort& port = reactor_.port(0);
  port.handler().post([&port, r](NetHandler&) { port.post(r); });
}

// It can be as often as accepting is tried; once a second is told.
void JsListener::on_accept_limited(Admission::Verdict v) {
  std::atomic<Nanos>& last = limited_at_[static_cast<size_t>(v)];
  const Nanos now = monotonic_now();
  Nanos before = last.load(std::memory_order_relaxed);
  if (before != 0 && now - before < kSecond) return;
  if (last.compare_exchange_strong(before, now, std::memory_order_relaxed))
    post(kRecordAcceptLimited, static_cast<int>(v));
}

bool JsListener::somebody_leaves() {
  for (size_t i = 0; i < reactor_.size(); ++i) {
    if (reactor_.handler(i).counters.leaving.get() > 0) return true;
  }
  return false;
}

bool JsListener::make_room() {
  for (size_t i = 0; i < reactor_.size(); ++i) {
    NetHandler& h = reactor_.handler(i);
    if (h.in_thread() || h.counters.evictable.get() <= 0) continue;
    return h.post([](NetHandler& there) { there.queues.evict_oldest(); });
  }
  return false;
}

void JsListener::on_accept_error(int error) { post(kRecordAcceptError, error); }

void JsListener::on_accept_stopped() {
  if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) post(kRecordAcceptStopped, 0);
}

}  // namespace netvc
