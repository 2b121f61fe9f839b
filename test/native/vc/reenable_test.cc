// reenable and reenable_re on the connection's own thread.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/loop.h"

namespace netvc::test {

namespace {

struct Fixture {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  Recorder rec;
  Buf in, out;
};

}  // namespace

TEST_CASE("RE-1: armed before it is attached, a connection starts when it is attached") {
  LeakCheck leaks;
  Loop loop;
  FdPair p = fd_pair(Family::kTcp4);
  RawPeer peer(std::move(p.b));
  Connection con;
  REQUIRE_EQ(con.adopt(p.a.release()), 0);
  NetVConnection* vc = NetVConnection::create(std::move(con), VcContext::kInbound);
  Recorder rec;
  Buf in, out("hello");
  vc->do_io_read(&rec, VIO::kUnlimited, in.m);
  vc->do_io_write(&rec, 5, out.r);
  vc->reenable(&vc->read_vio);
  vc->reenable_re(&vc->write_vio);
  CHECK_EQ(vc->home(), nullptr);
  CHECK_EQ(rec.story(), "");
  peer.send("abc");
  REQUIRE_EQ(vc->attach(loop.h), 0);
  CHECK_EQ(vc->home(), &loop.h);
  REQUIRE(loop.until([&] { return rec.told.size() == 2; }));
  CHECK_EQ(in.take(), "abc");
  CHECK_EQ(peer.receive(5), "hello");
}

TEST_CASE_FIXTURE(Fixture, "RE-1 RE-3 NH-3: reenabling what is queued keeps its place") {
  VcAndPeer d(loop, Family::kTcp4);
  std::vector<int> order;
  Recorder first([&](Event, VIO*) { order.push_back(1); });
  Recorder second([&](Event, VIO*) { order.push_back(2); });
  Buf out2("b");
  out.put("a");
  c->do_io_write(&first, 1, out.r);
  d->do_io_write(&second, 1, out2.r);
  c->reenable(&c->write_vio);
  c->reenable(&c->write_vio);
  loop.turn();
  CHECK_EQ(order, std::vector{1, 2});
}

TEST_CASE_FIXTURE(Fixture, "RE-2: reenable on a closed connection is ignored") {
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  rec.expect_silence();
  c->do_io_close();
  c->reenable(&c->read_vio);
  c->reenable_re(&c->read_vio);
  c->reenable(&c->write_vio);
  c->reenable_re(&c->write_vio);
  CHECK_FALSE(c->read_vio.enabled);
  loop.settle();
}

TEST_CASE_FIXTURE(Fixture,
                  "RE-3 RE-6: nothing to move - no I/O on the caller's stack, no event, no error") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  const int64_t calls = loop.h.counters.read_calls.get();
  for (int i = 0; i < 5; ++i)
    c->reenable(&c->read_vio);
  CHECK_EQ(loop.h.counters.read_calls.get(), calls);
  CHECK_FALSE(loop.h.is_scheduled(c->read));
  loop.settle();
  CHECK_EQ(rec.story(), "");
}

TEST_CASE_FIXTURE(Fixture, "RE-5 F-049: reenable_re reads and tells before it returns") {
  Buf small(0, 0);
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  c.peer.send(std::string(200, 'x'));
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(rec.story(), "RR");
  CHECK_EQ(small.take().size(), 128);
  c->reenable_re(&c->read_vio);
  CHECK_EQ(rec.story(), "RR RR");
  CHECK_EQ(small.take().size(), 72);
}

TEST_CASE_FIXTURE(Fixture,
                  "RE-5: reenable_re writes even what was enabled and queued already, once") {
  out.put("abc");
  c->do_io_write(&rec, 3, out.r);
  CHECK(loop.h.is_scheduled(c->write));
  c->reenable_re(&c->write_vio);
  CHECK_EQ(rec.story(), "WC");
  CHECK_FALSE(loop.h.is_scheduled(c->write));
  loop.settle();
  CHECK_EQ(rec.story(), "WC");
  CHECK_EQ(c.peer.receive(3), "abc");
}

TEST_CASE_FIXTURE(Fixture, "RE-5: not triggered, reenable_re only enables") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  c->reenable_re(&c->read_vio);
  CHECK_EQ(rec.story(), "");
  CHECK(c->read_vio.enabled);
}

TEST_CASE_FIXTURE(Fixture,
                  "RE-5 SIG-6: reenable_re inside its own event nests and stops by itself") {
  int rounds = 0;
  Buf small(0, 0);
  rec.react = [&](Event, VIO* vio) {
    ++rounds;
    small.take();
    vio->reenable_re();
  };
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  c.peer.send(std::string(128 * 20, 'x'));
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(c->read_vio.ndone, 128 * 20);
  CHECK_EQ(rounds, 20);
  CHECK_EQ(c->recursion(), 0);
}

TEST_CASE_FIXTURE(Fixture, "RE-7: an edge while the side is disabled is not lost") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  c->read_vio.enabled = false;
  c->do_io_read(nullptr, 0, nullptr);
  c.peer.send("abc");
  loop.see(c->get_socket(), POLLIN);  // the edge is told now and never again
  CHECK_EQ(rec.story(), "");
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.turn();
  CHECK_EQ(rec.story(), "RR");
  check_no_lost_wakeup(loop.h);
}

}  // namespace netvc::test
