// One write activation: what is sent, what is counted, and what is told.
#include <signal.h>

#include <doctest/doctest.h>

#include "support/pattern.h"
#include "support/vc_fixture.h"

namespace netvc::test {

namespace {

struct Fixture : VcFixture {
  int64_t calls() const { return loop.h.counters.write_calls.get(); }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "B-3 WR-2: closed between queueing and activation - no send, no event") {
  out.put("never");
  c->do_io_write(&rec, 5, out.r);
  CHECK(loop.h.is_scheduled(c->write));
  rec.expect_silence();
  c->do_io_close();
  loop.settle();
  CHECK_EQ(calls(), 0);
  CHECK_EQ(c.peer.take(), "");
  CHECK_EQ(c.peer.last(), 0);
}

TEST_CASE_FIXTURE(Fixture, "WR-3: nothing to do disables the side, readiness is remembered") {
  c->do_io_write(&rec, 0, out.r);
  c->write_vio.reenable();
  loop.settle();
  CHECK_FALSE(c->write_vio.enabled);
  CHECK(c->write.triggered);
  CHECK_EQ(calls(), 0);
  CHECK_EQ(rec.story(), "");
}

TEST_CASE_FIXTURE(Fixture,
                  "B-16 WR-8: nbytes 5000 of 10000 in 4 KiB blocks: the peer gets exactly 5000") {
  const std::string s = pattern(0, 10'000);
  out.put(s);
  c->do_io_write(&rec, 5000, out.r);
  loop.settle();
  CHECK_EQ(rec.story(), "WC");
  CHECK(c.peer.receive(5000) == s.substr(0, 5000));
  CHECK_EQ(c.peer.take(), "");
  CHECK_EQ(out.avail(), 5000);
}

TEST_CASE_FIXTURE(Fixture,
                  "B-16 WR-8: the limit counts what earlier calls of the activation took") {
  Buf pieces(-10);
  pieces.put(pattern(0, 15'000));
  c->do_io_write(&rec, 12'000, pieces.r);
  loop.settle();
  CHECK_EQ(calls(), 2);
  CHECK_EQ(rec.story(), "WC");
  CHECK(c.peer.receive(12'000) == pattern(0, 12'000));
  CHECK_EQ(c.peer.take(), "");
  CHECK_EQ(pieces.avail(), 3000);
}

TEST_CASE_FIXTURE(Fixture, "WR-8 F-039: more pieces than one call takes, and a start offset") {
  Buf pieces(-10);
  const std::string s = pattern(0, 15'000);
  pieces.put(s);
  REQUIRE(pieces.r->consume(3));
  c->do_io_write(&rec, 14'997, pieces.r);
  loop.turn();
  CHECK_EQ(rec.story(), "WC");
  CHECK_EQ(calls(), 2);
  CHECK(c.peer.receive(14'997) == s.substr(3));
}

TEST_CASE_FIXTURE(Fixture, "WR-9: what the kernel accepted is consumed and counted, not more") {
  out.put("0123456789");
  faults.script(SocketOp::kWrite, fd(), {at_most(3), at_most(4)});
  c->do_io_write(&rec, 10, out.r);
  loop.turn();
  CHECK_EQ(c->write_vio.ndone, 3);
  CHECK_EQ(out.peek(), "3456789");
  CHECK_EQ(rec.story(), "WR");
  loop.turn();
  CHECK_EQ(c->write_vio.ndone, 7);
  loop.settle();
  CHECK_EQ(rec.story(), "WR WR WC");
  CHECK_EQ(c.peer.receive(10), "0123456789");
  CHECK_EQ(c->bytes_out(), 10);
  CHECK_EQ(loop.h.counters.write_bytes.get(), 10);
}

TEST_CASE_FIXTURE(Fixture, "WR-9: bytes of earlier calls count even when the last call failed") {
  Buf pieces(-10);
  pieces.put(std::string(12'000, 'x'));
  faults.script(SocketOp::kWrite, fd(), {kPass, fail(ECONNABORTED), fail(ECONNABORTED)});
  c->do_io_write(&rec, 12'000, pieces.r);
  loop.turn();
  CHECK_EQ(rec.story(), "WR");
  CHECK_EQ(c->write_vio.ndone, 10'240);
  CHECK_EQ(pieces.avail(), 12'000 - 10'240);
  loop.settle();
  CHECK_EQ(rec.story(), "WR ERROR");
  CHECK_EQ(c->lerrno, ECONNABORTED);
}

TEST_CASE_FIXTURE(Fixture,
                  "B-56 B-13: the error behind accepted bytes is latched; EPIPE never hides it") {
  Buf pieces(-10);
  pieces.put(std::string(12'000, 'x'));
  faults.script(SocketOp::kWrite, fd(), {kPass, fail(EHOSTUNREACH), fail(EPIPE)});
  c->do_io_write(&rec, 12'000, pieces.r);
  loop.settle();
  CHECK_EQ(rec.story(), "WR ERROR");
  CHECK_EQ(c->lerrno, EHOSTUNREACH);
}

TEST_CASE_FIXTURE(Fixture, "WR-10: a full kernel buffer - no event, armed still, an edge goes on") {
  faults.script(SocketOp::kWrite, fd(), {fail(EAGAIN)});
  out.put("abc");
  c->do_io_write(&rec, 3, out.r);
  loop.turn();
  CHECK_EQ(rec.story(), "");
  CHECK_FALSE(c->write.triggered);
  CHECK(c->write_vio.enabled);
  CHECK_EQ(loop.h.counters.write_no_room.get(), 1);
  c->on_poll(kPollOut);  // the edge
  loop.turn();
  CHECK_EQ(rec.story(), "WC");
}

TEST_CASE_FIXTURE(Fixture,
                  "WR-10 RE-7: a slow reader - blocked many times, every byte arrives once") {
  const std::string s = pattern(0, 1'000'000);
  for (Family f : {Family::kTcp4, Family::kUnix}) {
    CAPTURE(name_of(f));
    VcAndPeer d(loop, f);
    Recorder told;
    shrink_buffers(d->get_socket(), 30'000);
    shrink_buffers(d.peer.fd(), 30'000);
    Buf big(kIndexMax);
    big.put(s);
    const int64_t blocked = loop.h.counters.write_no_room.get();
    d->do_io_write(&told, static_cast<int64_t>(s.size()), big.r);
    std::string got;
    REQUIRE(loop.until([&] {
      got += d.peer.take(20'000);
      return got.size() == s.size();
    }));
    CHECK(got == s);
    CHECK_EQ(told.endings(), "WC");
    CHECK_GT(loop.h.counters.write_no_room.get(), blocked + 5);
    d->do_io_close();
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "WR-15: WRITE_COMPLETE says that the kernel accepted, not that the peer read") {
  out.put("abc");
  c->do_io_write(&rec, 3, out.r);
  loop.turn();
  CHECK_EQ(rec.story(), "WC");
  CHECK_EQ(c.peer.receive(3), "abc");
}

TEST_CASE_FIXTURE(Fixture,
                  "WR-16: fully provided - no WRITE_READY before the first write, one per part") {
  out.put("0123456789");
  c->do_io_write(&rec, 10, out.r);
  loop.turn();
  CHECK_EQ(rec.story(), "WC");
  rec.forget();
  out.put("0123456789");
  faults.script(SocketOp::kWrite, fd(), {at_most(2), at_most(2), at_most(2)});
  c->do_io_write(&rec, 10, out.r);
  loop.settle();
  CHECK_EQ(rec.story(), "WR WR WR WC");
}

TEST_CASE_FIXTURE(Fixture, "NH-3: reads of a turn come before its writes") {
  c.peer.send("abc");
  REQUIRE(wait_fd(fd(), POLLIN));
  out.put("x");
  c->do_io_write(&rec, 1, out.r);
  c->do_io_read(&rec, 3, in.m);
  loop.turn();
  CHECK_EQ(rec.story(), "RC WC");
}

TEST_CASE_FIXTURE(Fixture, "F-042 AD-9: writing to a closed peer never raises SIGPIPE") {
  struct sigaction now {
  }, before{};
  now.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &now, &before);
  VcAndPeer d(loop, Family::kUnix);
  d.peer.close();
  Buf pieces(-1);
  pieces.put("several pieces: sendmsg");
  d->do_io_write(&rec, 23, pieces.r);
  loop.settle();
  CHECK_EQ(rec.story(), "ERROR");
  Buf one("one piece: send");
  d->do_io_write(&rec, 15, one.r);
  loop.settle();
  CHECK_EQ(rec.story(), "ERROR ERROR");
  ::sigaction(SIGPIPE, &before, nullptr);
}

}  // namespace netvc::test
