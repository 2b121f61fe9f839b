// The end of a stream and errors, as the read side tells them.
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
  Buf in;
};

}  // namespace

TEST_CASE("RD-10 RD-15: data, then FIN - first READ_READY, EOS in a later activation") {
  for (Family f : {Family::kTcp4, Family::kTcp6, Family::kUnix}) {
    CAPTURE(name_of(f));
    LeakCheck leaks;
    Loop loop;
    VcAndPeer c(loop, f);
    Recorder rec;
    Buf in;
    c->do_io_read(&rec, VIO::kUnlimited, in.m);
    c.peer.send("bye");
    c.peer.shutdown(SHUT_WR);
    REQUIRE(wait_fd(c->get_socket(), POLLRDHUP));
    loop.turn();
    CHECK_EQ(rec.story(), "RR");
    loop.turn();
    CHECK_EQ(rec.story(), "RR EOS");
    CHECK_EQ(c->lerrno, 0);
    CHECK_FALSE(c->read_vio.enabled);
    loop.settle();
    CHECK_EQ(rec.story(), "RR EOS");
  }
}

TEST_CASE_FIXTURE(Fixture, "RD-15: EOS is withheld while the buffer is full") {
  Buf small(0, 0);
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  c.peer.send(std::string(200, 'x'));
  c.peer.shutdown(SHUT_WR);
  loop.see(c->get_socket(), POLLRDHUP);
  CHECK_EQ(rec.story(), "RR");
  CHECK_EQ(small.take().size(), 128);
  c->reenable(&c->read_vio);
  loop.settle();
  CHECK_EQ(rec.story(), "RR RR EOS");
}

TEST_CASE_FIXTURE(Fixture,
                  "RD-15: EOS is withheld while the VIO is complete, and told after re-arming") {
  c->do_io_read(&rec, 3, in.m);
  c.peer.send("abc");
  c.peer.shutdown(SHUT_WR);
  loop.see(c->get_socket(), POLLRDHUP);
  CHECK_EQ(rec.story(), "RC");
  c->do_io_read(&rec, 3, in.m);
  loop.settle();
  CHECK_EQ(rec.story(), "RC EOS");
}

TEST_CASE_FIXTURE(Fixture, "RD-10: a new arming after EOS hears EOS again, an old one does not") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.shutdown(SHUT_WR);
  loop.see(c->get_socket(), POLLRDHUP);
  CHECK_EQ(rec.story(), "EOS");
  c->reenable(&c->read_vio);
  c->on_poll(kPollIn | kPollRdHup);  // whatever else happens on the descriptor
  loop.settle();
  CHECK_EQ(rec.story(), "EOS");
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_EQ(rec.story(), "EOS EOS");
}

TEST_CASE_FIXTURE(Fixture, "RD-16: EOS ends the VIO short of nbytes; the write side works on") {
  c->do_io_read(&rec, 100, in.m);
  c.peer.send("abc");
  c.peer.shutdown(SHUT_WR);
  loop.see(c->get_socket(), POLLRDHUP);
  CHECK_EQ(rec.story(), "RR EOS");
  CHECK_EQ(c->read_vio.ndone, 3);
  Buf out("answer");
  c->do_io_write(&rec, 6, out.r);
  loop.settle();
  CHECK_EQ(c.peer.receive(6), "answer");
}

TEST_CASE_FIXTURE(Fixture,
                  "RD-17: data queued before an RST is still read, then the error shows once") {
  Buf small(0, 0);
  c.peer.send(std::string(200, 'x'));
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  c.peer.reset();
  REQUIRE(wait_fd(c->get_socket(), POLLHUP));
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  loop.settle();
  CHECK_EQ(rec.story(), "RR");
  CHECK_EQ(small.take().size(), 128);
  c->reenable(&c->read_vio);
  loop.settle();
  // The second part, then the end with the true reason.
  CHECK_EQ(rec.story(), "RR RR EOS");
  CHECK_EQ(c->lerrno, ECONNRESET);
}

