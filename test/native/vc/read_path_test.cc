// One read activation: how much is read, when reading stops, and what is told.
#include <sys/ioctl.h>

#include <doctest/doctest.h>

#include "support/net_threads.h"
#include "support/pattern.h"
#include "support/vc_fixture.h"

namespace netvc::test {

namespace {

struct Fixture : VcFixture {
  void hear(const std::string& s) {
    c.peer.send(s);
    loop.see(fd(), POLLIN);
  }
  int64_t calls() const { return loop.h.counters.read_calls.get(); }
  int in_kernel() const { return unread(fd()); }
  static int unread(int fd) {
    int n = 0;
    ::ioctl(fd, FIONREAD, &n);
    return n;
  }
  static void send_and_arrive(VcAndPeer& to, const std::string& s) {
    to.peer.send(s);
    REQUIRE(wait_for([&] { return unread(to->get_socket()) == static_cast<int>(s.size()); }));
  }
  static constexpr int kTiny = -16;  // blocks of 16 bytes
};

}  // namespace

TEST_CASE_FIXTURE(Fixture,
                  "RD-3 RD-5: nothing to do disables the side; readiness is remembered (RD-13)") {
  c->do_io_read(&rec, 0, in.m);
  hear("abc");
  CHECK_FALSE(c->read_vio.enabled);
  CHECK(c->read.triggered);
  CHECK_FALSE(loop.h.is_scheduled(c->read));
  CHECK_EQ(calls(), 0);
  CHECK_EQ(rec.story(), "");
}

TEST_CASE_FIXTURE(Fixture, "RD-6 RD-7: never more than nbytes; the rest stays in the kernel") {
  c->do_io_read(&rec, 4, in.m);
  hear("0123456789");
  CHECK_EQ(rec.story(), "RC");
  CHECK_EQ(in.peek(), "0123");
  CHECK_EQ(in_kernel(), 6);
}

TEST_CASE_FIXTURE(Fixture, "RD-6: a buffer without room costs no system call and no event") {
  Buf full(0, 0);  // 128 bytes
  c->do_io_read(&rec, VIO::kUnlimited, full.m);
  hear(std::string(200, 'x'));
  CHECK_EQ(full.avail(), 128);
  const int64_t before = calls();
  c->read_vio.reenable();
  loop.settle();
  CHECK_EQ(calls(), before);
  CHECK_EQ(rec.story(), "RR");
  CHECK_FALSE(c->read_vio.enabled);
}

TEST_CASE_FIXTURE(Fixture, "RD-7 F-031: 1024 pieces per call, several calls per activation") {
  Buf wide(kTiny, kNoLimit);
  for (int i = 0; i < 1500; ++i)
    CHECK(wide.m->add_block());
  const std::string sent = pattern(0, 20'000);
  send_and_arrive(c, sent);
  c->do_io_read(&rec, static_cast<int64_t>(sent.size()), wide.m);
  loop.turn();
  CHECK_EQ(rec.story(), "RC");
  CHECK_EQ(calls(), 2);  // 1024 * 16, then the rest
  CHECK(wide.take() == sent);
}

TEST_CASE_FIXTURE(Fixture, "RD-7 B-17: EINTR is retried inside the call") {
  faults.script(SocketOp::kRead, fd(), {fail(EINTR), fail(EINTR)});
  c->do_io_read(&rec, 3, in.m);
  hear("abc");
  CHECK_EQ(rec.story(), "RC");
  CHECK_EQ(faults.left(), 0);
  CHECK_EQ(calls(), 1);  // of the engine; the seam repeated it
}

TEST_CASE_FIXTURE(Fixture, "RD-8 B-12: bytes first, the error behind them in the next activation") {
  const std::string sent = pattern(0, 1024 * 16);  // exactly what the first call takes
  for (int error : {ECONNRESET, ETIMEDOUT}) {
    CAPTURE(error);
    VcAndPeer d(loop, Family::kTcp4);
    Recorder told;
    Buf room(kTiny, kNoLimit);
    for (int i = 0; i < 1100; ++i)
      CHECK(room.m->add_block());
    send_and_arrive(d, sent);
    faults.script(SocketOp::kRead, d->get_socket(), {kPass, fail(error)});
    d->do_io_read(&told, VIO::kUnlimited, room.m);
    loop.turn();
    CHECK_EQ(told.story(), "RR");
    CHECK(room.peek() == sent);
    loop.turn();
    CHECK_EQ(told.story(), error == ECONNRESET ? "RR EOS" : "RR ERROR");
    CHECK_EQ(d->lerrno, error);
    CHECK_EQ(faults.left(), 0);
    d->do_io_close();
  }
}

TEST_CASE_FIXTURE(Fixture, "RD-9: nothing there - no event, armed still, waiting for an edge") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_EQ(loop.h.counters.read_no_data.get(), 1);
  CHECK_FALSE(c->read.triggered);
  CHECK(c->read_vio.enabled);
  CHECK_EQ(rec.story(), "");
  hear("now");
  CHECK_EQ(rec.story(), "RR");
}

TEST_CASE_FIXTURE(Fixture,
                  "RD-11 F-032: READ_READY while something is missing, READ_COMPLETE at the end") {
  c->do_io_read(&rec, 6, in.m);
  hear("abc");
  CHECK_EQ(rec.story(), "RR");
  CHECK_EQ(c->read_vio.ndone, 3);
  hear("def");
  CHECK_EQ(rec.story(), "RR RC");
  CHECK_EQ(c->read_vio.ndone, 6);
  CHECK_EQ(c->bytes_in(), 6);
  CHECK_EQ(loop.h.counters.read_bytes.get(), 6);
}

TEST_CASE_FIXTURE(Fixture,
                  "RD-12 RD-13 F-035: full disables in silence; reenable goes on without an edge") {
  Buf small(0, 0);
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  hear(std::string(300, 'x'));
  CHECK_EQ(small.avail(), 128);
  CHECK_FALSE(c->read_vio.enabled);
  CHECK(c->read.triggered);
  CHECK_EQ(small.take().size(), 128);
  c->reenable(&c->read_vio);
  loop.turn();  // no edge came: readiness was remembered
  CHECK_EQ(small.take().size(), 128);
  c->reenable(&c->read_vio);
  loop.settle();
  CHECK_EQ(small.take().size(), 44);
  CHECK_EQ(rec.story(), "RR RR RR");
}

TEST_CASE_FIXTURE(Fixture, "RD-12: a callback that disables its VIO is not called again") {
  rec.react = [&](Event, VIO* vio) { vio->enabled = false; };
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  hear("abc");
  hear("def");
  CHECK_EQ(rec.story(), "RR");
}

TEST_CASE_FIXTURE(Fixture,
                  "F-045: calls, calls without data and bytes are counted; activity is noted") {
  const Nanos before = monotonic_now();
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  hear("abc");
  const NetCounters& n = loop.h.counters;
  CHECK_EQ(n.read_bytes.get(), 3);
  CHECK_EQ(n.read_calls.get() - n.read_no_data.get(), 1);
  CHECK_EQ(n.events.get(), 1);
  CHECK_GE(c->last_activity(), before);
}

TEST_CASE_FIXTURE(Fixture, "F-015: another buffer can be put in from inside the callback") {
  Buf second;
  rec.react = [&](Event, VIO* vio) { vio->buffer.writer_for(second.m); };
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  hear("one");
  hear("two");
  CHECK_EQ(in.take(), "one");
  CHECK_EQ(second.take(), "two");
}

TEST_CASE_FIXTURE(Fixture,
                  "B-52 RD-11: re-armed inside READ_READY, the old arming is finished with") {
  Recorder second;
  Buf other;
  rec.react = [&](Event, VIO*) { c->do_io_read(&second, 2, other.m); };
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  hear("abc");
  hear("de");
  CHECK_EQ(rec.story(), "RR");
  CHECK_EQ(second.story(), "RC");
  CHECK_EQ(other.take(), "de");
}

TEST_CASE_FIXTURE(Fixture, "B-59 BUF-13: the user may drop its buffer while it is armed") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  in.m.reset();
  hear("into memory that only the VIO holds");
  CHECK_EQ(rec.story(), "RR");
}

}  // namespace netvc::test
