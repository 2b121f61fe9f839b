#include "binding/env_inbox.h"

namespace netvc {

EnvInbox::~EnvInbox() {
  for (JsNotice* n = take(); n;) {
    JsNotice* next = MpscList<JsNotice>::next(*n);
    JsNotice::drop(n);
    n = next;
  }
}

void EnvInbox::post(JsNotice* n) {
  if (!list_.push(n)) return;  // whoever found it empty wakes
  std::lock_guard<std::mutex> lock(mutex_);
  if (waker_) waker_->wake_js();
}

void EnvInbox::close() {
  std::lock_guard<std::mutex> lock(mutex_);
  waker_ = nullptr;
}

}  // namespace netvc
