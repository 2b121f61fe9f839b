// The closed loop of the echo and pipe modes.

#include <sys/epoll.h>
#include <unistd.h>

#include <vector>

#include "load/loads.h"
#include "load/storm.h"
#include "load/stream.h"
#include "support/clock.h"
#include "support/fatal.h"
#include "support/sockets.h"

namespace netvc::bench {
namespace {

constexpr int kMaxEvents = 16;  // small, so that the clock is looked at often
constexpr size_t kReceiveBuffer = 64 * 1024;
constexpr uint64_t kDrainLimit = 10 * kSecond;
constexpr uint64_t kLingerForExtraBytes = 20 * kMillisecond;

class EchoLoad {
 public:
  explicit EchoLoad(LoadContext& context)
      : context_(context),
        options_(context.options),
        batches_(options_.mode == Mode::kPipe),
        recorder_(options_.Windows(context.meter.Exact()), context.meter, options_.server_cpu),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        storm_(options_),
        buffer_(kReceiveBuffer) {}

  void Run() {
    Connect();
    recorder_.Start(Now());
    for (Connection& connection : connections_)
      Refill(connection, options_.outstanding, Now());
    while (recorder_.Running())
      Turn();
    Drain();
    Report();
  }

 private:
  struct Connection {
    Stream stream;
    uint64_t answered = 0;            // whole messages
    std::vector<uint64_t> queued_at;  // of message k at [k % outstanding]
  };

  void Connect() {
    connections_.reserve(options_.connections);
    for (uint32_t i = 0; i < options_.connections; ++i) {
      connections_.push_back(
          {Stream(ConnectNow(options_.target), i), 0, std::vector<uint64_t>(options_.outstanding)});
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLET;
      event.data.u32 = i;
      epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_[i].stream.fd(), &event);
    }
  }

  void Turn() {
    epoll_event events[kMaxEvents];
    const int count = epoll_wait(epoll_, events, kMaxEvents, 0);
    recorder_.Tick(Now());
    for (int i = 0; i < count; ++i) {
      Connection& connection = connections_[events[i].data.u32];
      if (connection.stream.sent() < connection.stream.queued()) {
        connection.stream.Send(context_.pattern);
      }
      ReadAnswers(connection);
    }
    storm_.Turn();
    context_.backend.Turn();
  }

  void ReadAnswers(Connection& connection) {
    for (;;) {
      const size_t n = connection.stream.Receive(context_.pattern, buffer_);
      const uint64_t now = Now();
      recorder_.Tick(now);
      if (n > 0) CountAnswers(connection, now);
      if (n < buffer_.size()) return;
    }
  }

  void CountAnswers(Connection& connection, uint64_t now) {
    const uint64_t answered = connection.stream.received() / options_.size;
    const uint64_t fresh = answered - connection.answered;
    if (fresh == 0) return;
    for (uint64_t k = connection.answered; k < answered; ++k) {
      recorder_.Latency(now - connection.queued_at[k % options_.outstanding]);
    }
    connection.answered = answered;
    recorder_.Finished(now, fresh);
    if (!recorder_.Running()) return;
    if (!batches_) {
      Refill(connection, fresh, now);
    } else if (connection.stream.Drained()) {
      Refill(connection, options_.outstanding, now);
    }
  }

  void Refill(Connection& connection, uint64_t messages, uint64_t now) {
    const uint64_t first = connection.stream.queued() / options_.size;
    for (uint64_t k = first; k < first + messages; ++k) {
      connection.queued_at[k % options_.outstanding] = now;
    }
    connection.stream.Queue(messages * options_.size);
    connection.stream.Send(context_.pattern);
  }

  // Everything sent must come back, and not a byte more.
  void Drain() {
    const uint64_t limit = Now() + kDrainLimit;
    for (const Connection& connection : connections_) {
      while (!connection.stream.Drained()) {
        Turn();
        if (Now() > limit) connection.stream.Broken("the rest of the answers never came");
      }
    }
    for (const uint64_t end = Now() + kLingerForExtraBytes; Now() < end;)
      Turn();
  }

  void Report() {
    uint64_t bytes = 0;
    for (const Connection& connection : connections_) {
      bytes += connection.stream.received();
      close(connection.stream.fd());
    }
    close(epoll_);
    context_.json.Field("unit", "message")
        .Field("connections", options_.connections)
        .Field("outstanding", options_.outstanding)
        .Field("size", options_.size)
        .Field("stormConnects", storm_.connected())
        .Field("bytesVerified", bytes);
    recorder_.Report(context_.json, 1.0);
  }

  LoadContext& context_;
  const Options& options_;
  const bool batches_;
  WindowRecorder recorder_;
  const int epoll_;
  Storm storm_;
  std::vector<uint8_t> buffer_;
  std::vector<Connection> connections_;
};

}  // namespace

void RunEcho(LoadContext& context) { EchoLoad(context).Run(); }

}  // namespace netvc::bench
