// VIO: the descriptor of one direction.
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

  void hear(const std::string& s) {
    c.peer.send(s);
    loop.see(c->get_socket(), POLLIN);
  }
};

}  // namespace

TEST_CASE("VIO-1: ntodo is what is missing; unlimited is INT64_MAX") {
  VIO vio;
  vio.nbytes = 10;
  vio.ndone = 4;
  CHECK_EQ(vio.ntodo(), 6);
  CHECK_EQ(VIO::kUnlimited, INT64_MAX);
}

TEST_CASE_FIXTURE(Fixture, "VIO-1: raising nbytes after READ_COMPLETE re-opens the operation") {
  rec.react = [&](Event e, VIO* vio) {
    if (e != Event::kReadComplete || vio->nbytes != 5) return;
    rec.reopened(Side::kRead);
    vio->nbytes = 11;
    vio->reenable();
  };
  VIO* vio = c->do_io_read(&rec, 5, in.m);
  hear("hello world");
  CHECK_EQ(rec.endings(), "RC RC");
  CHECK_EQ(vio->ndone, 11);  // goes on, is not counted anew
  CHECK_EQ(in.take(), "hello world");
}

TEST_CASE_FIXTURE(Fixture, "VIO-1: lowering nbytes to what is done ends it in silence") {
  rec.react = [&](Event, VIO* vio) { vio->nbytes = vio->ndone - 1; };
  VIO* vio = c->do_io_read(&rec, VIO::kUnlimited, in.m);
  hear("abc");
  CHECK_EQ(rec.story(), "RR");
  CHECK_FALSE(vio->enabled);
  hear("def");
  CHECK_EQ(rec.story(), "RR");
}

TEST_CASE_FIXTURE(Fixture, "VIO-1 WR-6: lowering nbytes in the prefill ends the write in silence") {
  rec.react = [&](Event, VIO* vio) {
    out.put("never sent");
    vio->nbytes = 0;
  };
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  CHECK_EQ(rec.story(), "WR");
  CHECK_EQ(c.peer.take(), "");
  CHECK_EQ(out.take(), "never sent");
}

TEST_CASE_FIXTURE(Fixture, "VIO-2: done() of a write ends it with what the reader has") {
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  out.put("the rest");
  c->write_vio.done();
  CHECK_EQ(c->write_vio.nbytes, 8);
  c->write_vio.reenable();
  loop.settle();
  CHECK_EQ(rec.story(), "WR WC");
  CHECK_EQ(c.peer.take(), "the rest");
}

TEST_CASE_FIXTURE(Fixture, "VIO-2: done() without a reader ends it with what is done") {
  VIO* vio = c->do_io_read(&rec, VIO::kUnlimited, in.m);
  hear("abc");
  vio->done();
  CHECK_EQ(vio->nbytes, 3);
  hear("more");
  CHECK_EQ(rec.story(), "RR");
}

TEST_CASE_FIXTURE(Fixture, "VIO-3: ndone counts this operation only") {
  VIO* vio = c->do_io_read(&rec, VIO::kUnlimited, in.m);
  hear("abc");
  CHECK_EQ(vio->ndone, 3);
  c->do_io_read(&rec, 2, in.m);
  CHECK_EQ(vio->ndone, 0);
  hear("de");
  CHECK_EQ(vio->ndone, 2);
  CHECK_EQ(rec.story(), "RR RC");
}

TEST_CASE_FIXTURE(Fixture,
                  "VIO-4: reenable forwards to the connection, without one it does nothing") {
  VIO stray;
  stray.reenable();
  stray.reenable_re();
  CHECK_FALSE(stray.enabled);

  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  out.put("x");
  c->write_vio.reenable();
  CHECK(c->write_vio.enabled);
  loop.settle();
  CHECK_EQ(c.peer.take(), "x");
  out.put("y");
  c->write_vio.reenable_re();
  CHECK_EQ(c.peer.take(), "y");  // before it returned
}

TEST_CASE_FIXTURE(Fixture, "VIO-5: the next event goes to the new continuation") {
  Recorder other;
  VIO* vio = c->do_io_read(&rec, VIO::kUnlimited, in.m);
  hear("abc");
  const uint32_t before = vio->generation;
  vio->set_continuation(&other);
  CHECK_NE(vio->generation, before);
  hear("def");
  CHECK_EQ(rec.story(), "RR");
  CHECK_EQ(other.story(), "RR");
  CHECK_EQ(in.take(), "abcdef");
}

TEST_CASE_FIXTURE(Fixture, "VIO-5: without a continuation nothing is read, and nothing is lost") {
  VIO* vio = c->do_io_read(&rec, VIO::kUnlimited, in.m);
  vio->set_continuation(nullptr);
  hear("abc");
  CHECK_EQ(rec.story(), "");
  CHECK_EQ(in.avail(), 0);
  vio->set_continuation(&rec);
  vio->reenable();
  loop.settle();
  CHECK_EQ(in.take(), "abc");
}

TEST_CASE_FIXTURE(Fixture,
                  "VIO-6: one VIO per direction for the life of the connection, told in events") {
  VIO* read = c->do_io_read(&rec, 1, in.m);
  VIO* write = c->do_io_write(&rec, 1, out.r);
  CHECK_NE(read, write);
  rec.react = [&](Event e, VIO* vio) { CHECK_EQ(vio, e == Event::kWriteComplete ? write : read); };
  out.put("x");
  c->reenable(write);
  hear("y");
  CHECK_EQ(rec.endings(Side::kRead), "RC");
  CHECK_EQ(rec.endings(Side::kWrite), "WC");
  CHECK_EQ(c->do_io_read(&rec, 5, in.m), read);
  CHECK_EQ(c->do_io_write(&rec, 5, out.r), write);
}

}  // namespace netvc::test
