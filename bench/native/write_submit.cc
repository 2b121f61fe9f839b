// netvc_write_submit: what it costs a thread to hand a message to a connection of a net thread.
//   netvc_write_submit <list|mutex> <producers> <messages per producer>
// list:  netvc's write(): wait-free list, the net thread gathers and writes.
// mutex: the same net work by hand: a queue under a mutex and a condition variable, one thread that
//        swaps it out and gathers it into writev.
// Both carry 64-byte messages to one TCP connection whose other end checks each of them: its bytes
// and the order of its producer. One line of JSON: nanoseconds per submission, messages per writev.
// A producer that is refused (64 MiB wait) yields and tries again; that time is not counted.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/net_thread.h"
#include "support/latency_histogram.h"
#include "vc/write.h"

namespace {

using namespace netvc;

constexpr size_t kBytes = 64;
constexpr int64_t kLimit = NetVConnection::kMaxUnwritten;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Message {
  uint32_t producer;
  uint32_t number;
  std::array<uint32_t, kBytes / 4 - 2> pattern;

  Message(uint32_t p, uint32_t n) : producer(p), number(n) {
    for (size_t i = 0; i < pattern.size(); ++i)
      pattern[i] = n * 2654435761u + p + static_cast<uint32_t>(i);
  }
};
static_assert(sizeof(Message) == kBytes);

std::pair<int, int> tcp_pair() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof at;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&at), len) != 0 || ::listen(listener, 1) != 0)
    die("listen");
  ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &len);
  const int a = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(a, reinterpret_cast<sockaddr*>(&at), len) != 0) die("connect");
  const int b = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  const int on = 1;
  ::setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  ::close(listener);
  return {a, b};
}

// Reads everything and checks it.
void check(int fd, uint32_t producers, uint64_t messages) {
  std::vector<uint32_t> next(producers, 0);
  std::vector<char> memory(1 << 20);
  size_t have = 0;
  for (uint64_t seen = 0; seen < messages;) {
    const ssize_t r = ::read(fd, memory.data() + have, memory.size() - have);
    if (r <= 0) die("the stream ended early");
    have += static_cast<size_t>(r);
    size_t at = 0;
    for (; at + kBytes <= have; at += kBytes, ++seen) {
      Message got(0, 0);
      std::memcpy(&got, memory.data() + at, kBytes);
      if (got.producer >= producers || got.number != next[got.producer]++ ||
          std::memcmp(&got, std::array{Message(got.producer, got.number)}.data(), kBytes) != 0) {
        std::fprintf(stderr, "wrong message\n");
        std::exit(1);
      }
    }
    std::memmove(memory.data(), memory.data() + at, have - at);
    have -= at;
  }
}

// True when the message was taken.
struct Way {
  virtual ~Way() = default;
  virtual bool submit(const Message& m) = 0;
  virtual uint64_t write_calls() = 0;
};

class List final : public Way {
 public:
  explicit List(int fd) {
    if (pool_.start(1) != 0) die("net thread");
    std::promise<VersionedId> id;
    pool_.handler(0).post([&](NetHandler& here) {
      Connection con;
      con.adopt(fd);
      NetVConnection* vc = NetVConnection::create(std::move(con), VcContext::kOutbound);
      vc->write.triggered = true;
      vc->attach(here);
      id.set_value(vc->id());
    });
    id_ = id.get_future().get();
  }
  bool submit(const Message& m) override { return write(id_, &m, sizeof m) == 0; }
  uint64_t write_calls() override {
    return static_cast<uint64_t>(pool_.handler(0).counters.write_calls.get());
  }

 private:
  NetThreadPool pool_;
  VersionedId id_ = 0;
};

