// Urgent bytes (OB-*, B-21).
#include <doctest/doctest.h>

#include <algorithm>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/net_threads.h"
#include "support/notices.h"
#include "support/random.h"
#include "vc/remote.h"
#include "vc/write.h"

namespace netvc::test {

namespace {

constexpr Nanos kRetry = 10 * kMillisecond;

struct Fixture {
  LeakCheck leaks;
  Faults faults;
  Notices told;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};

  int send(std::string_view s) { return send_with(told.notice(), s); }
  int send_with(Notice* n, std::string_view s) {
    const int r = c->send_oob(s.data(), s.size(), n);
    if (r) n->tell(r);
    return r;
  }
  int calls() { return faults.calls(SocketOp::kSendOob, c->get_socket()); }
  void next(std::initializer_list<Fault> steps) {
    faults.script(SocketOp::kSendOob, c->get_socket(), steps);
  }
  /// The kernel takes nothing until peer_reads().
  void block() { faults.always(SocketOp::kSendOob, c->get_socket(), fail(EAGAIN)); }
  bool heard() {
    return loop.until([&] { return !told.codes.empty(); });
  }
  /// As long as several retries need.
  void wait_in_vain() {
    const Nanos until = monotonic_now() + 4 * kRetry;
    loop.until([&] { return monotonic_now() > until; });
  }
  std::string urgent() {
    char byte = 0;
    const ssize_t r = ::recv(c.peer.fd(), &byte, 1, MSG_OOB);
    return r == 1 ? std::string(1, byte) : "";
  }
  void inlined() {
    const int on = 1;
    ::setsockopt(c.peer.fd(), SOL_SOCKET, SO_OOBINLINE, &on, sizeof on);
  }
  using Codes = std::vector<int>;

  // --- behind a message that has begun (SW-9)

