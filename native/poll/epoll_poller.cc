// The epoll(7) back end: Linux.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/fd.h"
#include "poll/poller.h"

namespace netvc {

namespace {

constexpr int kBatch = 512;

uint32_t to_epoll(Interest interest) {
  switch (interest) {
    case Interest::kStream:
      return EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
    case Interest::kAccept:
      return EPOLLIN | EPOLLET;
    case Interest::kAcceptExclusive:
      return EPOLLIN | EPOLLET | EPOLLEXCLUSIVE;
  }
  return 0;
}

uint32_t from_epoll(uint32_t e) {
  return ((e & EPOLLIN) ? kPollIn : 0u) | ((e & EPOLLOUT) ? kPollOut : 0u) |
         ((e & EPOLLERR) ? kPollErr : 0u) | ((e & EPOLLHUP) ? kPollHup : 0u) |
         ((e & EPOLLRDHUP) ? kPollRdHup : 0u) | ((e & EPOLLPRI) ? kPollPri : 0u);
}

class EpollPoller final : public Poller {
 public:
  EpollPoller(UniqueFd epoll, UniqueFd event)
      : epoll_(std::move(epoll)), event_(std::move(event)) {}

  int add(int fd, Pollable* target, Interest interest) override {
    epoll_event e{};
    e.events = to_epoll(interest);
    e.data.ptr = target;
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &e) == 0 || errno == EEXIST) return 0;
    return errno;
  }

  void remove(int fd) override { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

  int wait(int timeout_ms) override {
    const int n = ::epoll_wait(epoll_.get(), events_.data(), kBatch, timeout_ms);
    if (n < 0) return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < n; ++i) {
      // Null is the wake-up. Edge-triggered, so its counter never needs to be read: each write is
      // a new edge, and 2^64 writes do not happen.
      if (auto* target = static_cast<Pollable*>(events_[i].data.ptr))
        target->on_poll(from_epoll(events_[i].events));
    }
    return n;
  }

  void wake() override {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(event_.get(), &one, sizeof one);
  }

  int nested_fd() const override { return epoll_.get(); }

 private:
  UniqueFd epoll_;
  UniqueFd event_;
  std::array<epoll_event, kBatch> events_;
};

}  // namespace

std::unique_ptr<Poller> Poller::create(int* error) {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  epoll_event e{};
  e.events = EPOLLIN | EPOLLET;
  e.data.ptr = nullptr;
  if (!epoll.valid() || !event.valid() ||
      ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.get(), &e) != 0) {
    *error = errno;
    return nullptr;
  }
  *error = 0;
  return std::make_unique<EpollPoller>(std::move(epoll), std::move(event));
}

}  // namespace netvc
