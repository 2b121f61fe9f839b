#include "load/storm.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <cstring>

#include "support/fatal.h"
#include "support/sockets.h"

namespace netvc::bench {

Storm::Storm(const Options& options)
    : options_(options), epoll_(epoll_create1(EPOLL_CLOEXEC)), slots_(options.storm) {
  for (uint32_t i = 0; i < slots_.size(); ++i)
    Open(i);
}

Storm::~Storm() {
  for (const int fd : slots_)
    close(fd);
  close(epoll_);
}

void Storm::Open(uint32_t index) {
  slots_[index] = ConnectLater(options_.target, static_cast<uint32_t>(started_++));
  epoll_event event{};
  event.events = EPOLLOUT | EPOLLET;
  event.data.u32 = index;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, slots_[index], &event);
}

void Storm::Turn() {
  constexpr int kMaxEvents = 4;  // few, so that the answers of the server are not kept waiting
  epoll_event events[kMaxEvents];
  const int count = slots_.empty() ? 0 : epoll_wait(epoll_, events, kMaxEvents, 0);
  for (int i = 0; i < count; ++i) {
    const uint32_t index = events[i].data.u32;
    if (events[i].events & EPOLLERR)
      Fatal("a connect of the storm failed: %s", std::strerror(PendingError(slots_[index])));
    ResetOnClose(slots_[index]);
    close(slots_[index]);
    ++connected_;
    Open(index);
  }
}

}  // namespace netvc::bench
