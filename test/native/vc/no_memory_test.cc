// A connection without memory: whoever asked hears ENOMEM, and the process goes on (SW-1, B-17).
#include <cerrno>
#include <memory>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "support/ends.h"
#include "support/no_memory.h"
#include "support/notices.h"
#include "support/pattern.h"
#include "support/vc_fixture.h"
#include "vc/write.h"

namespace netvc::test {

namespace {

using Codes = std::vector<int>;

struct Fixture : VcFixture {
  std::optional<NoMemory> none;

  void block_kernel() { faults.always(SocketOp::kWrite, c->get_socket(), fail(EAGAIN)); }
};

class Text : public UserMessage {
 public:
  int append_to(BlockChain* to) override { return to->append("text", 4) ? 0 : ENOMEM; }
};

struct Ends {
  explicit Ends(const Means& means) {
    connect_ends(
        means, loop.h, loop.h, [this](NetVConnection& vc) { a = &vc; },
        [this](NetVConnection& vc) { b = &vc; });
    loop.exact_lists = false;
  }
  LeakCheck leaks;
  Loop loop;
  NetVConnection *a = nullptr, *b = nullptr;
  Recorder writer, reader;
  Buf in, out;
  std::optional<NoMemory> none;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "SW-1 F-127: write() answers ENOMEM, and leaves everything as it was") {
  for (size_t n : {size_t{1}, size_t{5000}, size_t{100'000}}) {
    CAPTURE(n);
    const std::string s = pattern(0, n);
    BlockChain chain;
    CHECK(chain.append(s.data(), n));
    std::unique_ptr<UserMessage> message = std::make_unique<Text>();
    Notices told;
    Notice* notice = told.notice();
    none.emplace();
    CHECK_EQ(write(c.id, s.data(), n, {.told = notice}), ENOMEM);
    CHECK_EQ(write(c.id, chain, {.told = notice}), ENOMEM);
    CHECK_EQ(write(c.id, message, {.told = notice}), ENOMEM);
    CHECK_EQ(chain.size(), static_cast<int64_t>(n));
    CHECK(message);
    CHECK(told.codes.empty());
    CHECK_EQ(c->unsent(), 0);
    none.reset();
    CHECK_EQ(write(c.id, chain, {.told = notice}), 0);
    loop.settle();
    CHECK_EQ(told.codes, Codes{0});
    CHECK_EQ(c.peer.receive(n), s);
    CHECK_EQ(c->failure(), 0);
  }
}

TEST_CASE_FIXTURE(Fixture, "a message that nothing has left of is refused; the connection lives") {
  block_kernel();
  const std::string s = pattern(0, 100'000);
  none.emplace();
  CHECK_FALSE(c->queue_write(s.data(), s.size()));
  CHECK_FALSE(c->write_now(s.data(), s.size()));
  CHECK(c->can_send());
  CHECK_EQ(c->queued_bytes(), 0);
  CHECK_EQ(c->unsent(), 0);
  none.reset();
  faults.forget();
  CHECK(c->queue_write(s.data(), s.size()));
  c->on_poll(kPollOut);
  CHECK(loop.until([&] { return c->unsent() == 0; }));
  CHECK_EQ(c->failure(), 0);
}

TEST_CASE_FIXTURE(Fixture, "a message that has begun and cannot go on fails the connection") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  faults.script(SocketOp::kWrite, c->get_socket(), {at_most(1000)});
  const std::string s = pattern(0, 100'000);
  none.emplace();
  CHECK_FALSE(c->write_now(s.data(), s.size()));
  CHECK_EQ(c->failure(), ENOMEM);
  none.reset();
  loop.settle();
  CHECK_EQ(rec.story(), "ERROR");
  CHECK_EQ(rec.told.back().lerrno, ENOMEM);
}

TEST_CASE_FIXTURE(Fixture, "a user message without memory fails alone (SW-16)") {
  std::unique_ptr<UserMessage> message = std::make_unique<Text>();
  Notices told;
  block_kernel();
  CHECK_EQ(write(c.id, message, {.told = told.notice()}), 0);
  none.emplace();
  loop.settle();
  none.reset();
  faults.forget();
  c->on_poll(kPollOut);
  CHECK(loop.until([&] { return !told.codes.empty(); }));
  CHECK_EQ(c->failure(), 0);
}

TEST_CASE("B-17: a reader waits for memory; it hears of it only when there is none for long") {
  for (const Means& means : kEveryMeans) {
    CAPTURE(name_of(means));
    for (bool comes_back : {true, false}) {
      CAPTURE(comes_back);
      Ends e(means);
      e.out.put("some bytes");
      e.a->do_io_write(&e.writer, 10, e.out.r);
      CHECK(e.loop.until([&] { return e.writer.has(Event::kWriteComplete); }));
      e.none.emplace();
      e.b->do_io_read(&e.reader, VIO::kUnlimited, e.in.m);
      e.loop.turn(3);
      CHECK_EQ(e.reader.story(), "");
      if (comes_back) e.none.reset();
      CHECK(e.loop.until([&] { return !e.reader.told.empty(); }));
      e.none.reset();
      CHECK_EQ(e.reader.story(), comes_back ? "RR" : "ERROR");
      CHECK_EQ(e.in.take(), comes_back ? "some bytes" : "");
      if (!comes_back) CHECK_EQ(e.reader.told.back().lerrno, ENOMEM);
      e.a->do_io_close();
      e.b->do_io_close();
      e.loop.settle();
    }
  }
}

TEST_CASE("B-17: the writer of a pair waits for memory too") {
  for (bool comes_back : {true, false}) {
    CAPTURE(comes_back);
    Ends e(kPair);
    e.out.put(pattern(0, 10'000));
    e.none.emplace();
    e.a->do_io_write(&e.writer, 10'000, e.out.r);
    e.loop.turn(3);
    CHECK_FALSE(e.writer.has(Event::kWriteComplete));
    CHECK_FALSE(e.writer.has(Event::kError));
    if (comes_back) e.none.reset();
    const Event end = comes_back ? Event::kWriteComplete : Event::kError;
    CHECK(e.loop.until([&] { return e.writer.has(end); }));
    e.none.reset();
    if (!comes_back) CHECK_EQ(e.writer.told.back().lerrno, ENOMEM);
    e.a->do_io_close();
    e.b->do_io_close();
    e.loop.settle();
  }
}

TEST_CASE("without memory no connection is made, and later it is") {
  LeakCheck leaks;
  {
    NoMemory none;
    none.fill_connections();
    CHECK_EQ(NetVConnection::create({}, VcContext::kInbound), nullptr);
    NetVConnection *a = nullptr, *b = nullptr;
    CHECK_FALSE(PairEnd::create({}, &a, &b));
  }
  NetVConnection* vc = NetVConnection::create({}, VcContext::kInbound);
  REQUIRE(vc != nullptr);
  vc->release();
}

}  // namespace netvc::test
