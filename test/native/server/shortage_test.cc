// Accepting and connecting when descriptors are short (TH-4, TH-5, MA-2, B-40, INV-19, INV-22).
#include <fcntl.h>
#include <sys/resource.h>

#include <doctest/doctest.h>

#include <memory>

#include "support/accept_log.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/throttle_setting.h"

namespace netvc::test {

namespace {

/// The process has no descriptor left while this exists; clients may be made before.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &old_);
    rlimit low{static_cast<rlim_t>(open_descriptors() + 20), old_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &low);
    for (;;) {
      UniqueFd fd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
      if (!fd.valid()) break;
      hoard_.push_back(std::move(fd));
    }
  }
  ~NoDescriptors() {
    hoard_.clear();
    ::setrlimit(RLIMIT_NOFILE, &old_);
  }

 private:
  rlimit old_{};
  std::vector<UniqueFd> hoard_;
};

struct Limited final : AcceptHandler {
  void on_accept(NetVConnection& vc) override { accepted.push_back(vc.id()); }
  void on_accept_error(int error) override { FAIL("accept error ", error); }
  void on_accept_limited(Admission::Verdict v) override { ++limited[static_cast<size_t>(v)]; }
  void on_accept_stopped() override {}
  int count(Admission::Verdict v) const { return limited[static_cast<size_t>(v)]; }

  std::vector<VersionedId> accepted;
  int limited[Admission::kVerdicts] = {};
};

struct Fixture {
  LeakCheck leaks;
  Loop loop;
  Limited log;
  Ref<ListenSocket> socket;
  Ref<Acceptor> acceptor;

  void listen(const AcceptOptions& options = {}) {
    REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), options, &socket), 0);
    acceptor =
        Ref<Acceptor>(new Acceptor(socket, &log, [this]() -> NetHandler& { return loop.h; }));
    acceptor->start(loop.h, false);
    loop.settle();
  }
  ~Fixture() { Acceptor::cancel(acceptor); }
  NetCounters& counters() { return loop.h.counters; }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture,
                  "MA-2 INV-22 F-161: with no descriptor who waits is closed, and told so") {
  ThrottleSetting off(0);
  listen();
  std::vector<RawPeer> clients;
  for (int i = 0; i < 10; ++i)
    clients.push_back(dial(socket->address()));
  {
    NoDescriptors none;
    REQUIRE(loop.until([&] { return counters().accept_rescued.get() == 10; }));
    for (RawPeer& c : clients) {
      REQUIRE(wait_fd(c.fd(), POLLIN));
      CHECK(c.at_end());
    }
    CHECK_GT(log.count(Admission::Verdict::kNoDescriptor), 0);
    CHECK(log.accepted.empty());
    // EMFILE comes before the look whether anybody is there (B-40): nobody is, and nothing spins.
    loop.settle();
    const int64_t errors = counters().accept_errors.get();
    loop.turn(20);
    CHECK_EQ(counters().accept_errors.get(), errors);
    CHECK_FALSE(loop.h.has_work());
  }
  RawPeer served = dial(socket->address());
  REQUIRE(loop.until([&] { return log.accepted.size() == 1; }));
}

TEST_CASE_FIXTURE(Fixture, "MA-2 INV-22: so many are rescued, then there is a pause") {
  ThrottleSetting off(0);
  listen();
  constexpr int kClients = 2 * Acceptor::kRescues + 5;
  std::vector<RawPeer> clients;
  for (int i = 0; i < kClients; ++i)
    clients.push_back(dial(socket->address()));
  NoDescriptors none;
  REQUIRE(loop.until([&] { return counters().accept_rescued.get() == Acceptor::kRescues; }));
  loop.settle();
  CHECK_EQ(counters().accept_rescued.get(), Acceptor::kRescues);
  CHECK_LE(loop.h.next_timer(), monotonic_now() + Acceptor::kPause);
  REQUIRE(loop.until([&] { return counters().accept_rescued.get() == kClients; }));
}

