// Messages to a connection by its id (vc/write.h): what is refused, what is told, what is counted.
#include "vc/write.h"

#include <doctest/doctest.h>

#include <thread>

#include "support/notices.h"
#include "support/tunnel_fixture.h"
#include "support/vc_fixture.h"

namespace netvc::test {

namespace {

using Codes = std::vector<int>;
constexpr int64_t kRequest = Unsent::kRequestBytes;

struct Fixture : VcFixture {
  Notices told;

  int send(std::string_view s, const WriteOptions& o = {}) {
    return write(c.id, s.data(), s.size(), o);
  }
  int send_told(std::string_view s, WriteOptions o = {}) {
    o.told = told.notice();
    return send(s, o);
  }
  // Refused with `code`, in both forms, and nothing has happened.
  void refused(VersionedId id, std::string_view s, int code, WriteOptions o = {}) {
    CAPTURE(code);
    const int64_t before = leaks.requests();
    Notices mine;
    o.told = mine.notice();
    CHECK_EQ(write(id, s.data(), s.size(), o), code);
    BlockChain chain;
    CHECK(chain.append(s.data(), s.size()));
    CHECK_EQ(write(id, chain, o), code);
    CHECK_EQ(chain.size(), static_cast<int64_t>(s.size()));
    CHECK_EQ(leaks.requests(), before);
    CHECK(mine.codes.empty());
    o.told->tell(1);  // it is still ours
  }
  void block_kernel() { faults.always(SocketOp::kWrite, fd(), fail(EAGAIN)); }
  void unblock_kernel() {
    faults.forget();
    c->on_poll(kPollOut);
    loop.settle();
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "SW-1 SW-12: a message arrives, and its notice is told 0 once") {
  CHECK_EQ(send_told("hello "), 0);
  CHECK(told.codes.empty());
  BlockChain chain;
  CHECK(chain.append("world", 5));
  CHECK_EQ(write(c.id, chain, {.told = told.notice()}), 0);
  CHECK(chain.empty());
  CHECK_EQ(c->unsent(), 11);
  loop.settle();
  CHECK_EQ(told.codes, Codes{0, 0});
  CHECK_EQ(c->unsent(), 0);
  CHECK_EQ(c.peer.receive(11), "hello world");
}

TEST_CASE_FIXTURE(Fixture, "SW-1 SW-2 B-31: refusals, in their order, touch nothing") {
  VcAndPeer d(loop, Family::kTcp4);
  VcPool::Handle held = NetVConnection::pool().address(d.id);
  const uint32_t too_many = NetVConnection::kMaxPipelined + 1;
  // Everything at once that can be wrong with it; then one thing less each time.
  d->set_max_unwritten(0);
  d->refuse_messages(ENET_TUNNELED);
  CHECK(NetVConnection::set_failed(held.again(), EIO, "test"));
  refused(d.id, "", EINVAL, {.pipelined_count = too_many});
  refused(d.id, "x", EOVERFLOW, {.pipelined_count = too_many});
  refused(d.id, "x", EIO);
  CHECK_EQ(write(held.again(), "x", 1), EIO);
  loop.turn();  // it closes
  refused(d.id, "", EINVAL);
  refused(d.id, "x", EOVERFLOW, {.pipelined_count = too_many});
  refused(d.id, "x", ENET_CLOSED);
  CHECK_EQ(write(held.again(), "x", 1), EIO);  // the error stays

  c->set_max_unwritten(0);
  c->refuse_messages(ENET_TUNNELED);
  refused(c.id, "x", ENET_TUNNELED);
  c->refuse_messages(0);
  refused(c.id, "x", EOVERCROWDED);
  c->set_max_unwritten(1);
  CHECK_EQ(send_told("x"), 0);
  refused(0, "x", ENET_CLOSED);
  CHECK_EQ(write(VcPool::Handle(), "x", 1), ENET_CLOSED);
  loop.settle();
  CHECK_EQ(told.codes, Codes{0});
  CHECK_EQ(c.peer.receive(1), "x");
}

TEST_CASE_FIXTURE(Fixture, "SW-1: closed is told to who holds a handle, stale to the others") {
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  c->do_io_close();
  refused(c.id, "x", ENET_CLOSED);
  CHECK_EQ(write(held.again(), "x", 1), ENET_CLOSED);
}

TEST_CASE_FIXTURE(Fixture, "SW-1: a connection that was never attached takes no messages") {
  FdPair p = fd_pair(Family::kUnix);
  Connection con;
  REQUIRE_EQ(con.adopt(p.a.release()), 0);
  NetVConnection* vc = NetVConnection::create(std::move(con), VcContext::kInbound);
  refused(vc->id(), "x", ENET_CLOSED);
  vc->release();
}

TEST_CASE_FIXTURE(Fixture, "SW-1: after SHUT_WR messages are refused, accepted ones go first") {
  CHECK_EQ(send_told("before"), 0);
  c->do_io_shutdown(Shutdown::kWrite);
  refused(c.id, "x", ENET_SHUT);
  loop.settle();
  CHECK_EQ(told.codes, Codes{0});
  CHECK_EQ(c.peer.receive_all(), "before");
}

TEST_CASE_FIXTURE(TunnelFixture, "SW-1: a connection of a tunnel takes no messages") {
  Notices told;
  CHECK_EQ(write(a.id, "before ", 7, {.told = told.notice()}), 0);
  start();
  CHECK_EQ(write(a.id, "x", 1), ENET_TUNNELED);
  CHECK_EQ(write(b.id, "x", 1), ENET_TUNNELED);
  right().send("bytes");
  CHECK_EQ(receive(left(), 12), "before bytes");
  CHECK_EQ(told.codes, Codes{0});
  left().close();
  right().close();
  expect_ended(TunnelEnd::kEos);
}

TEST_CASE_FIXTURE(Fixture, "B-34 F-134: pipelined counts 0, 1, max and max + 1") {
  constexpr uint32_t kMax = NetVConnection::kMaxPipelined;
  NetVConnection::Pipelined p{};
  CHECK_FALSE(c->pop_pipelined(&p));
  CHECK_EQ(send("0", {.pipelined_count = 0, .with_auth = true}), 0);
  CHECK_EQ(send("1", {.pipelined_count = 1}), 0);
  CHECK_EQ(send("m", {.pipelined_count = kMax, .with_auth = true}), 0);
  CHECK_EQ(send("n", {.pipelined_count = kMax}), 0);
  CHECK_EQ(send("+", {.pipelined_count = kMax + 1}), EOVERFLOW);
  CHECK_EQ(send("+", {.pipelined_count = UINT32_MAX}), EOVERFLOW);
  loop.settle();
  CHECK_EQ(c.peer.receive(4), "01mn");
  const NetVConnection::Pipelined expected[] = {{1, false}, {kMax, true}, {kMax, false}};
  for (const auto& e : expected) {
    REQUIRE(c->pop_pipelined(&p));
    CHECK_EQ(p.count, e.count);
    CHECK_EQ(p.with_auth, e.with_auth);
  }
  CHECK_FALSE(c->pop_pipelined(&p));
}

TEST_CASE_FIXTURE(Fixture, "F-134: the answers of a message that never leaves are not expected") {
  using Counts = std::vector<uint32_t>;
  const auto expected = [this] {
    Counts counts;
    NetVConnection::Pipelined p{};
    while (c->pop_pipelined(&p))
      counts.push_back(p.count);
    return counts;
  };
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  const auto late = monotonic_now() + 5 * kMillisecond;
  SUBCASE("expired: the others keep their order") {
    block_kernel();
    for (uint32_t i = 1; i <= 200; ++i) {
      const Nanos deadline = i % 20 == 0 ? 0 : late;
      CHECK_EQ(send_told("x", {.deadline = deadline, .pipelined_count = i}), 0);
    }
    REQUIRE(loop.until([&] { return told.codes.size() == 190; }));
    CHECK_EQ(expected(), Counts{20, 40, 60, 80, 100, 120, 140, 160, 180, 200});
    unblock_kernel();
  }
  SUBCASE("expired when its answers were asked for already: no other one pays") {
    block_kernel();
    CHECK_EQ(send_told("x", {.deadline = late, .pipelined_count = 1}), 0);
    CHECK_EQ(send_told("y", {.pipelined_count = 2}), 0);
    loop.settle();
    NetVConnection::Pipelined p{};
    REQUIRE(c->pop_pipelined(&p));
    REQUIRE(loop.until([&] { return !told.codes.empty(); }));
    CHECK_EQ(expected(), Counts{2});
    unblock_kernel();
  }
  SUBCASE("one that has begun to leave is answered") {
    faults.script(SocketOp::kWrite, fd(), {at_most(1), fail(EAGAIN)});
    CHECK_EQ(send_told("xy", {.deadline = late, .pipelined_count = 1}), 0);
    loop.settle();
    unblock_kernel();
    CHECK_EQ(told.codes, Codes{0});
    CHECK_EQ(expected(), Counts{1});
  }
  SUBCASE("set_failed") {
    CHECK_EQ(send("sent", {.pipelined_count = 1}), 0);
    loop.settle();
    block_kernel();
    CHECK_EQ(send_told("x", {.pipelined_count = 2}), 0);
    CHECK_EQ(send("y", {.pipelined_count = 3}), 0);
    NetVConnection::set_failed(held.again(), EIO, {});
    loop.settle();
    CHECK_EQ(told.codes, Codes{EIO});
    NetVConnection::Pipelined p{};
    REQUIRE(held->pop_pipelined(&p));
    CHECK_EQ(p.count, 1);
    CHECK_FALSE(held->pop_pipelined(&p));
  }
  SUBCASE("an error of the socket, and a close with a reset") {
    for (const bool reset : {false, true}) {
      VcAndPeer d(loop, Family::kTcp4);
      VcPool::Handle h = NetVConnection::pool().address(d.id);
      faults.always(SocketOp::kWrite, d->get_socket(), fail(reset ? EAGAIN : ETIMEDOUT));
      CHECK_EQ(write(d.id, "x", 1, {.told = told.notice(), .pipelined_count = 2}), 0);
      loop.settle();
      if (reset) d->close_with_reset();
      loop.settle();
      NetVConnection::Pipelined p{};
      CHECK_FALSE(h->pop_pipelined(&p));
    }
    CHECK_EQ(told.codes, Codes{ETIMEDOUT, ENET_CLOSED});
  }
}

// --- overcrowded --------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fixture, "SW-5 SW-13 SW-14 F-133 INV-30: overcrowded from the limit on") {
  block_kernel();
  CHECK_EQ(c->max_unwritten(), NetVConnection::kMaxUnwritten);
  c->set_max_unwritten(1000 + 2 * kRequest);
  CHECK_EQ(send_told(std::string(999, 'a')), 0);
  CHECK_FALSE(c->overcrowded());
  CHECK_EQ(send_told("b"), 0);
  CHECK(c->overcrowded());
  CHECK_EQ(c->unsent(), 1000);
  refused(c.id, "x", EOVERCROWDED);
  CHECK_EQ(send_told("c", {.ignore_overcrowded = true}), 0);
  loop.settle();
  CHECK(c->overcrowded());
  CHECK(told.codes.empty());
  unblock_kernel();
  CHECK_EQ(c->unsent(), 0);
  CHECK_FALSE(c->overcrowded());
  CHECK_EQ(told.codes, Codes{0, 0, 0});
  CHECK_EQ(c.peer.receive(1001), std::string(999, 'a') + "bc");
  CHECK_EQ(send("again"), 0);
  loop.settle();
  CHECK_EQ(c.peer.receive(5), "again");
}

TEST_CASE_FIXTURE(Fixture, "SW-13: it is over as soon as one byte less than the limit waits") {
  faults.script(SocketOp::kWrite, fd(), {at_most(1), fail(EAGAIN)});
  c->set_max_unwritten(10 + kRequest);
  CHECK_EQ(send(std::string(10, 'a')), 0);
  CHECK(c->overcrowded());
  loop.settle();
  CHECK_EQ(c->unsent(), 9);
  CHECK_FALSE(c->overcrowded());
  CHECK_EQ(send("b"), 0);
  CHECK(c->overcrowded());
  c->on_poll(kPollOut);
  loop.settle();
  CHECK_EQ(c.peer.receive(11), std::string(10, 'a') + "b");
}

TEST_CASE_FIXTURE(
    Fixture, "SW-5: the memory of many small messages is bounded, and drained() waits for it") {
  block_kernel();
  c->set_max_unwritten(1000 * kRequest);
  int accepted = 0;
  Notice* mine = told.notice();
  for (; send("x", {.told = mine}) == 0; mine = told.notice())
    ++accepted;
  mine->tell(EOVERCROWDED);  // refused, so it is still ours
  CHECK_EQ(accepted, 1000 * kRequest / (1 + kRequest) + 1);
  Notices drained;
  c->when_drained(1 << 20, drained.notice());  // far above what waits
  CHECK(drained.codes.empty());
  unblock_kernel();
  CHECK_EQ(drained.codes, Codes{0});
  CHECK_EQ(c.peer.receive(static_cast<size_t>(accepted)).size(), static_cast<size_t>(accepted));
}

TEST_CASE_FIXTURE(Fixture,
                  "INV-30: messages that are joined are one request, and all are uncounted") {
  std::thread([&] {
    for (int i = 0; i < 2; ++i)
      CHECK_EQ(send("0123456789"), 0);
  }).join();
  c->set_max_unwritten(20 + 2 * kRequest);
  CHECK(c->overcrowded());
  block_kernel();
  loop.settle();
  CHECK_FALSE(c->overcrowded());
  c->set_max_unwritten(20 + kRequest);
  CHECK(c->overcrowded());
  c->set_max_unwritten(1);
  unblock_kernel();
  CHECK_FALSE(c->overcrowded());
  CHECK_EQ(c.peer.receive(20), "01234567890123456789");
}

TEST_CASE_FIXTURE(Fixture, "B-65: bytes that the writer has not looked at count") {
  c->set_max_unwritten(100 + 10 * kRequest);
  int accepted = 0, last = 0;
  std::thread([&] {
    while ((last = send("0123456789")) == 0 && accepted < 1000)
      ++accepted;
  }).join();
  CHECK_EQ(last, EOVERCROWDED);
  CHECK_EQ(accepted, 10);
  loop.settle();
  CHECK_EQ(c->unsent(), 0);
  CHECK_EQ(c.peer.receive(100).size(), 100);
}

TEST_CASE_FIXTURE(Fixture, "INV-30: after a failure nothing is counted as unsent") {
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  block_kernel();
  c->set_max_unwritten(10);
  CHECK_EQ(send_told("0123456789"), 0);
  std::thread([&] { CHECK_EQ(send_told("x", {.ignore_overcrowded = true}), 0); }).join();
  NetVConnection::set_failed(held.again(), EIO, "");
  loop.settle();
  CHECK_EQ(told.codes, Codes{EIO, EIO});
  CHECK_EQ(held->unsent(), 0);
  CHECK_FALSE(held->overcrowded());
}

// --- deadlines ----------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fixture, "deadline: untouched, a message is taken back with ETIMEDOUT") {
  block_kernel();
  CHECK_EQ(send_told("one"), 0);
  CHECK_EQ(send_told("two", {.deadline = monotonic_now() + kMillisecond}), 0);
  CHECK_EQ(send_told("three"), 0);
  REQUIRE(loop.until([&] { return !told.codes.empty(); }));
  CHECK_EQ(told.codes, Codes{ETIMEDOUT});
  CHECK_EQ(c->unsent(), 8);
  unblock_kernel();
  CHECK_EQ(told.codes, Codes{ETIMEDOUT, 0, 0});
  CHECK_EQ(c.peer.receive(8), "onethree");
}

TEST_CASE_FIXTURE(Fixture, "deadline: partly sent, a message is delivered") {
  faults.script(SocketOp::kWrite, fd(), {at_most(2)});
  faults.always(SocketOp::kWrite, fd(), fail(EAGAIN));
  const Nanos deadline = monotonic_now() + 20 * kMillisecond;
  CHECK_EQ(send_told("hello", {.deadline = deadline}), 0);
  loop.turn();
  REQUIRE_EQ(c->unsent(), 3);
  REQUIRE(loop.until([&] { return monotonic_now() > deadline + 2 * kMillisecond; }));
  CHECK(told.codes.empty());
  unblock_kernel();
  CHECK_EQ(told.codes, Codes{0});
  CHECK_EQ(c.peer.receive(5), "hello");
}

TEST_CASE_FIXTURE(Fixture, "deadline: one that comes from elsewhere behind a full kernel counts") {
  block_kernel();
  CHECK_EQ(send_told("one"), 0);
  loop.settle();
  std::thread([&] {
    CHECK_EQ(send_told("two", {.deadline = monotonic_now() + kMillisecond}), 0);
  }).join();
  REQUIRE(loop.until([&] { return !told.codes.empty(); }));
  CHECK_EQ(told.codes, Codes{ETIMEDOUT});
  unblock_kernel();
  CHECK_EQ(told.codes, Codes{ETIMEDOUT, 0});
  CHECK_EQ(c.peer.receive(3), "one");
}

TEST_CASE_FIXTURE(Fixture, "deadline VC-5: the FIN follows when the last message was taken back") {
  block_kernel();
  CHECK_EQ(send_told("never", {.deadline = monotonic_now() + kMillisecond}), 0);
  c->do_io_shutdown(Shutdown::kWrite);
  REQUIRE(loop.until([&] { return c.peer.at_end(); }));
  CHECK_EQ(told.codes, Codes{ETIMEDOUT});
}

TEST_CASE_FIXTURE(Fixture, "deadline: lingering ends when the last message was taken back") {
  block_kernel();
  const Nanos start = monotonic_now();
  CHECK_EQ(send_told("never", {.deadline = start + kMillisecond}), 0);
  c->do_io_close();
  CHECK(c.alive());
  REQUIRE(loop.until([&] { return !c.alive(); }, 2 * NetVConnection::kLingerLimit));
  CHECK_EQ(told.codes, Codes{ETIMEDOUT});
  CHECK_LT(monotonic_now() - start, NetVConnection::kLingerLimit);
  CHECK_EQ(loop.h.counters.lingering.get(), 0);
}

// --- order --------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fixture, "SW-9: write(), queue_write() and the VIO - one order") {
  out.put("vio");
  c->do_io_write(&rec, 3, out.r);
  CHECK_EQ(send("1 "), 0);
  CHECK(c->queue_write("2 ", 2));
  CHECK_EQ(send("3 "), 0);
  CHECK(c->write_now("4 ", 2));
  CHECK_EQ(send("5 "), 0);
  loop.settle();
  CHECK_EQ(c.peer.receive(13), "1 2 3 4 5 vio");
  CHECK_EQ(rec.story(), "WC");
}

