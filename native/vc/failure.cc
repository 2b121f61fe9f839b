// The failure of vc/net_vconnection.h: once, with a reason, known to everybody who holds the id.
#include <sys/socket.h>

#include <cerrno>

#include "vc/extras.h"
#include "vc/pair_end.h"
#include "vc/pending_connect.h"
#include "vc/remote.h"
#include "vc/shared_state.h"

namespace netvc {

NetVConnection::~NetVConnection() {
  NETVC_ASSERT(!open_link.linked);
  delete shared_.load(std::memory_order_relaxed);
}

NetVConnection::Shared& NetVConnection::shared() {
  Shared* s = shared_.load(std::memory_order_seq_cst);
  if (s) return *s;
  auto* made = new Shared();
  if (shared_.compare_exchange_strong(s, made, std::memory_order_seq_cst)) return *made;
  delete made;
  return *s;
}

void NetVConnection::note_failure(int error) {
  int none = 0;
  if (!failure_.compare_exchange_strong(none, error, std::memory_order_seq_cst)) return;
  failures().fetch_add(1, std::memory_order_release);
  Shared* s = shared_.load(std::memory_order_seq_cst);
  if (!s) return;  // whoever registers from now on sees failure_
  std::map<uint64_t, Notice*> told;
  {
    std::lock_guard<std::mutex> lock(s->mutex);
    told.swap(s->on_failed);
  }
  for (const auto& [ticket, n] : told)
    n->tell(error);
}

std::atomic<uint32_t>& NetVConnection::failures() {
  static std::atomic<uint32_t> n{0};
  return n;
}

void NetVConnection::tell_failed(Notice* n, int error) {
  if (error != 0 && error == failure()) {
    if (auto text = failure_reason()) n->reason(std::move(text));
  }
  n->tell(error);
}

bool NetVConnection::set_failed(VcPool::Handle self, int error, std::string text) {
  if (error == 0) error = EFAILEDSOCKET;
  Shared& s = self->shared();
  std::map<uint64_t, Notice*> told;
  {
    std::lock_guard<std::mutex> lock(s.mutex);
    int none = 0;
    if (!self->failure_.compare_exchange_strong(none, error, std::memory_order_seq_cst))
      return false;
    if (!text.empty()) s.failure_text = std::make_shared<const std::string>(std::move(text));
    told.swap(s.on_failed);
  }
  failures().fetch_add(1, std::memory_order_release);
  for (const auto& [ticket, n] : told)
    self->tell_failed(n, error);
  remote::post(self->id(), [](NetVConnection& vc) { vc.fail_here(); });
  return true;
}

uint64_t NetVConnection::on_failed(Notice* told) {
  Shared& s = shared();
  {
    std::lock_guard<std::mutex> lock(s.mutex);
    if (failure() == 0) {
      s.on_failed.emplace(++s.last_ticket, told);
      return s.last_ticket;
    }
  }
  tell_failed(told, failure());
  return 0;
}

Notice* NetVConnection::give_up_on_failed(uint64_t ticket) {
  Shared* s = shared_.load(std::memory_order_seq_cst);
  if (!s) return nullptr;
  std::lock_guard<std::mutex> lock(s->mutex);
  const auto it = s->on_failed.find(ticket);
  if (it == s->on_failed.end()) return nullptr;
  Notice* told = it->second;
  s->on_failed.erase(it);
  return told;
}

std::shared_ptr<const std::string> NetVConnection::failure_reason() {
  Shared* s = shared_.load(std::memory_order_seq_cst);
  if (!s) return {};
  std::lock_guard<std::mutex> lock(s->mutex);
  return s->failure_text;
}

bool NetVConnection::pop_pipelined(Pipelined* out) {
  Shared* s = shared_.load(std::memory_order_seq_cst);
  if (!s) return false;
  std::lock_guard<std::mutex> lock(s->mutex);
  return s->answers.pop(out);
}

// After set_failed, on the connection's thread: every armed operation has its end.
void NetVConnection::fail_here() {
  if (closed_now()) {
    if (lingering_) finish_close();
    return;
  }
  const int error = failure();
  if (connect_) return end_connect({error, error});
  if (!fails_with_reset) shut_descriptor(SHUT_RDWR);
  if (latched_errno_ == 0) latched_errno_ = error;
  write_failed_ = read_ended_ = true;  // who arms again hears it again
  pending_read_ = -error;
  write.triggered = false;
  drop_messages(error);
  end_oob(error);
  lerrno = error;
  bool told = false;
  for (Side side : {Side::kRead, Side::kWrite}) {
    const VIO& vio = vio_of(side);
    if (!vio.cont || vio.op == Op::kNone || vio.ended || vio.ntodo() <= 0) continue;
    told = true;
    if (!signal_done(Event::kError, side) || closed_now()) return;
  }
  if (!told) end_by_itself();
}

}  // namespace netvc
