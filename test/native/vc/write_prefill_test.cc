// WRITE_READY: before the bytes (prefill), after them, and as the trap for an emptied buffer.
#include <doctest/doctest.h>

#include "support/vc_fixture.h"

namespace netvc::test {

namespace {

struct Fixture : VcFixture {
  int64_t calls() const { return loop.h.counters.write_calls.get(); }
  // Runs `once` inside the first event and nothing in later ones.
  void first_time(std::function<void()> once) {
    rec.react = [this, once = std::move(once)](Event, VIO*) {
      if (rec.told.size() == 1) once();
    };
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture,
                  "WR-5 F-038: what is added in the prefill leaves in the same activation") {
  first_time([&] { out.put("world"); });
  out.put("hello ");
  c->do_io_write(&rec, 11, out.r);
  loop.turn();
  CHECK_EQ(rec.story(), "WR WC");
  CHECK_EQ(calls(), 1);
  CHECK_EQ(c.peer.receive(11), "hello world");
}

TEST_CASE_FIXTURE(Fixture, "WR-5: a buffer that takes no more gets no prefill") {
  Buf full(0, 0);
  full.put(std::string(128, 'x'));
  c->do_io_write(&rec, VIO::kUnlimited, full.r);
  loop.turn();
  CHECK_EQ(rec.story(), "WR");  // after the write, not before: see WR-11
  CHECK_EQ(rec.told[0].ndone, 128);
}

TEST_CASE_FIXTURE(Fixture,
                  "WR-7 WR-14: WRITE_READY unanswered disables until reenable, without spinning") {
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  CHECK_EQ(rec.story(), "WR");
  CHECK_FALSE(c->write_vio.enabled);
  CHECK_FALSE(loop.h.has_work());
  CHECK_EQ(calls(), 0);
  out.put("x");
  c->reenable(&c->write_vio);
  loop.settle();
  CHECK_EQ(c.peer.receive(1), "x");
}

TEST_CASE_FIXTURE(Fixture, "B-4 WR-6: re-armed inside the prefill, the old reader is not touched") {
  Buf other("new");
  Recorder second;
  first_time([&] {
    out.put("old");
    c->do_io_write(&second, 3, other.r);
  });
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  CHECK_EQ(rec.story(), "WR");
  CHECK_EQ(second.story(), "WC");
  CHECK_EQ(c.peer.receive(3), "new");
  CHECK_EQ(c.peer.take(), "");
  CHECK_EQ(out.take(), "old");
}

TEST_CASE_FIXTURE(
    Fixture, "B-4 WR-6: the prefill may take the buffer away, cancel, or deallocate the reader") {
  const std::function<void()> ways[] = {
      [&] { c->write_vio.buffer.clear(); },  [&] { c->do_io_write(nullptr, 0, nullptr); },
      [&] { out.m->dealloc_reader(out.r); }, [&] { c->write_vio.set_continuation(nullptr); },
      [&] { c->write_vio.enabled = false; },
  };
  for (const auto& way : ways) {
    rec.forget();
    out = Buf();
    out.put("x");
    first_time(way);
    c->do_io_write(&rec, VIO::kUnlimited, out.r);
    loop.settle();
    CHECK_EQ(rec.story(), "WR");
    CHECK_EQ(c.peer.take(), "");
    c->do_io_write(nullptr, 0, nullptr);
  }
}

TEST_CASE_FIXTURE(Fixture, "B-4: closed inside the prefill, nothing is sent") {
  first_time([&] {
    rec.expect_silence();
    c->do_io_close();
  });
  out.put("x");
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  CHECK_FALSE(c.alive());
  CHECK(c.peer.at_end());
}

TEST_CASE_FIXTURE(Fixture,
                  "WR-11: after the prefill no second WRITE_READY in the same activation") {
  out.put("abc");
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.turn();
  CHECK_EQ(rec.story(), "WR");
  CHECK_EQ(c.peer.receive(3), "abc");
  loop.settle();
  CHECK_EQ(rec.story(), "WR");
}

TEST_CASE_FIXTURE(Fixture, "WR-11 VC-11 F-027: the trap tells that the buffer ran empty, once") {
  c->trap_write_buffer_empty(true, Event::kWriteBufferEmpty);
  out.put("abc");
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.turn();
  CHECK_EQ(rec.story(), "WR WBE");
  out.put("def");
  c->reenable(&c->write_vio);
  loop.settle();
  CHECK_EQ(rec.story(), "WR WBE WR");  // not set again
}

TEST_CASE_FIXTURE(Fixture, "WR-11 VC-11: the trap fires only when the buffer was emptied") {
  c->trap_write_buffer_empty(true, Event::kWriteBufferEmpty);
  faults.script(SocketOp::kWrite, fd(), {at_most(1), fail(EAGAIN)});
  out.put("abc");
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.turn(2);
  CHECK_EQ(rec.count(Event::kWriteBufferEmpty), 0);
  c->on_poll(kPollOut);
  loop.turn();
  CHECK_EQ(rec.count(Event::kWriteBufferEmpty), 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "WR-11 VC-11: cancelled, or consumed by WRITE_COMPLETE, the trap is silent") {
  c->trap_write_buffer_empty(true, Event::kWriteBufferEmpty);
  c->trap_write_buffer_empty(false);
  out.put("abc");
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.turn();
  CHECK_EQ(rec.story(), "WR");

  c->trap_write_buffer_empty(true, Event::kWriteBufferEmpty);
  rec.forget();
  out.put("def");
  c->do_io_write(&rec, 3, out.r);
  loop.turn();
  CHECK_EQ(rec.story(), "WC");
  out.put("ghi");
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.turn();
  CHECK_EQ(rec.story(), "WC WR");
}

TEST_CASE_FIXTURE(Fixture, "B-5 WR-12: re-armed inside the trap event, the new operation goes on") {
  Buf other("next");
  Recorder second;
  rec.react = [&](Event e, VIO*) {
    if (e == Event::kWriteBufferEmpty) c->do_io_write(&second, 4, other.r);
  };
  c->trap_write_buffer_empty(true, Event::kWriteBufferEmpty);
  out.put("abc");
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  CHECK_EQ(rec.story(), "WR WBE");
  CHECK_EQ(second.story(), "WC");
  CHECK_EQ(c.peer.receive(7), "abcnext");
}

TEST_CASE_FIXTURE(Fixture, "B-5: closed inside the trap event") {
  rec.react = [&](Event e, VIO*) {
    if (e != Event::kWriteBufferEmpty) return;
    rec.expect_silence();
    c->do_io_close();
  };
  c->trap_write_buffer_empty(true, Event::kWriteBufferEmpty);
  out.put("abc");
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  CHECK_FALSE(c.alive());
}

TEST_CASE_FIXTURE(Fixture,
                  "WR-11: the trap event may refill, and the same activation list goes on") {
  rec.react = [&](Event e, VIO*) {
    if (e == Event::kWriteBufferEmpty) out.put("more");
  };
  c->trap_write_buffer_empty(true, Event::kWriteBufferEmpty);
  out.put("abc");
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  CHECK_EQ(c.peer.receive(7), "abcmore");
}

}  // namespace netvc::test
