// do_io_read and do_io_write: arming, cancelling, parking.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/death.h"
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

TEST_CASE_FIXTURE(Fixture, "VC-1: do_io_read sets every field of the VIO") {
  VIO* vio = c->do_io_read(&rec, 7, in.m);
  CHECK_EQ(vio->op, Op::kRead);
  CHECK_EQ(vio->cont, &rec);
  CHECK_EQ(vio->nbytes, 7);
  CHECK_EQ(vio->ndone, 0);
  CHECK_EQ(vio->vc_server, c.vc);
  CHECK_EQ(vio->get_writer(), in.m.get());
  CHECK(vio->enabled);
}

TEST_CASE_FIXTURE(Fixture,
                  "VC-1: on a closed connection there is nothing to arm; cancelling is tolerated") {
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  c->do_io_close();
  CHECK_EQ(c->do_io_read(&rec, 1, in.m), nullptr);
  CHECK_EQ(c->do_io_write(&rec, 1, out.r), nullptr);
  CHECK_EQ(c->do_io_read(nullptr, 0, nullptr), nullptr);
  CHECK_EQ(c->do_io_write(nullptr, 0, nullptr), nullptr);
}

TEST_CASE_FIXTURE(Fixture, "B-1 VC-1: armed without a buffer nothing runs, and the bytes stay") {
  c->do_io_read(&rec, 100, in.m);
  VIO* vio = c->do_io_read(&rec, 100, nullptr);
  CHECK_EQ(vio->nbytes, 0);
  CHECK_FALSE(vio->enabled);
  CHECK_FALSE(vio->buffer);
  c.peer.send("data");
  loop.see(c->get_socket(), POLLIN);
  vio->reenable();  // not even when asked to
  loop.settle();
  CHECK_EQ(rec.story(), "");
  c->do_io_read(&rec, 100, in.m);
  loop.settle();
  CHECK_EQ(in.take(), "data");
}

TEST_CASE_FIXTURE(Fixture, "B-1: armed without a continuation nothing runs, and the bytes stay") {
  c->do_io_read(&rec, 100, in.m);
  c->do_io_read(nullptr, 100, in.m);
  c.peer.send("data");
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(rec.story(), "");
  c->do_io_read(&rec, 100, in.m);
  loop.settle();
  CHECK_EQ(in.take(), "data");
}

TEST_CASE_FIXTURE(Fixture, "VC-2: nbytes 0 parks a buffer and tells nothing") {
  c.peer.send("data");
  c->do_io_read(&rec, 0, in.m);
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(rec.story(), "");
  CHECK_EQ(in.avail(), 0);
  CHECK_EQ(c->read_vio.get_writer(), in.m.get());
  c->read_vio.nbytes = 4;
  c->read_vio.reenable();
  loop.settle();
  CHECK_EQ(rec.story(), "RC");
  CHECK_EQ(in.take(), "data");
}

TEST_CASE_FIXTURE(Fixture, "VC-3: do_io_write with nbytes 0 tells nothing and sends nothing") {
  out.put("x");
  c->do_io_write(&rec, 0, out.r);
  loop.settle();
  CHECK_EQ(rec.story(), "");
  CHECK_EQ(c.peer.take(), "");
}

TEST_CASE_FIXTURE(Fixture, "B-2 VC-3: a write armed without a reader forgets the old one") {
  out.put("old bytes");
  c->do_io_write(&rec, 9, out.r);
  VIO* vio = c->do_io_write(&rec, 9, nullptr);
  CHECK_EQ(vio->nbytes, 0);
  CHECK_FALSE(vio->buffer);
  vio->nbytes = 9;
  vio->reenable();
  loop.settle();
  CHECK_EQ(rec.story(), "");
  CHECK_EQ(c.peer.take(), "");
}

TEST_CASE_FIXTURE(Fixture, "B-2: a reader deallocated under an armed write is not used") {
  out.put("bytes");
  c->do_io_write(&rec, 100, out.r);
  out.m->dealloc_reader(out.r);
  loop.settle();
  CHECK_EQ(rec.story(), "");
  CHECK_EQ(c.peer.take(), "");
}

TEST_CASE_FIXTURE(Fixture, "VC-3: owner with a reader is a programming error") {
  CHECK(aborts([&] { c->do_io_write(&rec, 1, out.r, true); }));
}

TEST_CASE_FIXTURE(Fixture, "VC-4: arming calls nobody back on its own stack") {
  c.peer.send("data");
  loop.see(c->get_socket(), POLLIN);
  out.put("x");
  c->do_io_read(&rec, 4, in.m);
  c->do_io_write(&rec, 1, out.r);
  c->reenable(&c->read_vio);
  CHECK_EQ(rec.story(), "");
  loop.settle();
  CHECK_EQ(rec.story(), "RC WC");
}

TEST_CASE_FIXTURE(Fixture,
                  "VC-4 SIG-3: re-arming inside the callback is the way to the next operation") {
  std::string got;
  rec.react = [&](Event e, VIO*) {
    if (e != Event::kReadComplete) return;
    got += in.take() + "|";
    c->do_io_read(&rec, 3, in.m);
  };
  c->do_io_read(&rec, 3, in.m);
  c.peer.send("abcdefghi");  // one edge for all
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(got, "abc|def|ghi|");
}

TEST_CASE_FIXTURE(Fixture, "F-017: the cancel form stops reading; re-arming goes on where it was") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.send("one");
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(in.take(), "one");
  c->do_io_read(nullptr, 0, nullptr);
  c.peer.send("two");
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(rec.story(), "RR");
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_EQ(in.take(), "two");
}

}  // namespace netvc::test
