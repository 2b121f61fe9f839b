// The origin trace (OT-1, B-22).
#include "vc/trace.h"

#include <fcntl.h>

#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"
#include "support/notices.h"

namespace netvc::test {

namespace {

struct Lines final : TraceSink {
  void line(std::string_view text) override { all.emplace_back(text); }
  /// The lines of one direction, without what is the same in all of them.
  std::vector<std::string> of(const std::string& direction, const std::string& head) const {
    std::vector<std::string> found;
    const std::string start = "netvc " + direction + " " + head + " ";
    for (const std::string& s : all) {
      if (s.starts_with(start)) found.push_back(s.substr(start.size()));
    }
    return found;
  }
  bool has(const std::string& direction, const std::string& head, const std::string& rest) const {
    for (const std::string& s : of(direction, head)) {
      if (s == rest) return true;
    }
    return false;
  }
  std::vector<std::string> all;
};

struct Fixture {
  LeakCheck leaks;
  std::shared_ptr<Lines> lines = std::make_shared<Lines>();
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  Recorder rec;
  Buf in;

  std::string peer() const { return "127.0.0.1:" + std::to_string(c->remote_addr().port()); }
  std::string head() const { return peer() + " client -"; }
  void read() { c->do_io_read(&rec, VIO::kUnlimited, in.m); }
  void arrive(const std::string& s) {
    c.peer.send(s);
    loop.see(c->get_socket(), POLLIN);
  }
};

using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE_FIXTURE(Fixture, "OT-1 F-092: bytes in and out, with their count") {
  c->set_origin_trace(lines);
  read();
  arrive("hello\r\n");
  c->queue_write("back", 4);
  loop.settle();
  CHECK(lines->has("in", head(), "bytes=7 \"hello\\r\\n\"\n"));
  CHECK(lines->has("out", head(), "bytes=4 \"back\"\n"));
  CHECK_EQ(in.take(), "hello\r\n");
  CHECK_EQ(c.peer.receive(4), "back");
}

TEST_CASE_FIXTURE(Fixture, "OT-1: the end is \"closed connection\"") {
  c->set_origin_trace(lines);
  read();
  c.peer.close();
  REQUIRE(loop.until([&] { return rec.has(Event::kEos); }));
  CHECK_EQ(lines->all.back(), "netvc in " + head() + " closed connection\n");
}

TEST_CASE_FIXTURE(Fixture, "OT-1 B-22: an error is the text of that errno, whatever errno is now") {
  Faults faults;
  c->set_origin_trace(lines);
  faults.script(SocketOp::kRead, c->get_socket(), {fail(ECONNRESET)});
  errno = EEXIST;
  read();
  loop.settle();
  const std::string text = "error=" + std::string(std::strerror(ECONNRESET)) + "\n";
  CHECK_EQ(lines->of("in", head()), Texts{text});
}

TEST_CASE_FIXTURE(Fixture, "OT-1: a call that would block has its line too") {
  c->set_origin_trace(lines);
  read();
  loop.settle();
  const std::string text = "error=" + std::string(std::strerror(EAGAIN)) + "\n";
  CHECK_EQ(lines->of("in", head()), Texts{text});
}

TEST_CASE_FIXTURE(Fixture,
                  "B-22: the bytes are those of all the pieces that moved, and no byte more") {
  Buf small(0, 4096);  // several blocks of 128 bytes per call
  c->set_origin_trace(lines, 1000);
  std::string s;
  for (int i = 0; i < 300; ++i)
    s += static_cast<char>('a' + i % 26);
  c->do_io_read(&rec, VIO::kUnlimited, small.m);
  arrive(s);
  small.take();
  std::string got;
  for (const std::string& line : lines->of("in", head())) {
    if (!line.starts_with("bytes=")) continue;
    const size_t from = line.find('"') + 1;
    const std::string part = line.substr(from, line.rfind('"') - from);
    CHECK_EQ("bytes=" + std::to_string(part.size()) + " \"" + part + "\"\n", line);
    got += part;
  }
  CHECK_EQ(s.substr(0, got.size()), got);
  CHECK_GT(got.size(), 128);

  Faults faults;
  Buf out(0);
  faults.script(SocketOp::kWrite, c->get_socket(), {at_most(200)});
  lines->all.clear();
  out.put(s);
  c->do_io_write(&rec, 300, out.r);
  loop.settle();
  CHECK_EQ(lines->of("out", head()).at(0), "bytes=200 \"" + s.substr(0, 200) + "\"\n");
}

TEST_CASE_FIXTURE(Fixture, "OT-1: a line has at most so many bytes, escaped") {
  c->set_origin_trace(lines, 5);
  c->queue_write("ab\0\xff\"\\c", 7);
  loop.settle();
  CHECK_EQ(lines->of("out", head()), Texts{"bytes=7 \"ab\\x00\\xff\\\"\"...\n"});
  lines->all.clear();
  c->set_origin_trace(lines, 0);
  c->queue_write("secret", 6);
  loop.settle();
  CHECK_EQ(lines->of("out", head()), Texts{"bytes=6 \"\"...\n"});
}

TEST_CASE_FIXTURE(Fixture,
                  "OT-1: the client, of any kind, and what it is called cannot break a line") {
  c->set_origin_trace_addr("10.0.0.7");
  c->set_origin_trace_port(4312);
  c->set_origin_trace(lines);
  c->queue_write("a", 1);
  loop.settle();
  CHECK(lines->has("out", peer() + " client 10.0.0.7:4312", "bytes=1 \"a\"\n"));
  c->set_origin_trace_addr("::1");
  c->queue_write("b", 1);
  loop.settle();
  CHECK(lines->has("out", peer() + " client [::1]:4312", "bytes=1 \"b\"\n"));
  c->set_origin_trace_addr("x\ny");
  c->queue_write("c", 1);
  loop.settle();
  CHECK(lines->has("out", peer() + " client x\\ny:4312", "bytes=1 \"c\"\n"));
}

TEST_CASE_FIXTURE(Fixture, "OT-1: off until it is on, and off again; on twice is one line") {
  read();
  arrive("a");
  CHECK(&Transport::plain() == c->transport);
  c->set_origin_trace(nullptr);
  c->set_origin_trace(lines);
  c->set_origin_trace(lines);
  c->queue_write("b", 1);
  loop.settle();
  CHECK_EQ(lines->of("out", head()).size(), 1);
  c->set_origin_trace(nullptr);
  CHECK(&Transport::plain() == c->transport);
  lines->all.clear();
  c->queue_write("c", 1);
  arrive("d");
  CHECK_EQ(lines->all.size(), 0);
  CHECK_EQ(lines.use_count(), 1);
  CHECK_EQ(in.take(), "ad");
}

TEST_CASE_FIXTURE(Fixture,
                  "OT-1 F-041: in front of another transport, which is there again after it") {
  // Says of every write that one byte has left.
  struct OneByte final : Transport {
    ssize_t read(Connection& con, const iovec* iov, int n, unsigned* needs) override {
      return plain().read(con, iov, n, needs);
    }
    ssize_t write(Connection& con, const iovec* iov, int, unsigned* needs) override {
      const iovec one{iov->iov_base, 1};
      return plain().write(con, &one, 1, needs);
    }
    bool short_read_means_empty(const Connection&) const override { return false; }
  } under;
  c->transport = &under;
  c->set_origin_trace(lines);
  c->queue_write("xy", 2);
  loop.settle();
  CHECK_EQ(lines->of("out", head()), Texts{"bytes=1 \"x\"\n", "bytes=1 \"y\"\n"});
  CHECK_FALSE(c->transport->short_read_means_empty(Connection()));
  c->set_origin_trace(nullptr);
  CHECK(c->transport == &under);
  c->transport = &Transport::plain();
}

TEST_CASE_FIXTURE(Fixture, "OT-1: v6 and unix peers") {
  VcAndPeer v6(loop, Family::kTcp6), local(loop, Family::kUnix);
  for (NetVConnection* vc : {v6.vc, local.vc}) {
    vc->set_origin_trace(lines);
    vc->queue_write("x", 1);
  }
  loop.settle();
  const std::string port = std::to_string(v6->remote_addr().port());
  CHECK(lines->has("out", "[::1]:" + port + " client -", "bytes=1 \"x\"\n"));
  CHECK(lines->has("out", "unix:// client -", "bytes=1 \"x\"\n"));
}

TEST_CASE_FIXTURE(Fixture, "OT-1 OB-1: urgent bytes have their lines") {
  Notices told;
  c->set_origin_trace(lines);
  REQUIRE_EQ(c->send_oob("abc", 3, told.notice()), 0);
  CHECK_EQ(lines->of("oob", head()), Texts{"bytes=3 \"abc\"\n"});
}

TEST_CASE_FIXTURE(Fixture, "OT-1 MG-2: it goes with the connection to another handler") {
  c->set_origin_trace(lines);
  Loop to;
  c->move_to(to.h, [](NetVConnection*) {});
  loop.turn();
  to.turn();
  c->queue_write("moved", 5);
  to.settle();
  CHECK(lines->has("out", head(), "bytes=5 \"moved\"\n"));
}

TEST_CASE_FIXTURE(Fixture, "OT-1: what leaves and comes after the close is traced") {
  c->set_origin_trace(lines);
  const std::string at = head();
  c->queue_write("last words", 10);
  c->close_gracefully();
  loop.settle();
  CHECK_EQ(c.peer.receive(10), "last words");
  c.peer.send("late");
  c.peer.close();
  REQUIRE(loop.until([&] { return !c.alive(); }));
  CHECK(lines->has("out", at, "bytes=10 \"last words\"\n"));
  CHECK(lines->has("in", at, "bytes=4 \"late\"\n"));
  CHECK_EQ(lines.use_count(), 1);
}

TEST_CASE("OT-1: FdSink writes a line with one call") {
  LeakCheck leaks;
  int fds[2];
  REQUIRE_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);  // keeps calls apart
  UniqueFd from(fds[0]);
  FdSink sink{UniqueFd(fds[1])};
  sink.line("one\n");
  sink.line("two\n");
  char text[64];
  for (const char* line : {"one\n", "two\n"}) {
    const ssize_t n = ::recv(from.get(), text, sizeof text, MSG_DONTWAIT);
    REQUIRE_GT(n, 0);
    CHECK_EQ(std::string(text, static_cast<size_t>(n)), line);
  }
}

TEST_CASE("OT-1: who does not read a pipe or a socket loses lines, and holds up nobody") {
  LeakCheck leaks;
  for (const bool pipe : {true, false}) {
    CAPTURE(pipe);
    int fds[2];
    const int r =
        pipe ? ::pipe2(fds, O_CLOEXEC) : ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds);
    REQUIRE_EQ(r, 0);
    UniqueFd from(fds[0]);
    UniqueFd shared(fds[1]);
    FdSink sink{UniqueFd(::fcntl(shared.get(), F_DUPFD_CLOEXEC, 0))};
    for (int i = 0; i < 2000; ++i)
      sink.line(std::string(999, 'x') + "\n");  // would wait for ever
    CHECK_EQ(::fcntl(shared.get(), F_GETFL) & O_NONBLOCK, 0);
    char text[1000];
    REQUIRE_EQ(::read(from.get(), text, sizeof text), 1000);
    CHECK_EQ(text[999], '\n');
  }
}

}  // namespace netvc::test