TEST_CASE_FIXTURE(Fixture, "KQ-4 INV-22: the longest idle one gives its descriptor to who comes") {
  ThrottleSetting off(0);
  listen();
  Recorder told([](Event e, VIO* vio) {
    if (e == Event::kInactivityTimeout) vio->vc_server->do_io_close();
  });
  std::vector<RawPeer> clients;
  for (size_t i = 0; i < 2; ++i) {
    clients.push_back(dial(socket->address()));
    REQUIRE(loop.until([&] { return log.accepted.size() == i + 1; }));
    VcPool::Handle vc = NetVConnection::pool().address(log.accepted[i]);
    vc->do_io_read(&told, VIO::kUnlimited, MIOBuffer::create_empty(kIndexLarge));
    vc->add_to_keep_alive_queue();
  }
  RawPeer next = dial(socket->address());
  NoDescriptors none;
  REQUIRE(loop.until([&] { return log.accepted.size() == 3; }));
  CHECK_FALSE(NetVConnection::pool().address(log.accepted[0]));
  CHECK(NetVConnection::pool().address(log.accepted[1]));
  CHECK_EQ(counters().accept_rescued.get(), 0);
}

TEST_CASE_FIXTURE(Fixture,
                  "TH-5 F-069: accepting waits while too many are open, and goes on by itself") {
  ThrottleSetting ten(10);
  listen();
  const int64_t others = leaks.sockets();
  REQUIRE_EQ(others, 0);
  std::vector<RawPeer> clients;
  for (int i = 0; i < 14; ++i)
    clients.push_back(dial(socket->address()));
  REQUIRE(loop.until([&] { return counters().accept_throttled.get() > 2; }));
  CHECK_EQ(log.accepted.size(), 10);  // floor(9 * 1.1) is 9, floor(10 * 1.1) is 11
  CHECK_GT(log.count(Admission::Verdict::kThrottled), 0);
  CHECK_LE(loop.h.next_timer(), monotonic_now() + Acceptor::kFullPause);
  NetVConnection::pool().address(log.accepted[0])->do_io_close();
  REQUIRE(loop.until([&] { return log.accepted.size() == 11; }));
}

TEST_CASE_FIXTURE(Fixture, "TH-5: a backdoor is exempt") {
  ThrottleSetting one(1);
  AcceptOptions options;
  options.backdoor = true;
  listen(options);
  std::vector<RawPeer> clients;
  for (int i = 0; i < 5; ++i)
    clients.push_back(dial(socket->address()));
  REQUIRE(loop.until([&] { return log.accepted.size() == 5; }));
  CHECK_EQ(counters().accept_throttled.get(), 0);
}

TEST_CASE_FIXTURE(Fixture,
                  "TH-4 TH-2 F-068: a connect beyond the limit fails with ENET_THROTTLING") {
  ThrottleSetting two(2);
  AcceptOptions options;
  options.backdoor = true;
  listen(options);
  ConnectLog logs[3];
  for (int i = 0; i < 2; ++i)
    connect_re(loop.h, socket->address(), {}, &logs[i]);
  connect_s(loop.h, socket->address(), {}, &logs[2]);
  CHECK_EQ(logs[2].failed, 1);
  CHECK_EQ(logs[2].error.code, ENET_THROTTLING);
  CHECK_EQ(counters().connect_throttled.get(), 1);
  logs[0].vc()->do_io_close();
  REQUIRE(loop.until([&] { return log.accepted.size() == 2; }));
  for (VersionedId id : log.accepted)
    NetVConnection::pool().address(id)->do_io_close();
  ConnectLog again;
  connect_re(loop.h, socket->address(), {}, &again);
  CHECK_EQ(again.opened, 1);
}

TEST_CASE("INV-19 TH-1: the count is exact over every way to fail") {
  LeakCheck leaks;
  Loop loop;
  Faults faults;
  NetVCOptions bad;
  bad.addr_binding = AddrBinding::kIntf;
  REQUIRE(Address::from_ip("192.0.2.1", 0, &bad.local_ip));  // not of this machine
  ConnectLog log;
  connect_re(loop.h, loopback(Family::kTcp4), bad, &log);
  CHECK_EQ(log.failed, 1);
  CHECK_EQ(leaks.sockets(), 0);
  for (int error : {EMFILE, ENFILE, ENOBUFS}) {
    faults.script(SocketOp::kSocket, Faults::kAnyFd, {fail(error)});
    connect_re(loop.h, loopback(Family::kTcp4), {}, &log);
    CHECK_EQ(log.error.code, error);
    CHECK_EQ(leaks.sockets(), 0);
  }
  for (int error : {ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL}) {
    faults.script(SocketOp::kConnect, Faults::kAnyFd, {fail(error)});
    connect_s(loop.h, loopback(Family::kTcp4), {}, &log);
    CHECK_EQ(log.error.code, error);
    CHECK_EQ(leaks.sockets(), 0);
  }
  CHECK_EQ(faults.left(), 0);
}

}  // namespace netvc::test