class Mutex final : public Way {
 public:
  explicit Mutex(int fd) : fd_(fd), thread_([this] { run(); }) {}
  ~Mutex() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    more_.notify_one();
    thread_.join();
    ::close(fd_);
  }
  bool submit(const Message& m) override {
    if (waiting_.load(std::memory_order_relaxed) >= kLimit) return false;
    waiting_.fetch_add(sizeof m, std::memory_order_relaxed);
    std::string copy(reinterpret_cast<const char*>(&m), sizeof m);
    bool wake;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      wake = queue_.empty() && sleeping_;
      queue_.push_back(std::move(copy));
    }
    if (wake) more_.notify_one();
    return true;
  }
  uint64_t write_calls() override { return calls_.load(); }

 private:
  void run() {
    std::deque<std::string> mine;
    for (;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        sleeping_ = true;
        more_.wait(lock, [&] { return stop_ || !queue_.empty(); });
        sleeping_ = false;
        if (queue_.empty()) return;
        mine.swap(queue_);
      }
      while (!mine.empty()) {
        std::array<iovec, 1024> iov;
        size_t n = 0;
        for (; n < iov.size() && n < mine.size(); ++n)
          iov[n] = {mine[n].data(), mine[n].size()};
        ssize_t r = ::writev(fd_, iov.data(), static_cast<int>(n));
        if (r <= 0) die("writev");
        calls_.fetch_add(1, std::memory_order_relaxed);
        waiting_.fetch_sub(r, std::memory_order_relaxed);
        while (r > 0 && static_cast<size_t>(r) >= mine.front().size()) {
          r -= static_cast<ssize_t>(mine.front().size());
          mine.pop_front();
        }
        if (r > 0) mine.front().erase(0, static_cast<size_t>(r));
      }
    }
  }

  const int fd_;
  std::mutex mutex_;
  std::condition_variable more_;
  std::deque<std::string> queue_;
  bool sleeping_ = false;
  bool stop_ = false;
  std::atomic<int64_t> waiting_{0};
  std::atomic<uint64_t> calls_{0};
  std::thread thread_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: netvc_write_submit <list|mutex> <producers> <messages each>\n");
    return 2;
  }
  const bool list = std::strcmp(argv[1], "list") == 0;
  const auto producers = static_cast<uint32_t>(std::atoi(argv[2]));
  const auto each = static_cast<uint32_t>(std::atoi(argv[3]));
  const auto [ours, theirs] = tcp_pair();
  std::unique_ptr<Way> way;
  if (list) {
    way = std::make_unique<List>(ours);
  } else {
    way = std::make_unique<Mutex>(ours);
  }
  std::thread checker(check, theirs, producers, uint64_t{each} * producers);

  std::vector<bench::LatencyHistogram> histograms(producers);
  std::vector<uint64_t> refused(producers);
  std::vector<std::thread> threads;
  const Nanos began = monotonic_now();
  for (uint32_t p = 0; p < producers; ++p) {
    threads.emplace_back([&, p] {
      for (uint32_t i = 0; i < each;) {
        const Message m(p, i);
        const Nanos start = monotonic_now();
        const bool taken = way->submit(m);
        const Nanos end = monotonic_now();
        if (taken) {
          histograms[p].Record(static_cast<uint64_t>(end - start));
          ++i;
        } else {
          ++refused[p];
          ::sched_yield();
        }
      }
    });
  }
  for (std::thread& t : threads)
    t.join();
  checker.join();
  const Nanos took = monotonic_now() - began;

  // What reading the clock costs is in every sample; said, not subtracted.
  bench::LatencyHistogram all, clock;
  uint64_t refusals = 0;
  for (uint32_t p = 0; p < producers; ++p) {
    all.Merge(histograms[p]);
    refusals += refused[p];
  }
  for (int i = 0; i < 100'000; ++i) {
    const Nanos start = monotonic_now();
    clock.Record(static_cast<uint64_t>(monotonic_now() - start));
  }
  const double total = static_cast<double>(each) * producers;
  std::printf(
      "{\"medianNs\":%.0f,\"p99Ns\":%.0f,\"clockNs\":%.0f,\"perWritev\":%.1f,"
      "\"messagesPerSecond\":%.0f,\"refused\":%llu}\n",
      all.QuantileMicroseconds(0.5) * 1000, all.QuantileMicroseconds(0.99) * 1000,
      clock.QuantileMicroseconds(0.5) * 1000, total / static_cast<double>(way->write_calls()),
      total / (static_cast<double>(took) / 1e9), static_cast<unsigned long long>(refusals));
  ::close(theirs);
  return 0;
}