  static constexpr size_t kLong = 4 << 20;
  void small_room() {
    const int size = 65'536;
    ::setsockopt(c->get_socket(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    ::setsockopt(c.peer.fd(), SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    inlined();
  }
  /// The peer has taken some of it, so that the kernel has room again; nobody has looked yet.
  void half_gone() {
    loop.settle();
    REQUIRE_GT(c->queued_bytes(), 0);
    REQUIRE_LT(c->queued_bytes(), kLong);
    REQUIRE(wait_for([&] {
      read += c.peer.take(65'536).size();
      pollfd room{c->get_socket(), POLLOUT, 0};
      return ::poll(&room, 1, 0) == 1;
    }));
  }
  /// What comes behind the message.
  std::string behind(size_t n) {
    std::string got;
    CHECK(loop.until([&] {
      got += c.peer.take(65'536);
      return read + got.size() >= kLong + n;
    }));
    CHECK_EQ(std::min(got.find_first_not_of('a'), got.size()), kLong - read);
    return got.substr(kLong - read);
  }
  size_t read = 0;
  const std::string message = std::string(kLong, 'a');
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "OB-1 F-090: all sent at once is told before send_oob returns") {
  CHECK_EQ(send("abc"), 0);
  CHECK_EQ(told.codes, Codes{0});
  CHECK_EQ(calls(), 1);
  CHECK_EQ(c->bytes_out(), 3);
  wait_in_vain();
  CHECK_EQ(calls(), 1);
}

TEST_CASE_FIXTURE(Fixture, "OB-3: without SO_OOBINLINE the last byte is not in the stream") {
  REQUIRE_EQ(send("abc"), 0);
  CHECK_EQ(c.peer.receive(2), "ab");
  CHECK_EQ(urgent(), "c");
  CHECK_EQ(c.peer.take(), "");
  CHECK_EQ(c.peer.last(), -EAGAIN);
}

TEST_CASE_FIXTURE(Fixture, "OB-3: with SO_OOBINLINE a read stops before the mark: 2, then 1") {
  inlined();
  REQUIRE_EQ(send("abc"), 0);
  REQUIRE(wait_fd(c.peer.fd(), POLLPRI));
  CHECK_EQ(c.peer.take(), "ab");
  CHECK_EQ(c.peer.take(), "c");
}

TEST_CASE_FIXTURE(Fixture, "OB-3: read by a connection, with and without SO_OOBINLINE") {
  for (const bool on : {false, true}) {
    CAPTURE(on);
    const int value = on;
    ::setsockopt(c->get_socket(), SOL_SOCKET, SO_OOBINLINE, &value, sizeof value);
    Recorder rec;
    Buf in;
    c->do_io_read(&rec, VIO::kUnlimited, in.m);
    REQUIRE_EQ(::send(c.peer.fd(), "abc", 3, MSG_OOB), 3);
    c.peer.send("x");  // what comes behind the mark shows that nothing else of it comes
    const size_t n = on ? 4 : 3;
    CHECK(loop.until([&] { return static_cast<size_t>(in.avail()) >= n; }));
    loop.settle();
    CHECK_EQ(in.take(), on ? "abcx" : "abx");
    c->do_io_read(nullptr, 0, nullptr);
  }
}

TEST_CASE_FIXTURE(Fixture, "OB-1: EAGAIN and ENOTCONN are tried again every 10 ms") {
  next({fail(EAGAIN), fail(ENOTCONN), fail(EAGAIN)});
  const Nanos start = monotonic_now();
  CHECK_EQ(send("abc"), 0);
  CHECK_EQ(calls(), 1);
  CHECK(told.codes.empty());
  REQUIRE(heard());
  CHECK_GE(monotonic_now() - start, 3 * kRetry);
  CHECK_EQ(told.codes, Codes{0});
  CHECK_EQ(calls(), 4);
  CHECK_EQ(c.peer.receive(2), "ab");
  CHECK_EQ(urgent(), "c");
}

TEST_CASE_FIXTURE(Fixture, "OB-1: the rest of a part is sent 10 ms later; nothing twice") {
  inlined();
  next({at_most(2), fail(EAGAIN), at_most(1)});
  CHECK_EQ(send("abcdef"), 0);
  REQUIRE(heard());
  CHECK_EQ(told.codes, Codes{0});
  CHECK_EQ(calls(), 4);
  CHECK_EQ(c.peer.receive(6), "abcdef");
  CHECK_EQ(c->bytes_out(), 6);
}

TEST_CASE_FIXTURE(Fixture, "OB-1: the bytes are copied") {
  next({fail(EAGAIN)});
  std::string s = "abc";
  CHECK_EQ(send(s), 0);
  s = "xyz";
  REQUIRE(heard());
  CHECK_EQ(c.peer.receive(2), "ab");
  CHECK_EQ(urgent(), "c");
}

TEST_CASE_FIXTURE(Fixture, "OB-1 B-21: another errno is told, and not tried again") {
  for (const int error : {ECONNRESET, ENOBUFS, EPIPE, EINVAL}) {
    CAPTURE(error);
    told.codes.clear();
    const int before = calls();
    next({fail(EAGAIN), fail(error)});
    CHECK_EQ(send("abc"), 0);
    REQUIRE(heard());
    wait_in_vain();
    CHECK_EQ(calls(), before + 2);
    CHECK_EQ(told.codes.size(), 1);
    // The first error of the socket is the one that is told from then on (B-13).
    CHECK_EQ(told.codes[0], error == EPIPE ? ECONNRESET : error);
  }
}

TEST_CASE_FIXTURE(Fixture, "OB-1 B-13: an error of the socket is not lost for who reads") {
  Recorder rec;
  Buf in;
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.reset();
  REQUIRE(wait_fd(c->get_socket(), POLLHUP));
  CHECK_EQ(send("abc"), 0);
  CHECK_EQ(told.codes, Codes{ECONNRESET});
  REQUIRE(loop.until([&] { return rec.has(Event::kEos); }));
  CHECK_EQ(c->lerrno, ECONNRESET);
}

TEST_CASE_FIXTURE(Fixture, "OB-1: one at a time; a second call is refused and changes nothing") {
  block();
  CHECK_EQ(send("abc"), 0);
  Notices second;
  CHECK_EQ(send_with(second.notice(), "xyz"), ENET_OOB_PENDING);
  CHECK_EQ(second.codes, Codes{ENET_OOB_PENDING});
  CHECK(told.codes.empty());
  faults.forget();
  REQUIRE(heard());
  CHECK_EQ(c.peer.receive(2), "ab");
  CHECK_EQ(urgent(), "c");
  CHECK_EQ(send("d"), 0);
  CHECK_EQ(told.codes, Codes{0, 0});
}

TEST_CASE_FIXTURE(Fixture, "OB-1: no bytes are refused") {
  CHECK_EQ(send(""), EINVAL);
  CHECK_EQ(calls(), 0);
}

TEST_CASE_FIXTURE(Fixture, "OB-2 F-091: cancelled, it is told so, and no more is sent or told") {
  c->cancel_oob();  // none: nothing happens
  next({at_most(1)});
  CHECK_EQ(send("abc"), 0);
  block();
  const int before = calls();
  c->cancel_oob();
  CHECK_EQ(told.codes, Codes{ENET_OOB_CANCELLED});
  c->cancel_oob();
  wait_in_vain();
  CHECK_EQ(calls(), before);
  CHECK_EQ(told.codes, Codes{ENET_OOB_CANCELLED});
  faults.forget();
  CHECK_EQ(send("z"), 0);
  CHECK_EQ(told.codes, Codes{ENET_OOB_CANCELLED, 0});
}

TEST_CASE_FIXTURE(Fixture, "OB-2: closing cancels; with messages that still leave, too") {
  for (const bool lingers : {false, true}) {
    CAPTURE(lingers);
    told.codes.clear();
    VcAndPeer d(loop, Family::kTcp4);
    faults.always(SocketOp::kSendOob, d->get_socket(), fail(EAGAIN));
    if (lingers) faults.always(SocketOp::kWrite, d->get_socket(), fail(EAGAIN));
    loop.exact_lists = !lingers;
    Notice* n = told.notice();
    CHECK_EQ(d->send_oob("abc", 3, n), 0);
    if (lingers) CHECK(d->queue_write("message", 7));
    d->do_io_close();
    CHECK_EQ(told.codes, Codes{ENET_CLOSED});
    CHECK_EQ(d.alive(), lingers);
    wait_in_vain();
    CHECK_EQ(told.codes, Codes{ENET_CLOSED});
    faults.forget();
    if (lingers) {
      d.peer.reset();
      CHECK(loop.until([&] { return !d.alive(); }));
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "OB-2: a handler that shuts down tells it") {
  Loop other;
  VcAndPeer d(other, Family::kTcp4);
  faults.always(SocketOp::kSendOob, d->get_socket(), fail(EAGAIN));
  CHECK_EQ(d->send_oob("abc", 3, told.notice()), 0);
  other.h.shut_down();
  CHECK_EQ(told.codes, Codes{ENET_CLOSED});
}

TEST_CASE_FIXTURE(Fixture, "OB-2: shut for writing, or failed: it is told why") {
  block();
  CHECK_EQ(send("abc"), 0);
  c->do_io_shutdown(Shutdown::kWrite);
  CHECK_EQ(told.codes, Codes{ENET_SHUT});
  CHECK_EQ(send("x"), ENET_SHUT);

  VcAndPeer d(loop, Family::kTcp4);
  Notices failed;
  Recorder rec;
  Buf in;
  d->do_io_read(&rec, VIO::kUnlimited, in.m);
  faults.always(SocketOp::kSendOob, d->get_socket(), fail(EAGAIN));
  CHECK_EQ(d->send_oob("abc", 3, failed.notice()), 0);
  NetVConnection::set_failed(NetVConnection::pool().address(d.id), ETIMEDOUT, "");
  loop.settle();
  CHECK_EQ(failed.codes, Codes{ETIMEDOUT});
}

TEST_CASE_FIXTURE(Fixture, "OB-1 MG-2: it goes on at another handler") {
  block();
  CHECK_EQ(send("abc"), 0);
  Loop to;
  bool moved = false;
  c->move_to(to.h, [&](NetVConnection* vc) { moved = vc != nullptr; });
  loop.turn(2);
  to.turn();
  REQUIRE(moved);
  CHECK(told.codes.empty());
  faults.forget();
  REQUIRE(to.until([&] { return !told.codes.empty(); }));
  CHECK_EQ(told.codes, Codes{0});
  CHECK_EQ(c.peer.receive(2), "ab");
}

TEST_CASE_FIXTURE(Fixture, "OB-1: it does not wait for what waits to be sent") {
  faults.always(SocketOp::kWrite, c->get_socket(), fail(EAGAIN));
  CHECK(c->queue_write("message", 7));
  CHECK_EQ(send("!"), 0);
  CHECK_EQ(told.codes, Codes{0});
  faults.forget();
  CHECK_EQ(urgent(), "!");
}

TEST_CASE_FIXTURE(Fixture, "OB-1 SW-9: not within a message that has begun, but before the next") {
  small_room();
  SUBCASE("given by anybody") { REQUIRE_EQ(write(c.id, message.data(), kLong), 0); }
  SUBCASE("given by its thread, and begun at once") {
    REQUIRE(c->write_now(message.data(), kLong));
  }
  SUBCASE("queued by its thread") { REQUIRE(c->queue_write(message.data(), kLong)); }
  Notices next_told;
  half_gone();
  CHECK_EQ(send("xyz"), 0);
  CHECK_EQ(calls(), 0);
  WriteOptions options;
  options.told = next_told.notice();
  REQUIRE_EQ(write(c.id, "next", 4, options), 0);
  CHECK_EQ(behind(7), "xyznext");
  CHECK_EQ(told.codes, Codes{0});
  CHECK_EQ(next_told.codes, Codes{0});
  wait_in_vain();
  CHECK_EQ(calls(), 1);
}

TEST_CASE_FIXTURE(Fixture, "OB-1 SW-9: the kernel takes none at the boundary: at the next one") {
  small_room();
  REQUIRE_EQ(write(c.id, message.data(), kLong), 0);
  half_gone();
  next({fail(EAGAIN), at_most(1)});
  CHECK_EQ(send("xyz"), 0);
  WriteOptions options;
  options.told = told.notice();
  REQUIRE_EQ(write(c.id, "next", 4, options), 0);
  options.told = told.notice();
  REQUIRE_EQ(write(c.id, "last", 4, options), 0);
  const std::string got = behind(11);
  CHECK_EQ(got, "nextlastxyz");
  CHECK(loop.until([&] { return told.codes == Codes{0, 0, 0}; }));
}

TEST_CASE_FIXTURE(Fixture,
                  "OB-2 SW-9: those that wait behind a message are cancelled, closed, moved") {
  small_room();
  REQUIRE_EQ(write(c.id, message.data(), kLong), 0);
  half_gone();
  CHECK_EQ(send("x"), 0);
  SUBCASE("cancelled") {
    c->cancel_oob();
    CHECK_EQ(told.codes, Codes{ENET_OOB_CANCELLED});
    CHECK_EQ(send("!"), 0);
    CHECK_EQ(behind(1), "!");
    CHECK_EQ(told.codes, Codes{ENET_OOB_CANCELLED, 0});
  }
  SUBCASE("closed") {
    loop.exact_lists = false;
    c->do_io_close();
    CHECK_EQ(told.codes, Codes{ENET_CLOSED});
    CHECK_EQ(behind(0), "");
  }
  SUBCASE("moved") {
    Loop to;
    bool moved = false;
    c->move_to(to.h, [&](NetVConnection* vc) { moved = vc != nullptr; });
    loop.turn(2);
    to.turn();
    REQUIRE(moved);
    std::string got;
    CHECK(to.until([&] {
      got += c.peer.take(65'536);
      return read + got.size() > kLong;
    }));
    CHECK_EQ(got.find('x'), kLong - read);
    CHECK_EQ(told.codes, Codes{0});
  }
}

TEST_CASE_FIXTURE(Fixture, "OB-1: what is no socket has no urgent bytes") {
  int fds[2];
  REQUIRE_EQ(::pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
  UniqueFd read_end(fds[0]);
  NetVConnection* vc = adopt(loop.h, UniqueFd(fds[1]));
  CHECK_EQ(vc->send_oob("a", 1, told.notice()), 0);
  CHECK_EQ(told.codes, Codes{ENOTSOCK});
  CHECK_EQ(vc->latched_error(), 0);
}

TEST_CASE("OB-1 OB-2 INV-10: sent, cancelled, moved and closed by others, each is told once") {
  LeakCheck leaks;
  Faults faults;
  Random random(take_seed("oob others"));
  struct Counted final : Notice {
    explicit Counted(std::atomic<int>& n) : left(n) {}
    void tell(int) override {
      left.fetch_sub(1);
      delete this;
    }
    std::atomic<int>& left;
  };
  // Told also when its command is dropped.
  struct Command {
    explicit Command(Notice* n) : told(n) {}
    Command(Command&& o) noexcept : told(std::exchange(o.told, nullptr)) {}
    ~Command() {
      if (told) told->tell(ENET_CLOSED);
    }
    void operator()(NetVConnection& vc) {
      Notice* n = std::exchange(told, nullptr);
      if (const int r = vc.send_oob("abc", 3, n)) n->tell(r);
    }
    Notice* told;
  };
  std::atomic<int> left{0};
  NetThreads threads(2);
  for (int round = 0; round < 300; ++round) {
    FdPair p = fd_pair(Family::kTcp4);
    if (random.one_in(2))
      faults.always(SocketOp::kSendOob, p.a.get(), fail(EAGAIN));
    else
      faults.forget();
    const VersionedId id =
        on(threads[0], [&](NetHandler& h) { return adopt(h, std::move(p.a))->id(); });
    NetHandler& to = threads[1];
    for (int64_t n = random.below(8); n > 0; --n) {
      switch (random.below(4)) {
        case 0:
          remote::post(id, [](NetVConnection& vc) { vc.cancel_oob(); });
          break;
        case 1:
          remote::post(id, [&to](NetVConnection& vc) { vc.move_to(to, [](NetVConnection*) {}); });
          break;
        default:
          left.fetch_add(1);
          remote::post(id, Command(new Counted(left)));
      }
    }
    remote::close(id);
  }
  CHECK(wait_for([&] { return left.load() == 0; }));
  threads.stop();
}

}  // namespace netvc::test
