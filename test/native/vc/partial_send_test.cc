// What meets a message of which a part has left: other threads' messages, the write operation, the
// limit of a pass, and the end of the stream. Nothing comes between its bytes, and the end comes
// after the last one, wherever the kernel stops.
#include <doctest/doctest.h>

#include <functional>
#include <thread>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/loop.h"
#include "support/notices.h"
#include "vc/write.h"

namespace netvc::test {

namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kPass = 4 * kMiB;  // kPassLimit of vc/net_write.cc

// A kernel that takes as much per call as it is told to, and keeps it.
class Kernel final : public Transport {
 public:
  ssize_t read(Connection& con, const iovec* iov, int count, unsigned* needs) override {
    return plain().read(con, iov, count, needs);
  }
  ssize_t write(Connection&, const iovec* iov, int count, unsigned* needs) override {
    *needs |= kNeedsWrite;
    if (takes == 0) return -EAGAIN;
    size_t n = 0;
    for (int i = 0; i < count && n < takes; ++i) {
      const size_t part = std::min(iov[i].iov_len, takes - n);
      taken.append(static_cast<const char*>(iov[i].iov_base), part);
      n += part;
    }
    if (auto act = std::exchange(after, nullptr)) act();
    return static_cast<ssize_t>(n);
  }
  bool short_read_means_empty(const Connection&) const override { return false; }

  size_t takes = SIZE_MAX;
  std::string taken;
  std::function<void()> after;  // once, when a call has taken its part
};

struct Fixture {
  LeakCheck leaks;
  Kernel kernel;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  Recorder rec;
  Notices told;
  Buf in, out;

  Fixture() {
    loop.settle();
    c->transport = &kernel;
  }
  void from_another_thread(std::string_view s) {
    std::thread([&] { CHECK_EQ(write(c.id, s.data(), s.size()), 0); }).join();
  }
};

struct Way {
  const char* name;
  std::function<void(Fixture&, const std::string&)> write;
};

const Way kWays[] = {
    {"write_now", [](Fixture& f, const std::string& s) { f.c->write_now(s.data(), s.size()); }},
    {"write_now, shared",
     [](Fixture& f, const std::string& s) {
       f.c->write_now(s.data(), s.size(), [&s](size_t from, BlockChain& rest) {
         CHECK(rest.append(s.data() + from, s.size() - from));
       });
     }},
    {"queue_write", [](Fixture& f, const std::string& s) { f.c->queue_write(s.data(), s.size()); }},
    {"write by id",
     [](Fixture& f, const std::string& s) { CHECK_EQ(write(f.c.id, s.data(), s.size()), 0); }},
};

}  // namespace

TEST_CASE("SW-9 INV-9: what another thread submits while a part has left comes behind the rest") {
  const std::string big(20'000, 'A');
  for (const Way& way : kWays) {
    for (const size_t part : {size_t{1}, size_t{7000}, big.size() - 1, big.size()}) {
      CAPTURE(way.name);
      CAPTURE(part);
      Fixture f;
      f.kernel.takes = part;
      f.kernel.after = [&f] {
        f.from_another_thread("bbb");
        f.kernel.takes = 0;
      };
      way.write(f, big);
      f.loop.settle();
      CHECK_EQ(f.kernel.taken.size(), part);
      f.kernel.takes = SIZE_MAX;
      f.c->on_poll(kPollOut);
      f.loop.settle();
      CHECK(f.kernel.taken == big + "bbb");
      CHECK_EQ(f.c->unsent(), 0);
    }
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "AD-1: a message goes before the bytes that its thread has added after it") {
  struct Adder final : Continuation {
    explicit Adder(Fixture& fixture) : f(fixture) {}
    int handle_event(Event event, VIO*) override {
      if (event == Event::kWriteReady && !done) {
        done = true;
        f.from_another_thread("message ");
        f.out.put("operation");
      }
      return 0;
    }
    Fixture& f;
    bool done = false;
  } adder(*this);
  c->do_io_write(&adder, 9, out.r);
  loop.settle();
  CHECK(adder.done);
  CHECK_EQ(kernel.taken, "message operation");
}

// In two test cases, since sanitizers are slow with so many bytes.
static void end_comes(bool by_id) {
  enum End { kShutdown, kGraceful, kClose, kShutdownAndClose };
  for (const int64_t size : {kPass - 1, kPass, kPass + 1, 2 * kPass}) {
    for (const size_t takes : {size_t{kMiB}, SIZE_MAX}) {
      for (const End end : {kShutdown, kGraceful, kClose, kShutdownAndClose}) {
        CAPTURE(size);
        CAPTURE(takes);
        CAPTURE(static_cast<int>(end));
        Fixture f;
        f.kernel.takes = takes;
        const std::string s(static_cast<size_t>(size), 'x');
        if (by_id) {
          f.from_another_thread(s);
        } else {
          f.c->queue_write(s.data(), s.size());
        }
        if (end == kShutdown || end == kShutdownAndClose) f.c->do_io_shutdown(Shutdown::kWrite);
        if (end == kClose || end == kShutdownAndClose) f.c->do_io_close();
        if (end == kGraceful) f.c->close_gracefully();
        f.loop.settle();
        CHECK_EQ(f.kernel.taken.size(), s.size());
        CHECK(wait_fd(f.c.peer.fd(), POLLIN));
        CHECK(f.c.peer.at_end());
        CHECK_EQ(f.c.alive(), end == kShutdown || end == kGraceful);
        if (f.c.alive()) CHECK_EQ(f.c->unsent(), 0);
      }
    }
  }
}

TEST_CASE("an end that waits for messages comes, wherever a pass stops") { end_comes(false); }
TEST_CASE("an end that waits for messages of another thread comes, wherever a pass stops") {
  end_comes(true);
}

TEST_CASE_FIXTURE(Fixture, "an end that waits for a message comes when that is taken back") {
  kernel.takes = 0;
  c->write.triggered = false;
  const Nanos deadline = monotonic_now() + 5 * kMillisecond;
  CHECK_EQ(write(c.id, "late", 4, {.told = told.notice(), .deadline = deadline}), 0);
  c->do_io_shutdown(Shutdown::kWrite);
  REQUIRE(loop.until([&] { return !told.codes.empty(); }));
  CHECK_EQ(told.codes, std::vector{ETIMEDOUT});
  CHECK(wait_fd(c.peer.fd(), POLLIN));
  CHECK(c.peer.at_end());
}

}  // namespace netvc::test
