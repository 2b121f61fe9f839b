// netvc_timers: what timeouts cost, on the structures that connections really have.
//   netvc_timers <vc|timerfd> <n>
// vc:      n connections on one handler that is driven here. Each has one end of a socketpair, as
// far
//          as descriptors go (ulimit -n); the others share the last one, so that the kernel never
//          tells them anything. Their timeouts are as real as the others'.
// timerfd: the same by hand, a timerfd each in one epoll; as many as descriptors go.
// One line of JSON, CPU time of this thread throughout:
//   armNs      the first timeout of a connection
//   rearmNs    setting it again
//   readNs, plainReadNs   a 1-byte read on one of 100 busy connections, with and without timeout
//   idleUs     per second with all n armed and none due; idleTurns: how often the thread woke up
//   lookNs     per timer that comes due and finds that its connection was active since; of those
//              with descriptors of their own, the others being armed for later
//   firedNs    per timeout told; all n are, none early, or the program fails
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "vc/net_vconnection.h"

namespace {

using namespace netvc;

constexpr Nanos kFar = 3600 * kSecond;
constexpr Nanos kIdle = kSecond;
constexpr size_t kSpare = 64;      // descriptors for everything else
constexpr size_t kBusy = 100;      // connections with traffic
constexpr size_t kSets = 200'000;  // at least so many settings in a sample

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}
void must(bool truth, const char* what) {
  if (truth) return;
  std::fprintf(stderr, "%s\n", what);
  std::exit(1);
}

double cpu_now() {
  timespec t;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

/// CPU nanoseconds of f, each of n.
template <class F>
double cost(size_t n, F f) {
  const double start = cpu_now();
  f();
  return (cpu_now() - start) / static_cast<double>(n);
}

size_t repeats(size_t n) { return std::max<size_t>(1, kSets / n); }

/// How many descriptors there may be, n if possible: whoever may raise the limit does.
size_t descriptors(size_t n) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit more{n, std::max<rlim_t>(limit.rlim_max, n)};
  if (limit.rlim_cur >= n || ::setrlimit(RLIMIT_NOFILE, &more) == 0) return n;
  const rlimit all{limit.rlim_max, limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &all);
  return static_cast<size_t>(limit.rlim_max);
}

