// support/net_threads.h - for tests.
//
// NetThreads: n net threads, stopped at the end. on(i, f) runs f there and waits for its answer.
// wait_for(condition): bounded waiting for what other threads do; never longer than needed.
#pragma once

#include <future>
#include <thread>

#include <doctest/doctest.h>

#include "net/net_thread.h"
#include "support/loop.h"

namespace netvc::test {

template <class Condition>
bool wait_for(Condition condition, Nanos bound = kPatience) {
  const Nanos give_up = monotonic_now() + bound;
  while (!condition()) {
    if (monotonic_now() > give_up) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(50));  // between polls of the condition
  }
  return true;
}

/// Runs f(handler) on h's thread and waits for it.
template <class F>
auto on(NetHandler& h, F f) -> decltype(f(h)) {
  using Answer = decltype(f(h));
  std::promise<Answer> promise;
  auto answer = promise.get_future();
  h.post([&](NetHandler& here) {
    if constexpr (std::is_void_v<Answer>) {
      f(here);
      promise.set_value();
    } else {
      promise.set_value(f(here));
    }
  });
  REQUIRE_EQ(static_cast<int>(answer.wait_for(std::chrono::nanoseconds(kPatience))),
             static_cast<int>(std::future_status::ready));
  return answer.get();
}

class NetThreads {
 public:
  explicit NetThreads(int n) { REQUIRE_EQ(pool.start(n), 0); }
  NetHandler& operator[](size_t i) { return pool.handler(i); }
  void stop() { pool.stop(); }

  NetThreadPool pool;
};

}  // namespace netvc::test
