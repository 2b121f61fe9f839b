// A connection that nobody reads for now: its end is noticed, and bytes that came before stay.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/ends.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/loop.h"

namespace netvc::test {

TEST_CASE("watch: the peer's end closes it when nothing is left to read, before or after") {
  for (Family f : {Family::kTcp4, Family::kUnix}) {
    for (bool before : {false, true}) {
      CAPTURE(name_of(f));
      CAPTURE(before);
      LeakCheck leaks;
      Loop loop;
      VcAndPeer c(loop, f);
      if (!before) c->watch_for_end(true);
      loop.settle();
      CHECK(c.alive());
      c.peer.close();
      loop.settle();
      if (before) c->watch_for_end(true);
      CHECK(loop.until([&] { return !c.alive(); }));
    }
  }
}

TEST_CASE(
    "watch: bytes that came before the end wait for whoever reads next, and so does the end") {
  for (Family f : {Family::kTcp4, Family::kUnix}) {
    CAPTURE(name_of(f));
    LeakCheck leaks;
    Loop loop;
    VcAndPeer c(loop, f);
    c->watch_for_end(true);
    c.peer.send("unread");
    loop.settle();
    c.peer.close();
    loop.settle();
    REQUIRE(c.alive());
    c->watch_for_end(false);
    Recorder rec;
    Buf in;
    c->do_io_read(&rec, VIO::kUnlimited, in.m);
    loop.settle();
    CHECK_EQ(rec.story(), "RR EOS");
    CHECK_EQ(in.avail(), 6);
    c->do_io_close();
  }
}

TEST_CASE("watch: bytes that were given back keep it, too") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  BlockChain bytes;
  CHECK(bytes.append("carried", 7));
  c->unread(bytes);
  c->watch_for_end(true);
  c.peer.close();
  loop.settle();
  REQUIRE(c.alive());
  c->do_io_close();
}

TEST_CASE("watch: a reset closes it at once, whatever is unread") {
  for (bool bytes : {false, true}) {
    CAPTURE(bytes);
    LeakCheck leaks;
    Loop loop;
    VcAndPeer c(loop, Family::kTcp4);
    VcPool::Handle held = NetVConnection::pool().address(c.id);
    c->watch_for_end(true);
    if (bytes) c.peer.send("unread");
    loop.settle();
    c.peer.reset();
    CHECK(loop.until([&] { return !c.alive(); }));
    CHECK_EQ(held->failure(), ECONNRESET);
  }
}

TEST_CASE("watch: idle, it makes no turn do anything") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  c->watch_for_end(true);
  c.peer.send("unread");
  loop.settle();
  const int64_t events = loop.h.counters.poll_events.get();
  loop.turn(20);
  CHECK_EQ(loop.h.counters.poll_events.get(), events);
  CHECK_FALSE(loop.h.has_work());
  c->do_io_close();
}

}  // namespace netvc::test
