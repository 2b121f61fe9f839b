// binding/env_inbox.h - internal to native/binding.
//
// EnvInbox: where any thread leaves word for one JavaScript thread: answers to what it asked for by
// id, wherever the connection lives. JsNotice: one such answer, known to lib by a token.
//
// Owner: reference counted; the env holds it, and so does every notice that is under way, so that a
// connection can tell an env that does not exist any more. Threads: post from any, wait-free but
// for the wake-up; take and close on the env's. Death: what was posted after close() goes with it.
#pragma once

#include <mutex>

#include "base/mpsc_list.h"
#include "base/ref.h"
#include "binding/event_ring.h"
#include "vc/codes.h"
#include "vc/notice.h"

namespace netvc {

/// Wakes a JavaScript thread; any thread may call it. See EnvState.
class Waker {
 public:
  virtual void wake_js() = 0;

 protected:
  ~Waker() = default;
};

class JsNotice;

class EnvInbox final : public RefCounted<EnvInbox> {
 public:
  explicit EnvInbox(Waker* waker) : waker_(waker) {}
  ~EnvInbox();

  /// Any thread; takes the notice.
  void post(JsNotice* n);
  /// Oldest first, linked by mpsc_next; the caller deletes them.
  JsNotice* take() { return list_.drain(); }
  bool empty() const { return list_.empty(); }
  /// The env goes: nobody is woken any more.
  void close();

 private:
  MpscList<JsNotice> list_;
  std::mutex mutex_;  // only for the wake-up, so once per batch
  Waker* waker_;
};

class JsNotice final : public Notice {
 public:
  JsNotice(Ref<EnvInbox> inbox, uint32_t token) : inbox_(std::move(inbox)) {
    record.kind = kRecordNotice;
    record.generation = token;
  }
  void tell(int error) override {
    record.error = error;
    Ref<EnvInbox> to = std::move(inbox_);
    to->post(this);
  }
  void reason(std::shared_ptr<const std::string> t) override { text = std::move(t); }
  static void drop(JsNotice* n) { delete n; }

  EventRecord record;
  std::shared_ptr<const std::string> text;
  std::atomic<JsNotice*> mpsc_next{nullptr};

 private:
  ~JsNotice() override = default;
  Ref<EnvInbox> inbox_;
};

/// A notice on its way with a command: told ENET_CLOSED if the command is dropped.
class PendingNotice {
 public:
  explicit PendingNotice(Notice* n) : notice_(n) {}
  PendingNotice(PendingNotice&& o) noexcept : notice_(o.take()) {}
  ~PendingNotice() {
    if (notice_) notice_->tell(ENET_CLOSED);
  }
  Notice* take() { return std::exchange(notice_, nullptr); }
  void tell(int error) { take()->tell(error); }

 private:
  Notice* notice_;
};

}  // namespace netvc
