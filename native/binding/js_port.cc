#include "binding/js_port.h"

#include <unistd.h>

#include <algorithm>

namespace netvc {

void JsPort::post_vc(RecordKind kind, const NetVConnection& vc, uint32_t generation,
                     int32_t error) {
  if (connections && (kind == kRecordAccept || kind == kRecordOpen))
    connections->fetch_add(1, std::memory_order_relaxed);
  EventRecord r;
  r.kind = kind;
  r.slot = slot_of(vc.id());
  r.version = version_of(vc.id());
  r.generation = generation;
  r.error = error;
  post(r);
}

CarriedTimeouts CarriedTimeouts::of(const NetVConnection& vc) {
  const auto ms = [](Nanos t) {
    return t > 0 ? static_cast<int32_t>(std::min<Nanos>(t / kMillisecond, INT32_MAX)) : -1;
  };
  return {ms(vc.get_inactivity_timeout()), ms(vc.get_active_timeout())};
}

void JsPort::post_assigned(const NetVConnection& vc, uint32_t shut,
                           const CarriedTimeouts& timeouts) {
  if (connections) connections->fetch_add(1, std::memory_order_relaxed);
  EventRecord r;
  r.kind = kRecordAssigned;
  r.slot = slot_of(vc.id());
  r.version = version_of(vc.id());
  r.generation = shut;
  r.count = timeouts.inactivity;
  r.more = timeouts.active;
  post(r);
}

void JsPort::post_vio(int32_t event, const VIO& vio, int32_t error) {
  EventRecord r;
  const VersionedId id = static_cast<NetVConnection*>(vio.vc_server)->id();
  r.kind = event;
  r.slot = slot_of(id);
  r.version = version_of(id);
  r.generation = vio.generation;
  r.error = error;
  r.side = vio.op == Op::kWrite;
  post(r);
}

int JsPort::handle_event(Event event, VIO* vio) {
  auto* vc = static_cast<NetVConnection*>(vio->vc_server);
  EventRecord r;
  r.kind = static_cast<int32_t>(event);
  r.slot = slot_of(vc->id());
  r.version = version_of(vc->id());
  r.generation = vio->generation;
  if (event == Event::kError || event == Event::kEos) {
    r.error = vc->lerrno;
  } else if (event == Event::kInactivityTimeout) {
    r.error = vc->evicting > 0 ? kEvictedTag
                               : static_cast<int32_t>(vc->timeout_tag(TimeoutKind::kInactivity));
  } else if (event == Event::kActiveTimeout) {
    r.error = static_cast<int32_t>(vc->timeout_tag(TimeoutKind::kActive));
  }
  r.side = vio->op == Op::kWrite;
  const bool timeout = event == Event::kInactivityTimeout || event == Event::kActiveTimeout;
  if (timeout && vc->pair_end()) r.side |= kThisSideOnly;
  // One activation moves at most what a buffer holds, far below 2^31; the rest would come later.
  const int64_t delta = std::min<int64_t>(vio->ndone - vio->reported, INT32_MAX / 4);
  vio->reported += delta;
  r.count = static_cast<int32_t>(delta);
  post(r);
  return 0;
}

void JsPort::resume_later(VConnection& vc, Side side) {
  stalled_.push_back({static_cast<NetVConnection&>(vc).id(), side});
  has_stalled_.store(true, std::memory_order_release);
}

void JsPort::consumed() {
  // acq_rel: pairs with resume_later; whoever takes the flag brings everything back.
  if (!has_stalled_.load(std::memory_order_acquire) ||
      !has_stalled_.exchange(false, std::memory_order_acq_rel))
    return;
  if (is_local()) return resume();
  handler_.post([this](NetHandler&) { resume(); });
}

void JsPort::resume() {
  ring.flush_overflow();
  if (waker_) handler_.at_turn_end(*this);
  std::vector<Stalled> again = std::exchange(stalled_, {});
  for (const Stalled& s : again) {
    if (VcPool::Handle vc = NetVConnection::pool().address(s.id); vc && vc->handler == &handler_) {
      handler_.reschedule(vc->direction(s.side));
    }
  }
}

void JsPort::on_vc_closed(NetVConnection& vc, bool by_itself) {
  if (!by_itself && !vc.tell_close) return;
  keep_last_words(vc.id(), vc.failure_reason());
  post_vc(kRecordGone, vc, 0, vc.lerrno);
}

void JsPort::keep_last_words(VersionedId id, std::shared_ptr<const std::string> text) {
  if (!text) return;
  std::lock_guard<std::mutex> lock(last_words_mutex_);
  if (last_words_.size() == kLastWords) last_words_.pop_front();
  last_words_.emplace_back(id, std::move(text));
}

std::shared_ptr<const std::string> JsPort::take_last_words(VersionedId id) {
  std::lock_guard<std::mutex> lock(last_words_mutex_);
  for (auto it = last_words_.begin(); it != last_words_.end(); ++it) {
    if (it->first != id) continue;
    auto text = std::move(it->second);
    last_words_.erase(it);
    return text;
  }
  return {};
}

void JsPort::on_buffer_full(NetVConnection& vc) {
  if (vc.read_vio.cont == this) post_vc(kRecordBufferFull, vc, vc.read_vio.generation);
}

void JsPort::on_turn_end() {
  if (ring.overflowed() && !ring.flush_overflow())
    has_stalled_.store(true, std::memory_order_release);
  waker_->wake_js();
}

void JsPort::connecting(uint32_t request, JsConnect* told, ConnectAction action) {
  // It may have failed at once, and told be gone: then the action names nothing.
  VcPool::Handle vc = NetVConnection::pool().address(action.id());
  if (vc && vc->connecting()) connects_[request] = {told, action};
}

void JsPort::cancel_connect(uint32_t request) {
  const auto it = connects_.find(request);
  if (it == connects_.end()) return;
  Connecting c = it->second;
  connects_.erase(it);
  c.action.cancel();
  delete c.told;
}

void JsPort::cancel_connects() {
  while (!connects_.empty())
    cancel_connect(connects_.begin()->first);
}

void JsConnect::on_open(NetVConnection& vc) {
  port_.connect_ended(request_);
  vc.observer = &port_;
  port_.post_vc(kRecordOpen, vc, request_);
  delete this;
}

void JsConnect::on_open_failed(ConnectError error) {
  port_.connect_ended(request_);
  if (adopts_ >= 0) ::close(adopts_);
  EventRecord r;
  r.count = error.reason ? 1 : 0;  // lib asks for it then
  port_.keep_last_words(error.id, std::move(error.reason));
  r.kind = kRecordOpenFailed;
  r.slot = slot_of(error.id);
  r.version = version_of(error.id);
  r.generation = request_;
  r.error = error.code;
  r.more = error.error_number;
  port_.post(r);
  delete this;
}

}  // namespace netvc