TEST_CASE_FIXTURE(Fixture, "SW-9: the same when another thread's call to the writer is under way") {
  std::thread([&] { CHECK_EQ(send("0 "), 0); }).join();
  CHECK_EQ(send("1 "), 0);
  CHECK(c->queue_write("2 ", 2));
  CHECK_EQ(send("3 "), 0);
  CHECK(c->write_now("4 ", 2));
  loop.settle();
  CHECK_EQ(c.peer.receive(10), "0 1 2 3 4 ");
}

TEST_CASE_FIXTURE(Fixture, "SW-9: write_now() does not overtake what another thread has sent") {
  loop.settle();
  std::thread([&] { CHECK_EQ(send("0 "), 0); }).join();
  CHECK_EQ(send("1 "), 0);
  CHECK(c->write_now("2 ", 2));
  loop.settle();
  CHECK_EQ(c.peer.receive(6), "0 1 2 ");
}

// --- close --------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fixture, "close: accepted messages linger, arrive and are told 0") {
  CHECK_EQ(send_told("one "), 0);
  std::thread([&] { CHECK_EQ(send_told("two"), 0); }).join();
  c->do_io_close();
  CHECK_EQ(loop.h.counters.lingering.get(), 1);
  loop.settle();
  CHECK_EQ(told.codes, Codes{0, 0});
  CHECK_FALSE(c.alive());
  CHECK_EQ(loop.h.counters.lingering.get(), 0);
  CHECK_EQ(c.peer.receive_all(), "one two");
}

