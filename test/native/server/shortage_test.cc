// Accepting and connecting when descriptors are short (TH-4, TH-5, MA-2, B-40, INV-19, INV-22).
#include <fcntl.h>
#include <sys/resource.h>

#include <doctest/doctest.h>

#include <functional>
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

TEST_CASE("INV-19 TH-1: the count is exact over every way a connect fails at once") {
  struct Way {
    const char* name;
    int error;
    std::function<void(NetVCOptions&, Faults&)> prepare;
  };
  Address here;
  REQUIRE(Address::from_ip("127.0.0.1", 0, &here));
  Ref<ListenSocket> taken;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &taken), 0);
  const auto call = [](SocketOp op, int error) {
    return [op, error](NetVCOptions&, Faults& f) { f.script(op, Faults::kAnyFd, {fail(error)}); };
  };
  std::vector<Way> ways = {
      {"an address of another machine", EADDRNOTAVAIL,
       [](NetVCOptions& o, Faults&) {
         o.addr_binding = AddrBinding::kIntf;
         REQUIRE(Address::from_ip("192.0.2.1", 0, &o.local_ip));
       }},
      {"no address to bind to", EAFNOSUPPORT,
       [](NetVCOptions& o, Faults&) { o.addr_binding = AddrBinding::kIntf; }},
      {"a local port in use", EADDRINUSE,
       [&](NetVCOptions& o, Faults&) {
         o.addr_binding = AddrBinding::kIntf;
         o.local_ip = here;
         o.local_port = taken->address().port();
       }},
      {"an unknown congestion control", ENOENT,
       [](NetVCOptions& o, Faults&) { o.congestion_control = "no-such-thing"; }},
      {"a segment size that nobody takes", EINVAL,
       [](NetVCOptions& o, Faults&) { o.max_segment_size = 50; }},
  };
  for (int error : {EMFILE, ENFILE, ENOBUFS, ENOMEM})
    ways.push_back({"socket", error, call(SocketOp::kSocket, error)});
  for (int error : {ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, EACCES})
    ways.push_back({"connect", error, call(SocketOp::kConnect, error)});

  for (const Way& way : ways) {
    for (const bool strict : {false, true}) {
      CAPTURE(std::string(way.name));
      CAPTURE(way.error);
      CAPTURE(strict);
      LeakCheck leaks;
      Loop loop;
      Faults faults;
      NetVCOptions options;
      ConnectLog log;
      way.prepare(options, faults);
      const Address to = taken->address();
      if (strict) {
        connect_s(loop.h, to, options, &log);
      } else {
        connect_re(loop.h, to, options, &log);
      }
      CHECK_EQ(log.failed, 1);
      CHECK_EQ(log.opened, 0);
      CHECK_EQ(log.error.code, way.error);
      CHECK_EQ(leaks.sockets(), 0);
      CHECK_EQ(faults.left(), 0);
    }
  }
}

TEST_CASE("INV-19 TH-1: the count is exact over every way an attempt under way ends") {
  LeakCheck leaks;
  auto loop = std::make_unique<Loop>();
  Faults faults;
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
  const Address to = socket->address();
  ConnectLog log;
  SUBCASE("nobody listens") {
    socket.reset();
    connect_s(loop->h, to, {}, &log);
    REQUIRE(loop->until([&] { return log.told(); }));
    CHECK_EQ(log.error.error_number, ECONNREFUSED);
  }
  SUBCASE("its time is over") {
    faults.script(SocketOp::kConnect, Faults::kAnyFd, {fail(EINPROGRESS)});
    connect_s(loop->h, to, {}, &log, 10 * kMillisecond);
    CHECK_EQ(leaks.sockets(), 1);
    REQUIRE(loop->until([&] { return log.told(); }));
    CHECK_EQ(log.failed, 1);
  }
  SUBCASE("it is cancelled") {
    ConnectAction action = connect_s(loop->h, to, {}, &log);
    CHECK_EQ(leaks.sockets(), 1);
    action.cancel();
    loop->settle();
    CHECK_FALSE(log.told());
  }
  SUBCASE("it opens, and is closed") {
    connect_s(loop->h, to, {}, &log);
    REQUIRE(loop->until([&] { return log.told(); }));
    CHECK_EQ(log.opened, 1);
    CHECK_EQ(leaks.sockets(), 1);
    log.vc()->do_io_close();
  }
  SUBCASE("the handler ends") {
    faults.script(SocketOp::kConnect, Faults::kAnyFd, {fail(EINPROGRESS)});
    connect_s(loop->h, to, {}, &log);
    CHECK_EQ(leaks.sockets(), 1);
    loop.reset();
  }
  CHECK_EQ(leaks.sockets(), 0);
}

TEST_CASE(
    "B-6 TH-3 TH-4: a connect that got one of the last descriptors fails, and gives it back") {
  LeakCheck leaks;
  Loop loop;
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
  rlimit old{};
  ::getrlimit(RLIMIT_NOFILE, &old);
  UniqueFd probe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int next = probe.get();  // what the socket will be
  probe.reset();
  rlimit low{static_cast<rlim_t>(next + Throttle::kHyper - 1), old.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &low);
  // The limit is looked at once a second.
  REQUIRE(loop.until(
      [&] { return Throttle::process().limit(monotonic_now()) < static_cast<int64_t>(next) + 9; }));
  for (const bool strict : {false, true}) {
    CAPTURE(strict);
    ConnectLog log;
    if (strict) {
      connect_s(loop.h, socket->address(), {}, &log);
    } else {
      connect_re(loop.h, socket->address(), {}, &log);
    }
    CHECK_EQ(log.opened, 0);
    CHECK_EQ(log.failed, 1);
    // The first one starts the emergency, in which the next is not even tried.
    CHECK_EQ(log.error.code, strict ? ENET_THROTTLING : EMFILE);
    CHECK_EQ(::fcntl(next, F_GETFD), -1);
    CHECK_EQ(leaks.sockets(), 0);
    CHECK_EQ(leaks.connections(), 0);
    CHECK_EQ(loop.h.open_count(), 0);
  }
  CHECK(Throttle::process().emergency(monotonic_now()));
  ::setrlimit(RLIMIT_NOFILE, &old);
}

}  // namespace netvc::test
