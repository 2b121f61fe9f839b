#include "load/backend.h"

#include "support/sockets.h"

namespace netvc::bench {

Backend::Backend(const Options& options, const Pattern& pattern) {
  if (options.backend == BackendKind::kEcho) {
    echo_ = std::make_unique<EchoServer>(options.backend_port);
  } else if (options.backend == BackendKind::kSink) {
    sink_ = std::make_unique<SinkServer>(options.backend_port, pattern);
  } else {
    return;
  }
  if (options.backend_cpu < 0) return;
  thread_ = std::thread([this, cpu = options.backend_cpu] {
    PinToCpu(cpu);
    constexpr int kStopCheckMs = 20;
    while (!stop_.load(std::memory_order_relaxed))
      TurnOnce(kStopCheckMs);
  });
}

Backend::~Backend() {
  stop_.store(true, std::memory_order_relaxed);
  if (thread_.joinable()) thread_.join();
}

void Backend::TurnOnce(int timeout_ms) {
  if (echo_) echo_->Turn(timeout_ms);
  if (sink_) {
    sink_->Turn(timeout_ms);
    sink_bytes_.store(sink_->bytes(), std::memory_order_relaxed);
  }
}

}  // namespace netvc::bench
