// The timeouts of a pair (PV-24, B-28): one side is told, by other rules than those of a socket.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/ends.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"

namespace netvc::test {

namespace {

constexpr Nanos kShort = 20 * kMillisecond;

struct Fixture : PairFixture {
  void read() { a.do_io_read(&reader, VIO::kUnlimited, in.m); }
  void write() { a.do_io_write(&writer, VIO::kUnlimited, out.r); }
  static int timeouts(const Recorder& r) {
    return r.count(Event::kInactivityTimeout) + r.count(Event::kActiveTimeout);
  }
  bool until_told(int n) {
    return loop.until([&] { return timeouts(reader) + timeouts(writer) >= n; });
  }
  void wait_in_vain() {
    const Nanos until = monotonic_now() + 3 * kShort;
    loop.until([&] { return monotonic_now() > until; });
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "PV-24 F-112: the read operation is told, and only it; once") {
  read();
  write();
  a.set_inactivity_timeout(kShort);
  REQUIRE(until_told(1));
  wait_in_vain();
  CHECK_EQ(timeouts(reader), 1);
  CHECK_EQ(timeouts(writer), 0);
  a.set_active_timeout(kShort);
  REQUIRE(until_told(2));
  CHECK_EQ(reader.count(Event::kActiveTimeout), 1);
  CHECK_EQ(timeouts(writer), 0);
}

TEST_CASE_FIXTURE(Fixture, "PV-24: without a read operation the write operation is told") {
  SUBCASE("none") {}
  SUBCASE("shut") {
    read();
    a.do_io_shutdown(Shutdown::kRead);
  }
  SUBCASE("complete") {
    p.queue_write("x", 1);
    a.do_io_read(&reader, 1, in.m);
    loop.settle();
    REQUIRE_EQ(reader.story(), "RC");
  }
  write();
  a.set_inactivity_timeout(kShort);
  REQUIRE(until_told(1));
  CHECK_EQ(timeouts(reader), 0);
  CHECK_EQ(timeouts(writer), 1);
}

TEST_CASE_FIXTURE(Fixture, "PV-24: without either it is dropped, and the end stays") {
  a.set_inactivity_timeout(kShort);
  a.set_active_timeout(kShort);
  wait_in_vain();
  CHECK(is_alive(ends.a_id));
  read();
  wait_in_vain();
  CHECK_EQ(timeouts(reader), 0);
}

TEST_CASE_FIXTURE(Fixture, "PV-24 PV-31 itimeout: a writer that has nothing to send is told") {
  out.put("short");
  write();
  p.do_io_read(&reader, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_FALSE(a.write.enabled);
  a.set_inactivity_timeout(kShort);
  REQUIRE(loop.until([&] { return timeouts(writer) == 1; }));
  CHECK_EQ(timeouts(reader), 0);
}

TEST_CASE_FIXTURE(Fixture, "PV-24: 0 cancels; nothing comes after close (B-28)") {
  read();
  a.set_inactivity_timeout(kShort);
  a.set_active_timeout(kShort);
  a.set_inactivity_timeout(0);
  a.set_active_timeout(0);
  wait_in_vain();
  CHECK_EQ(timeouts(reader), 0);
  a.set_inactivity_timeout(kShort);
  reader.expect_silence();
  a.do_io_close();
  wait_in_vain();
}

TEST_CASE_FIXTURE(Fixture, "PV-24 D: bytes of either end put off the inactivity of both") {
  NetVConnection* sender = &a;
  SUBCASE("the end that reads sends") {}
  SUBCASE("the other one") { sender = &p; }
  Nanos told_a = 0, told_p = 0;
  const auto note = [](Nanos& at) {
    return [&at](Event e, VIO*) {
      if (e == Event::kInactivityTimeout) at = monotonic_now();
    };
  };
  reader.react = note(told_a);
  writer.react = note(told_p);
  read();
  p.do_io_write(&writer, VIO::kUnlimited, out.r);  // p reads nothing: what a sends stays in between
  loop.settle();
  const Nanos set = monotonic_now();
  a.set_inactivity_timeout(kShort);
  p.set_inactivity_timeout(kShort);
  while (monotonic_now() <= set + 2 * kShort) {
  }
  // Both are due, and nobody has looked yet; the byte is there before the look.
  const Nanos sent = monotonic_now();
  REQUIRE(sender->write_now("x", 1));
  REQUIRE(loop.until([&] { return told_a != 0 && told_p != 0; }));
  CHECK_GT(told_a, sent + kShort);
  CHECK_GT(told_p, sent + kShort);
  CHECK_EQ(timeouts(reader), 1);
  CHECK_EQ(timeouts(writer), 1);
}

TEST_CASE_FIXTURE(Fixture, "PV-24 INV-14: never early, counted from the last byte") {
  Nanos told = 0;
  reader.react = [&](Event e, VIO*) {
    if (e == Event::kInactivityTimeout) told = monotonic_now();
  };
  read();
  a.set_inactivity_timeout(kShort);
  const Nanos set = monotonic_now();
  loop.until([&] { return monotonic_now() > set + kShort / 2; });
  if (told != 0) {  // the machine slept: nothing was sent in time
    CHECK_GE(told, set + kShort);
    told = 0;
    a.set_inactivity_timeout(kShort);
  }
  const Nanos sent = monotonic_now();
  p.queue_write("x", 1);
  REQUIRE(loop.until([&] { return told != 0; }));
  CHECK(reader.has(Event::kReadReady));
  CHECK_GE(told, sent + kShort);
}

}  // namespace netvc::test
