// When an end of a pair is looked at, and what it looks at then (PV-6..PV-9).
#include <doctest/doctest.h>

#include <vector>

#include "support/buf.h"
#include "support/ends.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"

namespace netvc::test {

namespace {

constexpr int64_t kCore = 32768;

/// The ends at two handlers, both driven by this thread: what one tells the other is a command.
struct Apart {
  LeakCheck leaks;
  Loop here, there;
  NetVConnection *a = nullptr, *p = nullptr;
  Recorder writer, reader;
  Buf out{kIndexLarge, 1 << 20}, in;

  Apart() {
    connect_ends(
        kPair, here.h, there.h, [this](NetVConnection& vc) { a = &vc; },
        [this](NetVConnection& vc) { p = &vc; });
  }
};

}  // namespace

TEST_CASE_FIXTURE(Apart, "PV-6 F-103: what is told before the other end looks is told once") {
  p->do_io_read(&reader, VIO::kUnlimited, in.m);
  a->do_io_write(&writer, VIO::kUnlimited, out.r);
  there.settle();
  here.settle();
  for (int i = 0; i < 5; ++i) {
    out.put("12345");
    a->reenable(&a->write_vio);
    here.settle();
  }
  CHECK(reader.told.empty());
  there.turn();
  CHECK_EQ(reader.story(), "RR");
  CHECK_EQ(in.avail(), 25);
  // The slot is empty again: the next one is told too.
  out.put("6");
  a->reenable(&a->write_vio);
  here.settle();
  there.turn();
  CHECK_EQ(in.avail(), 26);
}

TEST_CASE_FIXTURE(Apart, "PV-6: an end and bytes in one slot, both are seen") {
  p->do_io_read(&reader, VIO::kUnlimited, in.m);
  a->do_io_write(&writer, 5, out.r);
  there.settle();
  out.put("12345");
  a->reenable(&a->write_vio);
  here.settle();
  a->do_io_shutdown(Shutdown::kWrite);
  there.settle();
  CHECK_EQ(reader.story(), "RR EOS");
}

TEST_CASE_FIXTURE(PairFixture, "PV-6 F-103: reenabled many times, looked at once") {
  a.do_io_write(&writer, VIO::kUnlimited, out.r);
  loop.settle();
  writer.forget();
  for (int i = 0; i < 10; ++i)
    a.reenable(&a.write_vio);
  loop.settle();
  CHECK_EQ(writer.story(), "WR");
}

TEST_CASE_FIXTURE(PairFixture, "PV-7 PV-28: reading comes before writing") {
  // Both directions of one end are due in the same turn.
  Buf back(kIndexLarge, 1 << 20);
  out.put("to p");
  a.do_io_write(&writer, 4, out.r);
  loop.settle();
  std::string order;
  Recorder reads([&](Event, VIO*) { order += "r"; });
  Recorder writes([&](Event, VIO*) { order += "w"; });
  back.put("to a");
  p.do_io_write(&writes, 4, back.r);
  p.do_io_read(&reads, 4, in.m);
  loop.settle();
  CHECK_EQ(order, "rw");
}

TEST_CASE_FIXTURE(PairFixture, "PV-7: closed by the first handler, the second one hears nothing") {
  Buf back(kIndexLarge, 1 << 20);
  out.put("to p");
  a.do_io_write(&writer, 4, out.r);
  loop.settle();
  Recorder reads([&](Event, VIO*) { p.do_io_close(); });
  Recorder writes;
  back.put("to a");
  p.do_io_write(&writes, 4, back.r);
  p.do_io_read(&reads, 4, in.m);
  loop.settle();
  CHECK_EQ(reads.story(), "RC");
  CHECK(writes.told.empty());
}

TEST_CASE("PV-8 B-24: what counts is the state when it is looked at, not when it was woken") {
  struct Row {
    const char* name;
    std::function<void(PairFixture&)> meanwhile;
    const char* told;
  };
  const std::vector<Row> rows = {
      {"nothing", [](PairFixture&) {}, "RR"},
      {"closed", [](PairFixture& f) { f.p.do_io_close(); }, ""},
      {"shut", [](PairFixture& f) { f.p.do_io_shutdown(Shutdown::kRead); }, ""},
      {"cancelled", [](PairFixture& f) { f.p.do_io_read(nullptr, 0, nullptr); }, ""},
      {"silenced", [](PairFixture& f) { f.p.read_vio.set_continuation(nullptr); }, ""},
      {"without a buffer", [](PairFixture& f) { f.p.read_vio.buffer.clear(); }, ""},
      {"enough", [](PairFixture& f) { f.p.read_vio.nbytes = 0; }, ""},
      {"exact", [](PairFixture& f) { f.p.read_vio.nbytes = 5; }, "RC"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    PairFixture f;
    f.p.do_io_read(&f.reader, VIO::kUnlimited, f.in.m);
    f.loop.settle();
    f.a.write_now("12345", 5);  // wakes the other end, which looks in the next turn
    row.meanwhile(f);
    f.loop.settle();
    CHECK_EQ(f.reader.story(), row.told);
  }
}

TEST_CASE("PV-9 PV-15: an operation that cannot go on is silent, and moves nothing") {
  struct Row {
    const char* name;
    std::function<void(PairFixture&)> make;
  };
  const std::vector<Row> rows = {
      {"never armed", [](PairFixture&) {}},
      {"no buffer", [](PairFixture& f) { f.a.do_io_write(&f.writer, 5, nullptr); }},
      {"nobody", [](PairFixture& f) { f.a.do_io_write(nullptr, 5, f.out.r); }},
      {"nothing wanted", [](PairFixture& f) { f.a.do_io_write(&f.writer, 0, f.out.r); }},
      {"shut",
       [](PairFixture& f) {
         f.a.do_io_shutdown(Shutdown::kWrite);
         f.a.do_io_write(&f.writer, 5, f.out.r);
       }},
      {"its reader is gone",
       [](PairFixture& f) {
         f.a.do_io_write(&f.writer, 5, f.out.r);
         f.out.m->dealloc_reader(f.out.r);
       }},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    PairFixture f;
    f.out.put("12345");
    row.make(f);
    f.a.reenable(&f.a.write_vio);
    f.loop.settle();
    f.p.do_io_read(&f.reader, VIO::kUnlimited, f.in.m);  // wakes the writer, if it takes anything
    f.loop.settle();
    CHECK(f.writer.told.empty());
    CHECK_EQ(f.in.avail(), 0);
    CHECK_EQ(f.a.write_vio.ndone, 0);
    CHECK_FALSE(f.a.write_vio.enabled);
  }
}

TEST_CASE("PV-17: a full reader is at rest at the byte, and goes on below it") {
  for (const int64_t mark : {int64_t{0}, kCore - 1, kCore, kCore + 1, 2 * kCore}) {
    CAPTURE(mark);
    PairFixture f;
    Buf into(kIndexLarge, mark);
    const int64_t full = std::max(mark, kCore);
    f.out.put(std::string(static_cast<size_t>(4 * kCore), 'x'));
    f.a.do_io_write(&f.writer, VIO::kUnlimited, f.out.r);
    f.p.do_io_read(&f.reader, VIO::kUnlimited, into.m);
    f.loop.settle();
    CHECK_EQ(into.avail(), full);
    CHECK(into.m->is_full());
    CHECK_FALSE(f.p.read_vio.enabled);
    REQUIRE(into.r->consume(1));
    CHECK_FALSE(into.m->is_full());  // what is said of "full" is what reading goes by
    f.p.reenable(&f.p.read_vio);
    f.loop.settle();
    CHECK_EQ(into.avail(), full);
  }
}

}  // namespace netvc::test