TEST_CASE_FIXTURE(Fixture, "close: also those whose call to the writer is still under way") {
  std::thread([&] { CHECK_EQ(send_told("one"), 0); }).join();
  c->do_io_close();
  loop.settle();
  CHECK_EQ(told.codes, Codes{0});
  CHECK_FALSE(c.alive());
  CHECK_EQ(c.peer.receive_all(), "one");
}

TEST_CASE_FIXTURE(Fixture, "close: an abort tells ENET_CLOSED") {
  CHECK_EQ(send_told("one"), 0);
  c->do_io_close(ECONNABORTED);
  CHECK_EQ(told.codes, Codes{ENET_CLOSED});
  CHECK_FALSE(c.alive());
}

TEST_CASE_FIXTURE(Fixture, "INV-10: the handler's end tells ENET_CLOSED, taken or not") {
  block_kernel();
  CHECK_EQ(send_told("taken"), 0);
  loop.settle();
  std::thread([&] { CHECK_EQ(send_told("waiting"), 0); }).join();
  loop.h.shut_down();
  CHECK_EQ(told.codes, Codes{ENET_CLOSED, ENET_CLOSED});
}

TEST_CASE_FIXTURE(Fixture, "INV-10: closed before the writer was called, each is told once") {
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  std::thread([&] {
    CHECK_EQ(send_told("one"), 0);
    CHECK_EQ(send_told("two"), 0);
  }).join();
  c->do_io_close(ECONNABORTED);
  loop.settle();
  CHECK_EQ(told.codes, Codes{ENET_CLOSED, ENET_CLOSED});
  CHECK_EQ(held->unsent(), 0);
}

}  // namespace netvc::test
