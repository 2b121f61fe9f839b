// Tunnel: what fails never overtakes bytes, and a cut stream never looks whole.
#include <doctest/doctest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <string>

#include "support/tunnel_fixture.h"

namespace netvc::test {

namespace {

const std::string& pattern_of(size_t n) {
  static std::string s;
  if (s.size() < n) {
    s.resize(n);
    for (size_t i = 0; i < n; ++i)
      s[i] = static_cast<char>('a' + i % 23);
  }
  return s;
}

// One end fails as `source`, the other one is `to`.
struct Cut : TunnelFixture {
  explicit Cut(int source, Family f = Family::kTcp4, const TunnelOptions& o = {})
      : TunnelFixture(f, o), side(source) {}
  RawPeer& source() { return side == 0 ? left() : right(); }
  RawPeer& to() { return side == 0 ? right() : left(); }
  NetVConnection& at_source() { return *(side == 0 ? a : b).operator->(); }
  NetVConnection& at_to() { return *(side == 0 ? b : a).operator->(); }
  /// As much as is taken while nobody reads; how much that was.
  size_t fill(size_t most = 1 << 20) {
    size_t sent = 0;
    for (int quiet = 0; quiet < 3 && sent < most;) {
      const size_t n = source().send_some(std::string_view(pattern_of(most)).substr(sent));
      sent += n;
      loop.settle();
      quiet = n == 0 ? quiet + 1 : 0;
    }
    return sent;
  }
  /// Everything that arrives at `to` until its end, which is told: 0 or an errno.
  std::string rest(int* how) {
    std::string got;
    REQUIRE(loop.until([&] {
      got += to().take(4096);
      return to().last() == 0 || (to().last() < 0 && to().last() != -EAGAIN);
    }));
    *how = static_cast<int>(-to().last());
    return got;
  }
  int side;
};

}  // namespace

TEST_CASE("tunnel RD-17: what a source had sent before its reset arrives, then the reset") {
  for (int side : {0, 1}) {
    CAPTURE(side);
    Cut t(side);
    shrink_buffers(t.to().fd());
    shrink_buffers(t.at_to().get_socket(), 16'384);
    t.start();
    const size_t sent = t.fill(300'000);
    REQUIRE_GT(sent, size_t{64 << 10});
    // With the reset the source's kernel drops what it has not delivered.
    int unsent = 0;
    ::ioctl(t.source().fd(), SIOCOUTQ, &unsent);
    t.source().reset();
    t.loop.settle();
    CHECK_EQ(t.ends.told, 0);
    int how = 0;
    const std::string got = t.rest(&how);
    CHECK_EQ(how, ECONNRESET);
    CHECK_GE(got.size(), sent - static_cast<size_t>(unsent));
    CHECK(got == pattern_of(sent).substr(0, got.size()));
    t.expect_ended(TunnelEnd::kError);
    CHECK_EQ(t.ends.result.error_number, ECONNRESET);
    CHECK_EQ(t.ends.result.side, side);
    CHECK_EQ(t.tunnel->bytes(side), static_cast<int64_t>(got.size()));
  }
}

TEST_CASE("tunnel: a reset before any byte, after them, and after the other side has ended") {
  for (int side : {0, 1}) {
    for (bool bytes : {false, true}) {
      for (bool half_closed : {false, true}) {
        CAPTURE(side);
        CAPTURE(bytes);
        CAPTURE(half_closed);
        Cut t(side);
        t.start();
        if (half_closed) {
          t.to().send("question");
          t.to().shutdown(SHUT_WR);
          CHECK_EQ(t.receive(t.source(), 8), "question");
        }
        if (bytes) t.source().send("half an answer");
        t.source().reset();
        int how = 0;
        CHECK_EQ(t.rest(&how), bytes ? "half an answer" : "");
        CHECK_EQ(how, ECONNRESET);
        t.expect_ended(TunnelEnd::kError);
        CHECK_EQ(t.ends.result.error_number, ECONNRESET);
      }
    }
  }
}

TEST_CASE("tunnel: other errors, told by reading or by writing, do not overtake bytes either") {
  for (int side : {0, 1}) {
    for (SocketOp op : {SocketOp::kRead, SocketOp::kWrite}) {
      for (int error : {ETIMEDOUT, EHOSTUNREACH}) {
        CAPTURE(side);
        CAPTURE(static_cast<int>(op));
        CAPTURE(error);
        Cut t(side);
        t.start();
        t.source().send("what it had to say");
        const int fd = t.at_source().get_socket();
        if (op == SocketOp::kRead) {
          t.faults().script(op, fd, {kPass, fail(error)});
        } else {
          t.faults().script(op, fd, {fail(error)});
          t.to().send("x");
        }
        int how = 0;
        CHECK_EQ(t.rest(&how).substr(0, 18), "what it had to say");
        CHECK_EQ(how, ECONNRESET);
        t.expect_ended(TunnelEnd::kError);
        CHECK_EQ(t.ends.result.error_number, error);
        CHECK_EQ(t.ends.result.side, side);
      }
    }
  }
}

TEST_CASE("tunnel: set_failed on a connection resets both; what it had brought arrives") {
  for (int side : {0, 1}) {
    CAPTURE(side);
    Cut t(side);
    t.start();
    t.source().send("brought");
    CHECK_EQ(t.receive(t.to(), 7), "brought");
    NetVConnection::set_failed(NetVConnection::pool().address(t.at_source().id()), EPROTO, "");
    int how = 0;
    CHECK_EQ(t.rest(&how), "");
    CHECK_EQ(how, ECONNRESET);
    t.expect_ended(TunnelEnd::kError);
    CHECK_EQ(t.ends.result.error_number, EPROTO);
    REQUIRE(
        t.loop.until([&] { return t.source().take().empty() && t.source().last() != -EAGAIN; }));
    CHECK_EQ(t.source().last(), -ECONNRESET);
  }
}

TEST_CASE("tunnel: a side that takes nothing holds the bytes of a failed one up to the limit") {
  for (int side : {0, 1}) {
    CAPTURE(side);
    Cut t(side, Family::kTcp4, {.limits = {.stall = kSecond}});
    shrink_buffers(t.to().fd());
    shrink_buffers(t.at_to().get_socket());
    t.source().send(pattern_of(60'000).substr(0, 60'000));  // what the tunnel's buffer takes
    REQUIRE(wait_fd(t.at_source().get_socket(), POLLIN));
    t.source().reset();
    const Nanos since = monotonic_now();
    t.start();
    CHECK_EQ(t.ends.told, 0);
    t.expect_ended(TunnelEnd::kError);
    CHECK_GT(monotonic_now() - since, kSecond);
    CHECK_EQ(t.ends.result.error_number, ECONNRESET);
    int how = 0;
    t.rest(&how);
    CHECK_EQ(how, ECONNRESET);
  }
}

TEST_CASE("tunnel: an answer that is whole arrives whole, though the question could not be taken") {
  for (int side : {0, 1}) {
    CAPTURE(side);
    Cut t(side);
    shrink_buffers(t.to().fd());
    shrink_buffers(t.at_to().get_socket(), 16'384);
    t.start();
    const std::string answer = pattern_of(50'000).substr(0, 50'000);
    t.source().send(answer);
    t.source().close();  // and resets when more of the question comes
    t.loop.settle();
    t.to().send_some("a question");
    t.loop.settle();
    t.to().send_some(" that goes on");
    t.loop.settle();
    std::string got;
    REQUIRE(t.loop.until([&] {
      got += t.to().take(1000);
      return got.size() == answer.size();
    }));
    CHECK(got == answer);
    REQUIRE(t.loop.until([&] { return t.to().take().empty() && t.to().last() != -EAGAIN; }));
    CHECK_EQ(t.to().last(), 0);
    t.expect_ended(TunnelEnd::kError);
  }
}

TEST_CASE("tunnel: closed with bytes under way, a side that misses some is reset") {
  enum How { kTunnel, kSource, kDestination, kAbort };
  for (int side : {0, 1}) {
    for (How how_closed : {kTunnel, kSource, kDestination, kAbort}) {
      for (bool held : {false, true}) {
        CAPTURE(side);
        CAPTURE(static_cast<int>(how_closed));
        CAPTURE(held);
        Cut t(side);
        shrink_buffers(t.to().fd());
        shrink_buffers(t.at_to().get_socket());
        t.start();
        if (held) t.fill(300'000);
        if (how_closed == kTunnel) t.tunnel->close();
        if (how_closed == kSource) t.at_source().do_io_close();
        if (how_closed == kDestination) t.at_to().do_io_close();
        if (how_closed == kAbort) t.at_source().do_io_close(EPROTO);
        t.expect_ended(TunnelEnd::kClosed);
        int how = 0;
        t.rest(&how);
        CHECK_EQ(how, held || how_closed == kAbort ? ECONNRESET : 0);
      }
    }
  }
}

TEST_CASE("tunnel: a limit that ends a stream before its source has, resets it") {
  Cut t(0, Family::kTcp4, {.limits = {.half_close = 100 * kMillisecond}});
  t.start();
  t.source().send("whole");
  t.source().shutdown(SHUT_WR);
  int how = -1;
  CHECK_EQ(t.rest(&how), "whole");
  CHECK_EQ(how, 0);
  t.expect_ended(TunnelEnd::kHalfClose);
  REQUIRE(t.loop.until([&] { return t.source().take().empty() && t.source().last() != -EAGAIN; }));
  CHECK_EQ(t.source().last(), -ECONNRESET);
}

}  // namespace netvc::test
