// The bulk mode: every connection sends as fast as its socket takes it.
//
// Both ways, the bytes return through the server and are compared here. One way,
// they go through a proxy to the sink, which compares them and, once the proxy has
// passed on our half-close, answers with their number.

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "load/loads.h"
#include "load/stream.h"
#include "support/clock.h"
#include "support/fatal.h"
#include "support/sockets.h"

namespace netvc::bench {
namespace {

constexpr int kMaxEvents = 16;
constexpr size_t kPiece = 64 * 1024;  // per connection and turn, to keep them even
constexpr size_t kReceiveBuffer = 256 * 1024;
constexpr uint64_t kDrainLimit = 20 * kSecond;
constexpr double kBytesPerMegabyte = 1e6;

class BulkLoad {
 public:
  explicit BulkLoad(LoadContext& context)
      : context_(context),
        options_(context.options),
        recorder_(options_.Windows(context.meter.Exact()), context.meter, options_.server_cpu),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        buffer_(kReceiveBuffer) {}

  void Run() {
    Connect();
    recorder_.Start(Now());
    while (recorder_.Running())
      Turn();
    if (options_.one_way) {
      FinishOneWay();
    } else {
      DrainBothWays();
    }
    Report();
  }

 private:
  void Connect() {
    streams_.reserve(options_.connections);
    for (uint32_t i = 0; i < options_.connections; ++i) {
      Stream& stream = streams_.emplace_back(ConnectNow(options_.target), i);
      if (options_.one_way) {
        const SinkHeader header{SinkHeader::kMagic, stream.phase()};
        if (send(stream.fd(), &header, sizeof header, MSG_NOSIGNAL) != sizeof header) {
          stream.Broken("cannot send the header");
        }
      }
      epoll_event event{};
      // Level-triggered: one piece per turn needs no list of the unfinished.
      event.events = EPOLLOUT | (options_.one_way ? 0u : static_cast<uint32_t>(EPOLLIN));
      event.data.u32 = i;
      epoll_ctl(epoll_, EPOLL_CTL_ADD, stream.fd(), &event);
    }
  }

  void Turn() {
    epoll_event events[kMaxEvents];
    const int count = epoll_wait(epoll_, events, kMaxEvents, 0);
    recorder_.Tick(Now());
    for (int i = 0; i < count; ++i) {
      Stream& stream = streams_[events[i].data.u32];
      if (events[i].events & (EPOLLERR | EPOLLHUP)) stream.Broken("the server broke it off");
      if (events[i].events & EPOLLIN) Receive(stream);
      if ((events[i].events & EPOLLOUT) && recorder_.Running()) {
        if (stream.queued() - stream.sent() < kPiece) stream.Queue(kPiece);
        stream.Send(context_.pattern);
      }
      recorder_.Tick(Now());
    }
    context_.backend.Turn();
    if (options_.one_way) CountSinkBytes();
  }

  void Receive(Stream& stream) {
    const size_t n = stream.Receive(context_.pattern, buffer_);
    if (n > 0) recorder_.Finished(Now(), n);
  }

  void CountSinkBytes() {
    const uint64_t now_at_sink = context_.backend.SinkBytes();
    if (now_at_sink > counted_) recorder_.Finished(Now(), now_at_sink - counted_);
    counted_ = now_at_sink;
  }

  void DrainBothWays() {
    // What is queued but never reached the socket is not owed.
    StopSending(EPOLLIN);
    const uint64_t limit = Now() + kDrainLimit;
    for (const Stream& stream : streams_) {
      while (stream.received() < stream.sent()) {
        Turn();
        if (Now() > limit) stream.Broken("the rest never came back");
      }
    }
  }

  void StopSending(uint32_t events) {
    for (uint32_t i = 0; i < streams_.size(); ++i) {
      epoll_event event{};
      event.events = events;
      event.data.u32 = i;
      epoll_ctl(epoll_, EPOLL_CTL_MOD, streams_[i].fd(), &event);
    }
  }

  void FinishOneWay() {
    const uint64_t limit = Now() + kDrainLimit;
    for (const Stream& stream : streams_)
      shutdown(stream.fd(), SHUT_WR);
    for (const Stream& stream : streams_) {
      uint64_t seen = 0;
      while (recv(stream.fd(), &seen, sizeof seen, MSG_PEEK) != sizeof seen) {
        if (Now() > limit) stream.Broken("the sink never answered the half-close");
        context_.backend.Turn();
      }
      if (seen != stream.sent()) stream.Broken("bytes are missing at the sink");
    }
  }

  void Report() {
    uint64_t bytes = 0;
    for (const Stream& stream : streams_) {
      bytes += options_.one_way ? stream.sent() : stream.received();
      close(stream.fd());
    }
    close(epoll_);
    context_.json.Field("unit", "MB")
        .Field("connections", options_.connections)
        .Field("direction", options_.one_way ? "one" : "both")
        .Field("bytesVerified", bytes);
    recorder_.Report(context_.json, kBytesPerMegabyte);
  }

  LoadContext& context_;
  const Options& options_;
  WindowRecorder recorder_;
  const int epoll_;
  std::vector<uint8_t> buffer_;
  std::vector<Stream> streams_;
  uint64_t counted_ = 0;
};

}  // namespace

void RunBulk(LoadContext& context) { BulkLoad(context).Run(); }

}  // namespace netvc::bench
