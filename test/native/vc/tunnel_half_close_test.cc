// Tunnel: the ends of the two directions, in every order.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/tunnel_fixture.h"

namespace netvc::test {

namespace {

constexpr Family kFamilies[] = {Family::kTcp4, Family::kTcp6, Family::kUnix};

}  // namespace

TEST_CASE(
    "tunnel: half-close in all orders; every byte of both directions arrives (INV-4 INV-17)") {
  const std::string there = pattern(0, 50'000), back = pattern(1'000'000, 70'000);
  for (Family f : kFamilies) {
    for (int order = 0; order < 4; ++order) {
      CAPTURE(name_of(f));
      CAPTURE(order);
      TunnelFixture t(f);
      t.start();
      RawPeer& first = order < 2 ? t.left() : t.right();
      RawPeer& second = order < 2 ? t.right() : t.left();
      const std::string& of_first = order < 2 ? there : back;
      const std::string& of_second = order < 2 ? back : there;
      // Even orders: the first end comes before any byte of the other direction; odd: behind them.
      std::string got;
      if (order % 2 == 1) {
        second.send(of_second.substr(0, 1000));
        got = t.receive(first, 1000);
      }
      first.send(of_first);
      first.shutdown(SHUT_WR);
      CHECK(t.receive(second, of_first.size()) == of_first);
      t.expect_end_of_stream(second);
      CHECK_EQ(t.ends.told, 0);  // the other direction goes on
      second.send(of_second.substr(got.size()));
      got += t.receive(first, of_second.size() - got.size());
      CHECK(got == of_second);
      second.shutdown(SHUT_WR);
      t.expect_end_of_stream(first);
      t.expect_ended(TunnelEnd::kEos);
      CHECK_EQ(t.tunnel->bytes(0), static_cast<int64_t>(there.size()));
      CHECK_EQ(t.tunnel->bytes(1), static_cast<int64_t>(back.size()));
    }
  }
}

TEST_CASE("tunnel: both ends without a byte") {
  for (Family f : kFamilies) {
    CAPTURE(name_of(f));
    TunnelFixture t(f);
    t.start();
    t.left().shutdown(SHUT_WR);
    t.expect_end_of_stream(t.right());
    t.right().shutdown(SHUT_WR);
    t.expect_end_of_stream(t.left());
    t.expect_ended(TunnelEnd::kEos);
  }
}

TEST_CASE("tunnel: ends that were there before the tunnel") {
  for (Family f : kFamilies) {
    CAPTURE(name_of(f));
    TunnelFixture t(f);
    t.left().send("early");
    t.left().shutdown(SHUT_WR);
    t.right().send("bird");
    t.right().shutdown(SHUT_WR);
    t.loop.settle();
    t.start();
    CHECK_EQ(t.right().receive_all(), "early");
    CHECK_EQ(t.left().receive_all(), "bird");
    t.expect_ended(TunnelEnd::kEos);
  }
}

TEST_CASE("tunnel: an end that the user was told of before is told to the tunnel again") {
  TunnelFixture t;
  Recorder rec;
  Buf in;
  t.a->do_io_read(&rec, VIO::kUnlimited, in.m);
  t.left().shutdown(SHUT_WR);
  t.loop.see(t.a->get_socket(), POLLRDHUP);
  CHECK_EQ(rec.story(), "EOS");
  t.start();
  t.expect_end_of_stream(t.right());
  t.right().shutdown(SHUT_WR);
  t.expect_ended(TunnelEnd::kEos);
}

TEST_CASE("tunnel: a side that the user shut before ends that direction at once") {
  SUBCASE("the writing side of a") {
    TunnelFixture t;
    t.a->do_io_shutdown(Shutdown::kWrite);
    t.start();
    t.left().send("one way");
    CHECK_EQ(t.receive(t.right(), 7), "one way");
    t.left().shutdown(SHUT_WR);
    t.expect_end_of_stream(t.right());
    t.expect_ended(TunnelEnd::kEos);
  }
  SUBCASE("the reading side of a") {
    TunnelFixture t;
    t.a->do_io_shutdown(Shutdown::kRead);
    t.start();
    t.expect_end_of_stream(t.right());
    t.right().send("one way");
    CHECK_EQ(t.receive(t.left(), 7), "one way");
    t.right().shutdown(SHUT_WR);
    t.expect_ended(TunnelEnd::kEos);
  }
  SUBCASE("everything") {
    TunnelFixture t;
    t.a->do_io_shutdown(Shutdown::kReadWrite);
    t.start();
    t.expect_ended(TunnelEnd::kEos);
  }
}

}  // namespace netvc::test
