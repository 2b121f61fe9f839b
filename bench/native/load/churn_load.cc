// The churn mode: short connections, a fixed number in flight. One unit is a
// connection that was opened, carried one verified echo, and was closed by us.

#include <sys/epoll.h>
#include <unistd.h>

#include <cstring>
#include <optional>
#include <vector>

#include "load/loads.h"
#include "load/stream.h"
#include "support/clock.h"
#include "support/fatal.h"
#include "support/sockets.h"

namespace netvc::bench {
namespace {

constexpr int kMaxEvents = 16;
constexpr uint64_t kDrainLimit = 10 * kSecond;

class ChurnLoad {
 public:
  explicit ChurnLoad(LoadContext& context)
      : context_(context),
        options_(context.options),
        recorder_(options_.Windows(context.meter.Exact()), context.meter, options_.server_cpu),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        buffer_(64 * 1024),
        slots_(options_.connections) {}

  void Run() {
    recorder_.Start(Now());
    for (uint32_t i = 0; i < slots_.size(); ++i)
      Open(i);
    while (recorder_.Running())
      Turn();
    for (const uint64_t limit = Now() + kDrainLimit; open_ > 0;) {
      Turn();
      if (Now() > limit) Fatal("%u connections never got their echo", open_);
    }
    close(epoll_);
    context_.json.Field("unit", "connection")
        .Field("connections", options_.connections)
        .Field("size", options_.size)
        .Field("close", options_.reset ? "rst" : "fin")
        .Field("bytesVerified", finished_ * options_.size);
    recorder_.Report(context_.json, 1.0);
  }

 private:
  struct Slot {
    std::optional<Stream> stream;
    uint64_t opened_at = 0;
  };

  void Open(uint32_t index) {
    Slot& slot = slots_[index];
    const int fd = ConnectLater(options_.target, static_cast<uint32_t>(started_));
    slot.stream.emplace(fd, started_++);
    slot.opened_at = Now();
    ++open_;
    epoll_event event{};
    event.events = EPOLLOUT | EPOLLIN | EPOLLET;
    event.data.u32 = index;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void Turn() {
    epoll_event events[kMaxEvents];
    const int count = epoll_wait(epoll_, events, kMaxEvents, 0);
    recorder_.Tick(Now());
    for (int i = 0; i < count; ++i) {
      Serve(events[i].data.u32, events[i].events);
      recorder_.Tick(Now());
    }
    context_.backend.Turn();
  }

  void Serve(uint32_t index, uint32_t events) {
    Stream& stream = *slots_[index].stream;
    if (events & EPOLLERR) stream.Broken(std::strerror(PendingError(stream.fd())));
    if (stream.queued() == 0) {
      if (!(events & EPOLLOUT)) return;
      stream.Queue(options_.size);
    }
    stream.Send(context_.pattern);
    if (events & EPOLLIN) {
      while (!stream.Drained() && stream.Receive(context_.pattern, buffer_) > 0) {
      }
    }
    if (stream.Drained()) Finish(index);
  }

  void Finish(uint32_t index) {
    Slot& slot = slots_[index];
    if (options_.reset) ResetOnClose(slot.stream->fd());
    close(slot.stream->fd());
    slot.stream.reset();
    --open_;
    ++finished_;
    const uint64_t now = Now();
    recorder_.Finished(now, 1);
    recorder_.Latency(now - slot.opened_at);
    if (recorder_.Running()) Open(index);
  }

  LoadContext& context_;
  const Options& options_;
  WindowRecorder recorder_;
  const int epoll_;
  std::vector<uint8_t> buffer_;
  std::vector<Slot> slots_;
  uint64_t started_ = 0;
  uint64_t finished_ = 0;
  uint32_t open_ = 0;
};

}  // namespace

void RunChurn(LoadContext& context) { ChurnLoad(context).Run(); }

}  // namespace netvc::bench
