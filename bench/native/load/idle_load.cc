// The idle mode: what a connection costs while nobody uses it. Resident memory of
// the server before, with all connections open, and after one echo on each; CPU of
// the server while nothing happens at all.

#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <vector>

#include "load/loads.h"
#include "load/stream.h"
#include "support/clock.h"
#include "support/fatal.h"
#include "support/sockets.h"

namespace netvc::bench {
namespace {

constexpr uint32_t kWarmupConnections = 64;  // code paths and pools of the server get hot
constexpr uint32_t kConnectBurst = 250;      // below every server's accept queue
constexpr uint64_t kBurstPause = 25 * kMillisecond;
constexpr uint32_t kEchoBurst = 64;
constexpr uint64_t kLimit = 20 * kSecond;
constexpr uint64_t kSettle = 300 * kMillisecond;

class IdleLoad {
 public:
  explicit IdleLoad(LoadContext& context)
      : context_(context), options_(context.options), buffer_(64 * 1024) {}

  void Run() {
    if (options_.server_pid == 0) Fatal("idle needs --pid: it measures the server's memory");
    Open(std::min(kWarmupConnections, options_.connections));
    EchoOnEach();
    CloseAll();
    Wait(kSettle);

    const uint64_t rss_start = ResidentKiB(options_.server_pid);
    const uint64_t descriptors_start = OpenDescriptors(options_.server_pid);
    const uint64_t begin = Now();
    Open(options_.connections);
    WaitForAccepts(descriptors_start + options_.connections);
    const uint64_t connected = Now();
    Wait(kSettle);
    const uint64_t rss_connected = ResidentKiB(options_.server_pid);

    const double idle_cpu = MeasureIdleCpu();
    EchoOnEach();
    Wait(kSettle);
    const uint64_t rss_echoed = ResidentKiB(options_.server_pid);
    CloseAll();

    const auto per_connection = [&](uint64_t rss) {
      return (static_cast<double>(rss) - static_cast<double>(rss_start)) * 1024 /
             options_.connections;
    };
    context_.json.Field("unit", "connection")
        .Field("connections", options_.connections)
        .Field("bytesVerified", verified_)
        .Field("connectSeconds", static_cast<double>(connected - begin) / 1e9)
        .Field("idleCpuMsPerSecond", idle_cpu)
        .Open("rssKiB")
        .Field("start", rss_start)
        .Field("connected", rss_connected)
        .Field("echoed", rss_echoed)
        .Close()
        .Open("bytesPerConnection")
        .Field("connected", per_connection(rss_connected))
        .Field("echoed", per_connection(rss_echoed))
        .Close();
  }

 private:
  void Open(uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      streams_.emplace_back(ConnectNow(options_.target), i);
      if ((i + 1) % kConnectBurst == 0) Wait(kBurstPause);
    }
  }

  void CloseAll() {
    for (const Stream& stream : streams_) {
      verified_ += stream.received();
      close(stream.fd());
    }
    streams_.clear();
  }

  // Our connects succeed before the server has accepted them.
  void WaitForAccepts(uint64_t descriptors) {
    for (const uint64_t limit = Now() + kLimit;
         OpenDescriptors(options_.server_pid) < descriptors;) {
      if (Now() > limit) Fatal("the server never accepted all connections");
      Wait(50 * kMillisecond);
    }
  }

  double MeasureIdleCpu() {
    context_.meter.FindThreads();
    const uint64_t cpu = context_.meter.Read().all;
    const uint64_t begin = Now();
    Wait(static_cast<uint64_t>(options_.hold * 1e9));
    const double used = static_cast<double>(context_.meter.Read().all - cpu);
    return used / static_cast<double>(Now() - begin) * 1000;
  }

  void EchoOnEach() {
    const uint64_t limit = Now() + kLimit;
    for (size_t first = 0; first < streams_.size(); first += kEchoBurst) {
      const size_t end = std::min(first + kEchoBurst, streams_.size());
      for (size_t i = first; i < end; ++i) {
        streams_[i].Queue(options_.size);
        streams_[i].Send(context_.pattern);
      }
      for (size_t i = first; i < end; ++i) {
        while (!streams_[i].Drained()) {
          streams_[i].Send(context_.pattern);
          streams_[i].Receive(context_.pattern, buffer_);
          context_.backend.Turn();
          if (Now() > limit) streams_[i].Broken("no echo");
        }
      }
    }
  }

  // Sleeps, so that an idle server is measured on an idle machine, but keeps an
  // in-thread backend alive.
  void Wait(uint64_t nanoseconds) {
    for (const uint64_t end = Now() + nanoseconds; Now() < end;) {
      context_.backend.Turn();
      usleep(1000);
    }
  }

  LoadContext& context_;
  const Options& options_;
  std::vector<uint8_t> buffer_;
  std::vector<Stream> streams_;
  uint64_t verified_ = 0;
};

}  // namespace

void RunIdle(LoadContext& context) { IdleLoad(context).Run(); }

}  // namespace netvc::bench