TEST_CASE_FIXTURE(Fixture, "RD-10 4.5: RST without data is EOS, with lerrno ECONNRESET") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  c.peer.reset();
  loop.see(c->get_socket(), POLLHUP);
  CHECK_EQ(rec.story(), "EOS");
  CHECK_EQ(c->lerrno, ECONNRESET);
}

TEST_CASE_FIXTURE(Fixture, "RD-10 SIG-5: closing inside EOS") {
  rec.react = [&](Event e, VIO*) {
    if (e == Event::kEos) {
      rec.expect_silence();
      c->do_io_close();
    }
  };
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  c.peer.close();
  REQUIRE(loop.until([&] { return !c.alive(); }));
  CHECK_EQ(rec.story(), "EOS");
}

TEST_CASE("NH-7: ERR and HUP with nothing enabled are kept until a side is armed") {
  LeakCheck leaks;
  Loop loop;
  for (bool write_side : {false, true}) {
    VcAndPeer c(loop, Family::kTcp4);
    Recorder rec;
    Buf in, out("x");
    c.peer.reset();
    loop.see(c->get_socket(), POLLHUP);
    CHECK(c.alive());
    CHECK((c->poll_flags & kPollErr) != 0);
    const int64_t turns_cost = loop.h.counters.read_calls.get();
    loop.settle();
    CHECK_EQ(loop.h.counters.read_calls.get(), turns_cost);  // no busy loop
    if (write_side) {
      c->do_io_write(&rec, 1, out.r);
    } else {
      c->do_io_read(&rec, VIO::kUnlimited, in.m);
    }
    loop.settle();
    CHECK_EQ(rec.story(), "EOS");
    CHECK_EQ(c->lerrno, ECONNRESET);
    c->do_io_close();
  }
}

TEST_CASE("B-13: one socket error, told by both sides with the same errno") {
  LeakCheck leaks;
  Loop loop;
  for (bool write_first : {false, true}) {
    CAPTURE(write_first);
    VcAndPeer c(loop, Family::kTcp4);
    Recorder rec;
    Buf in, out("x");
    c.peer.reset();
    loop.see(c->get_socket(), POLLHUP);
    const auto write = [&] { c->do_io_write(&rec, 1, out.r); };
    const auto read = [&] { c->do_io_read(&rec, VIO::kUnlimited, in.m); };
    write_first ? write() : read();
    loop.settle();
    write_first ? read() : write();
    loop.settle();
    CHECK_EQ(rec.story(), "EOS EOS");
    CHECK_EQ(rec.told[0].lerrno, ECONNRESET);
    CHECK_EQ(rec.told[1].lerrno, ECONNRESET);
    CHECK_EQ(c->latched_error(), ECONNRESET);
    c->do_io_close();
  }
}

TEST_CASE(
    "B-13: a unix peer that is gone is EPIPE to the writer; with unread data ECONNRESET to both") {
  LeakCheck leaks;
  Loop loop;
  {
    VcAndPeer c(loop, Family::kUnix);
    Recorder rec;
    Buf out("x");
    c.peer.close();
    c->do_io_write(&rec, 1, out.r);
    loop.settle();
    CHECK_EQ(rec.story(), "ERROR");
    CHECK_EQ(c->lerrno, EPIPE);
    c->do_io_close();
  }
  {
    VcAndPeer c(loop, Family::kUnix);
    Recorder rec;
    Buf in, out("unread");
    c->do_io_write(&rec, 6, out.r);
    loop.settle();
    c.peer.close();
    loop.settle();
    out.put("x");
    c->do_io_write(&rec, 1, out.r);
    c->do_io_read(&rec, VIO::kUnlimited, in.m);
    loop.settle();
    CHECK_EQ(rec.story(), "WC EOS EOS");
    CHECK_EQ(c->latched_error(), ECONNRESET);
  }
}

}  // namespace netvc::test