/// Long enough for all n to be set before the first is due.
Nanos soon(size_t n) { return 300 * kMillisecond + static_cast<Nanos>(n) * 5'000; }

struct Figures {
  double arm = 0, rearm = 0, read = -1, plain_read = -1, idle = 0, look = -1, fired = 0;
  double idle_turns = 0;
  size_t n = 0;
  void print() const {
    std::printf("{\"n\":%zu,\"armNs\":%.1f,\"rearmNs\":%.1f,", n, arm, rearm);
    if (read >= 0)
      std::printf("\"readNs\":%.1f,\"plainReadNs\":%.1f,\"lookNs\":%.1f,", read, plain_read, look);
    std::printf("\"idleUs\":%.1f,\"idleTurns\":%.0f,\"firedNs\":%.1f}\n", idle / 1000, idle_turns,
                fired);
  }
};

class Connections final : public Continuation {
 public:
  explicit Connections(size_t n) : vcs_(n) {
    peers_.resize(std::min(n, (descriptors(2 * n + kSpare) - kSpare) / 2));
    handler_.bind_to_this_thread();
    must(handler_.open() == 0, "no poller");
    reader_ = buffer_->alloc_reader();
    int fd = -1;
    for (size_t i = 0; i < n; ++i) {
      if (i < peers_.size()) {
        int fds[2];
        if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
          die("socketpair");
        peers_[i] = fds[1];
        fd = fds[0];
      }
      Connection con;
      must(con.adopt(fd) == 0, "adopt");
      vcs_[i] = NetVConnection::create(std::move(con), VcContext::kInbound);
      must(vcs_[i] && vcs_[i]->attach(handler_) == 0, "attach");
      vcs_[i]->do_io_read(this, VIO::kUnlimited, buffer_);
    }
    while (handler_.has_work())
      handler_.turn(0);
  }
  ~Connections() override = default;  // never called, as shared descriptors would be closed twice

  Figures measure() {
    const size_t n = vcs_.size();
    Figures f;
    f.n = n;
    reads();  // warm-up
    f.plain_read = reads();
    f.arm = cost(n, [&] { set_all(kFar); });
    f.rearm = cost(n * repeats(n), [&] {
      for (size_t r = 0; r < repeats(n); ++r)
        set_all(kFar + static_cast<Nanos>(r));
    });
    f.read = reads();
    f.idle = cost(1, [&] { f.idle_turns = idle(); });
    f.look = looks();
    f.fired = fired();
    return f;
  }

  int handle_event(Event e, VIO* vio) override {
    if (e == Event::kReadReady) {
      ++read_;
      reader_->reset();
      vio->reenable();
      return 0;
    }
    must(e == Event::kInactivityTimeout, "an event that is not expected");
    must(monotonic_now() >= set_at_ + value_, "a timeout was early");
    ++told_;
    return 0;
  }

 private:
  void set_all(Nanos value) {
    for (NetVConnection* vc : vcs_)
      vc->set_inactivity_timeout(value);
  }
  void feed(size_t n) {
    read_ = 0;
    for (size_t i = 0; i < n; ++i)
      must(::send(peers_[i], "x", 1, MSG_NOSIGNAL) == 1, "send");
  }
  void turns_until_read(size_t n) {
    while (read_ < n)
      handler_.turn(0);
  }
  // The same number of busy connections whatever n is. The timers must not have been touched.
  double reads() {
    const size_t busy = std::min(kBusy, peers_.size());
    const size_t armed = handler_.timers.size();
    const Nanos next = handler_.next_timer();
    double spent = 0;
    const size_t rounds = 200;
    for (size_t r = 0; r < rounds; ++r) {
      feed(busy);
      spent += cost(1, [&] { turns_until_read(busy); });
    }
    must(handler_.timers.size() == armed && handler_.next_timer() == next, "traffic armed a timer");
    return spent / static_cast<double>(rounds * busy);
  }
  double idle() {
    const int64_t before = handler_.counters.turns.get();
    for (const Nanos end = monotonic_now() + kIdle; monotonic_now() < end;)
      handler_.turn(end - monotonic_now());
    return static_cast<double>(handler_.counters.turns.get() - before);
  }
  // Every connection has traffic after it was set; when its timer comes it finds that out.
  double looks() {
    const size_t n = peers_.size();
    value_ = 2 * soon(n);
    set_at_ = monotonic_now();
    for (size_t i = 0; i < n; ++i)
      vcs_[i]->set_inactivity_timeout(value_);
    const Nanos half = set_at_ + value_ / 2;
    while (monotonic_now() < half)
      handler_.turn(half - monotonic_now());
    feed(n);
    turns_until_read(n);
    told_ = 0;
    const Nanos later = set_at_ + value_ + value_ / 4;  // all have been looked at, none is due
    const double spent = cost(n, [&] {
      while (monotonic_now() < later)
        handler_.turn(later - monotonic_now());
    });
    must(told_ == 0, "a timeout was told in spite of traffic");
    return spent;
  }
  double fired() {
    value_ = soon(vcs_.size());
    set_at_ = monotonic_now();
    set_all(value_);
    told_ = 0;
    const double spent = cost(vcs_.size(), [&] {
      const Nanos give_up = monotonic_now() + value_ + 60 * kSecond;
      while (told_ < vcs_.size() && monotonic_now() < give_up)
        handler_.turn(kSecond);
    });
    must(told_ == vcs_.size(), "a timeout was lost");
    return spent;
  }

  NetHandler handler_;
  Ref<MIOBuffer> buffer_ = MIOBuffer::create_empty(kIndexLarge);
  IOBufferReader* reader_ = nullptr;
  std::vector<NetVConnection*> vcs_;
  std::vector<int> peers_;
  Nanos value_ = 0, set_at_ = 0;  // the first of them was set at, or after
  size_t read_ = 0, told_ = 0;
};

class TimerFds {
 public:
  explicit TimerFds(size_t n)
      : epoll_(::epoll_create1(EPOLL_CLOEXEC)),
        fds_(std::min(n, descriptors(n + kSpare) - kSpare)) {
    for (size_t i = 0; i < fds_.size(); ++i) {
      fds_[i] = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
      if (fds_[i] < 0) die("timerfd_create");
      epoll_event e{};
      e.events = EPOLLIN;
      e.data.u32 = static_cast<uint32_t>(i);
      if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fds_[i], &e) != 0) die("epoll_ctl");
    }
  }
  ~TimerFds() {
    for (const int fd : fds_)
      ::close(fd);
    ::close(epoll_);
  }
  Figures measure() {
    const size_t n = fds_.size();
    Figures f;
    f.n = n;
    f.arm = cost(n, [&] { set_all(kFar); });
    f.rearm = cost(n * repeats(n), [&] {
      for (size_t r = 0; r < repeats(n); ++r)
        set_all(kFar + static_cast<Nanos>(r));
    });
    f.idle = cost(1, [&] {
      epoll_event e;
      must(::epoll_wait(epoll_, &e, 1, static_cast<int>(kIdle / kMillisecond)) == 0, "early");
    });
    f.idle_turns = 1;
    set_all(soon(n));
    f.fired = cost(n, [&] { wait_for_all(); });
    return f;
  }

 private:
  void set_all(Nanos value) {
    itimerspec t{};
    t.it_value = {value / kSecond, value % kSecond};
    for (const int fd : fds_)
      ::timerfd_settime(fd, 0, &t, nullptr);
  }
  void wait_for_all() {
    std::vector<epoll_event> events(1024);
    for (size_t told = 0; told < fds_.size();) {
      const int n = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 60'000);
      must(n > 0, "a timeout was lost");
      for (int i = 0; i < n; ++i) {
        uint64_t times = 0;
        must(::read(fds_[events[static_cast<size_t>(i)].data.u32], &times, sizeof times) == 8,
             "read");
        ++told;
      }
    }
  }
  int epoll_;
  std::vector<int> fds_;
};

}  // namespace

int main(int argc, char** argv) {
  const bool vc = argc == 3 && std::strcmp(argv[1], "vc") == 0;
  if (argc != 3 || (!vc && std::strcmp(argv[1], "timerfd") != 0)) {
    std::fprintf(stderr, "usage: netvc_timers <vc|timerfd> <n>\n");
    return 2;
  }
  const auto n = static_cast<size_t>(std::atoll(argv[2]));
  if (vc) {
    (new Connections(n))->measure().print();
  } else {
    TimerFds(n).measure().print();
  }
  std::fflush(stdout);
  std::_Exit(0);
}
