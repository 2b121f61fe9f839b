// Bytes between the two ends of a pair (PV-5..PV-21, PV-26..PV-28).
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/ends.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "vc/trace.h"

namespace netvc::test {

namespace {

constexpr int64_t kCore = 32768;

struct Fixture : PairFixture {
  void write(int64_t n = VIO::kUnlimited) { a.do_io_write(&writer, n, out.r); }
  void read(int64_t n = VIO::kUnlimited) { p.do_io_read(&reader, n, in.m); }
  static std::string bytes(int64_t n, char c = 'x') {
    return std::string(static_cast<size_t>(n), c);
  }
};

// Both directions' stories in one line: "a:WR p:RR".
struct Shared final : Continuation {
  Shared(std::string& to, const char* name) : story(to), who(name) {}
  ~Shared() override = default;
  int handle_event(Event e, VIO*) override {
    story += (story.empty() ? "" : " ") + std::string(who) + ":" + short_name(e);
    if (react) react(e);
    return 0;
  }
  std::string& story;
  const char* who;
  std::function<void(Event)> react;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "PV-5 F-101: nobody is called on the caller's stack") {
  out.put("hello");
  write(5);
  read(5);
  CHECK(writer.told.empty());
  CHECK(reader.told.empty());
  loop.settle();
  CHECK_EQ(writer.story(), "WC");
  CHECK_EQ(reader.story(), "RC");
  CHECK_EQ(in.take(), "hello");
}

TEST_CASE_FIXTURE(Fixture,
                  "PV-5 B-1 B-30: a null buffer asks for nothing, a null continuation waits") {
  VIO* vio = a.do_io_write(&writer, 100, nullptr);
  CHECK_EQ(vio->nbytes, 0);
  vio = p.do_io_read(&reader, 100, nullptr);
  CHECK_EQ(vio->nbytes, 0);
  loop.settle();
  out.put("hello");
  a.do_io_write(nullptr, VIO::kUnlimited, out.r);
  p.do_io_read(nullptr, VIO::kUnlimited, in.m);
  a.reenable(&a.write_vio);
  p.reenable(&p.read_vio);
  a.do_io_write(nullptr, 0, nullptr);
  p.do_io_read(nullptr, 0, nullptr);
  loop.settle();
  CHECK(is_alive(ends.a_id));
  CHECK(writer.told.empty());
  CHECK(reader.told.empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "PV-12 PV-26 F-104: a direction holds 32 KiB besides what its user holds") {
  out.put(bytes(100'000));
  write();
  loop.settle();
  CHECK_EQ(a.write_vio.ndone, kCore);
  CHECK_EQ(out.avail(), 100'000 - kCore);
  read();
  loop.settle();
  CHECK_EQ(in.avail(), kCore);  // and the core is full once more
  CHECK_EQ(a.write_vio.ndone, 2 * kCore);
  in.take();
  p.reenable(&p.read_vio);
  loop.settle();
  CHECK_EQ(in.avail(), kCore);
  CHECK_EQ(a.write_vio.ndone, 3 * kCore);
}

TEST_CASE("PV-32: the core is as large as its maker says") {
  LeakCheck leaks;
  Loop loop;
  for (const int64_t size : {int64_t{1}, int64_t{100}, int64_t{1} << 20}) {
    PairOptions options;
    options.core_bytes = size;
    TwoEnds ends(loop, options);
    Recorder writer;
    Buf out(kIndexMax, 4 << 20);
    out.put(std::string(3 << 20, 'x'));
    ends.a->do_io_write(&writer, VIO::kUnlimited, out.r);
    loop.settle();
    CHECK_EQ(ends.a->write_vio.ndone, size);
    ends.a->do_io_close();
    ends.p->do_io_close();
  }
}

TEST_CASE_FIXTURE(Fixture, "PV-13 F-106: 128 bytes pass by reference, 127 by copy") {
  for (const int64_t n : {127, 128, 5000}) {
    CAPTURE(n);
    Buf from(kIndex32K, 1 << 20);
    from.put(bytes(n));
    const char* source = from.r->start();
    Recorder w, r;
    Buf to;
    a.do_io_write(&w, n, from.r);
    p.do_io_read(&r, n, to.m);
    loop.settle();
    REQUIRE_EQ(r.story(), "RC");
    CHECK_EQ(to.r->start() == source, n >= MIOBuffer::kByReference);
    CHECK_EQ(to.take(), bytes(n));
  }
}

TEST_CASE_FIXTURE(
    Fixture, "PV-14 PV-18 PV-27: the writer hears first, then the reader, then the writer again") {
  std::string story;
  Shared w(story, "w"), r(story, "r");
  r.react = [&](Event) { in.take(); };
  out.put("hello");
  a.do_io_write(&w, VIO::kUnlimited, out.r);
  p.do_io_read(&r, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_EQ(story, "w:WR r:RR w:WR");
  story.clear();
  a.do_io_write(&w, 5, out.r);
  out.put("again");
  a.reenable(&a.write_vio);
  loop.settle();
  CHECK_EQ(story, "w:WC r:RR");
}

TEST_CASE_FIXTURE(
    Fixture, "PV-15 PV-18: READ_READY for what came, READ_COMPLETE at nbytes, nothing beyond") {
  out.put("0123456789");
  write(10);
  read(4);
  loop.settle();
  CHECK_EQ(reader.story(), "RC");
  CHECK_EQ(in.take(), "0123");
  read(100);
  loop.settle();
  CHECK_EQ(reader.story(), "RC RR");
  CHECK_EQ(in.take(), "456789");
}

TEST_CASE_FIXTURE(Fixture,
                  "PV-11 B-26: what is added in WRITE_READY leaves in the same activation") {
  write();
  read();
  loop.settle();
  writer.forget();
  writer.react = [&](Event e, VIO*) {
    if (e == Event::kWriteReady && writer.told.size() == 1) out.put("now");
  };
  a.reenable_re(&a.write_vio);
  CHECK_EQ(a.write_vio.ndone, 3);
  CHECK_EQ(writer.story(), "WR WR");  // asked, and told of what has moved
  loop.settle();
  CHECK_EQ(in.take(), "now");
}

TEST_CASE_FIXTURE(Fixture, "PV-11: asked and nothing added: disabled until reenable") {
  write();
  loop.settle();
  CHECK_EQ(writer.story(), "WR");
  CHECK_FALSE(a.write.enabled);
  out.put("x");
  loop.settle();
  CHECK_EQ(writer.story(), "WR");
  a.reenable(&a.write_vio);
  loop.settle();
  CHECK_EQ(writer.story(), "WR WR");
  CHECK_EQ(a.write_vio.ndone, 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "PV-17 F-105: filled to 32 KiB whatever the water mark, and to a higher mark") {
  out.put(bytes(500'000));
  write();
  read();  // mark 0
  loop.settle();
  CHECK_EQ(in.avail(), kCore);
  CHECK_FALSE(p.read_vio.enabled);
  in.m->water_mark = 100'000;
  p.reenable(&p.read_vio);
  loop.settle();
  CHECK_EQ(in.avail(), 100'000);
}

TEST_CASE_FIXTURE(
    Fixture, "PV-19: a reader that has made room goes on when the writer moves, without reenable") {
  out.put(bytes(3 * kCore));
  write();
  read();
  loop.settle();
  CHECK_EQ(in.avail(), kCore);
  in.take();
  a.do_io_write(nullptr, 0, nullptr);
  p.reenable(&p.read_vio);
  loop.settle();
  CHECK_EQ(in.avail(), kCore);
  in.take();  // no reenable; the core is empty
  write();
  loop.settle();
  CHECK_GT(in.avail(), 0);
}

TEST_CASE_FIXTURE(
    Fixture,
    "PV-19 B-29: nothing happens to a direction that is not armed; it finds the bytes later") {
  out.put("early");
  write();
  loop.settle();
  CHECK(p.read_vio.op == Op::kNone);
  CHECK_FALSE(p.read.enabled);
  read();
  loop.settle();
  CHECK_EQ(reader.story(), "RR");
  CHECK_EQ(in.take(), "early");
}

TEST_CASE_FIXTURE(Fixture,
                  "PV-21 F-102: reenable_re moves now; reenable on a closed end is nothing") {
  write();
  loop.settle();
  out.put("hello");
  a.reenable_re(&a.write_vio);
  CHECK_EQ(a.write_vio.ndone, 5);
  VcPool::Handle held = NetVConnection::pool().address(ends.a_id);
  a.do_io_close();
  a.reenable(&a.write_vio);
  a.reenable_re(&a.write_vio);
  loop.settle();
}

TEST_CASE_FIXTURE(Fixture, "PV-28: read before write in one run") {
  std::string story;
  Shared both(story, "p");
  out.put("hello");
  write(5);
  loop.settle();
  Buf back;
  back.put("answer");
  p.do_io_write(&both, 6, back.r);
  p.do_io_read(&both, 5, in.m);
  loop.turn();
  CHECK_EQ(story, "p:RC p:WC");
}

TEST_CASE_FIXTURE(
    Fixture,
    "F-116: messages of this thread, larger than the core, keep their order with the operation") {
  const std::string big = bytes(5 * kCore, 'm');
  CHECK(a.queue_write(big.data(), big.size()));
  out.put("tail");
  write(4);
  read();
  std::string got;
  reader.react = [&](Event, VIO* vio) {
    got += in.take();
    vio->reenable();
  };
  REQUIRE(loop.until([&] { return got.size() == big.size() + 4; }));
  CHECK(got == big + "tail");
  CHECK_EQ(a.unsent(), 0);
  CHECK_EQ(a.bytes_out(), static_cast<int64_t>(got.size()));
  CHECK_EQ(p.bytes_in(), static_cast<int64_t>(got.size()));
}

TEST_CASE_FIXTURE(Fixture, "INV-13: at rest a pair holds no block") {
  out.put(bytes(kCore));
  write();
  read();
  loop.settle();
  CHECK_GT(leaks.blocks().blocks(), 0);
  in.take();
  p.do_io_read(nullptr, 0, nullptr);
  in.m->release_if_drained();
  out.m->release_if_drained();
  CHECK_EQ(leaks.blocks().blocks(), 0);
}

TEST_CASE_FIXTURE(Fixture, "OT-1: a traced end goes through its trace, and moves the same bytes") {
  struct Lines final : TraceSink {
    void line(std::string_view text) override { all += text; }
    std::string all;
  };
  auto lines = std::make_shared<Lines>();
  a.set_origin_trace(lines);
  p.set_origin_trace(lines);
  out.put(bytes(50'000));
  write();
  read();
  reader.react = [&](Event, VIO* vio) {
    in.take();
    vio->reenable();
  };
  REQUIRE(loop.until([&] { return p.bytes_in() == 50'000; }));
  CHECK_NE(lines->all.find("bytes="), std::string::npos);
  a.set_origin_trace(nullptr);
  out.put("more");
  a.reenable(&a.write_vio);
  REQUIRE(loop.until([&] { return p.bytes_in() == 50'004; }));
}

}  // namespace netvc::test
