// binding/sync_call.h - internal to native/binding.
//
// Runs a function on a connection's thread and waits for its answer: for inspection and options of
// the socket, which are rare. The net thread never waits for JavaScript, so the wait is at most one
// turn long.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>

#include "vc/remote.h"

namespace netvc {

/// False when the connection is gone. f(NetVConnection&) fills what the caller captured.
template <class F>
bool call_at_home(VersionedId id, F f) {
  VcPool::Handle vc = NetVConnection::pool().address(id);
  NetHandler* home = vc ? vc->home() : nullptr;
  if (!home) return false;
  if (home->in_thread()) {
    f(*vc);
    return true;
  }
  struct Answer {
    std::mutex mutex;
    std::condition_variable ready;
    bool done = false;
    bool alive = false;
  };
  // The task signals when it is destroyed, whether it ran or was dropped with its net thread.
  struct Signal {
    std::shared_ptr<Answer> answer;
    explicit Signal(std::shared_ptr<Answer> a) : answer(std::move(a)) {}
    Signal(Signal&&) = default;
    ~Signal() {
      if (!answer) return;
      std::lock_guard<std::mutex> lock(answer->mutex);
      answer->done = true;
      answer->ready.notify_one();
    }
  };
  auto answer = std::make_shared<Answer>();
  const bool posted =
      remote::post(id, [f, signal = Signal(answer)](NetVConnection& at_home) mutable {
        f(at_home);
        std::lock_guard<std::mutex> lock(signal.answer->mutex);
        signal.answer->alive = true;
      });
  if (!posted) return false;
  vc = {};
  std::unique_lock<std::mutex> lock(answer->mutex);
  answer->ready.wait(lock, [&] { return answer->done; });
  return answer->alive;
}

}  // namespace netvc
