// load/backend.h - the server behind a proxy under test, inside the generator.
//
// By default it shares the generator's thread: both belong to the load side, and
// two spinning threads on one CPU would take it from each other. With --backend-cpu
// it has a thread and a CPU of its own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>

#include "load/options.h"
#include "support/echo_server.h"
#include "support/pattern.h"
#include "support/sink_server.h"

namespace netvc::bench {

class Backend {
 public:
  Backend(const Options& options, const Pattern& pattern);
  ~Backend();

  // From the generator's loop; does nothing when the backend has its own thread.
  void Turn() {
    if (!thread_.joinable()) TurnOnce(0);
  }

  // Pattern bytes the sink has verified.
  uint64_t SinkBytes() const { return sink_bytes_.load(std::memory_order_relaxed); }

 private:
  void TurnOnce(int timeout_ms);

  std::unique_ptr<EchoServer> echo_;
  std::unique_ptr<SinkServer> sink_;
  std::atomic<uint64_t> sink_bytes_{0};
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace netvc::bench
