// Tunnel: flow control, memory, messages in front, and what it costs at rest.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/tunnel_fixture.h"

namespace netvc::test {

namespace {

constexpr Family kFamilies[] = {Family::kTcp4, Family::kUnix};

// Sends without waiting; the number of bytes that the kernel took.
size_t send_what_fits(RawPeer& from, uint64_t position, size_t n) {
  const std::string s = pattern(position, n);
  const ssize_t r = ::send(from.fd(), s.data(), s.size(), MSG_NOSIGNAL);
  return r > 0 ? static_cast<size_t>(r) : 0;
}

}  // namespace

TEST_CASE("tunnel: a slow reader is waited for; the buffer stays within its marks (INV-4)") {
  for (Family f : kFamilies) {
    CAPTURE(name_of(f));
    const TunnelOptions small{kIndexLarge, 16384};
    TunnelFixture t(f, small);
    for (int fd : {t.left().fd(), t.right().fd(), t.a->get_socket(), t.b->get_socket()}) {
      shrink_buffers(fd, 20'000);
    }
    t.start();
    constexpr size_t kTotal = 2'000'000;
    size_t sent = 0, got = 0;
    int64_t most = 0;
    while (got < kTotal) {
      if (sent < kTotal)
        sent += send_what_fits(t.left(), sent, std::min<size_t>(30'000, kTotal - sent));
      t.loop.turn();
      most = std::max(most, t.leaks.blocks().bytes());
      // Reads only when nothing moves any more: the source must have been stopped by then.
      const int64_t before = t.tunnel->bytes(0);
      t.loop.settle();
      if (t.tunnel->bytes(0) == before) {
        const std::string piece = t.right().take(10'000);
        REQUIRE_EQ(matching_pattern(piece.data(), got, piece.size()), piece.size());
        got += piece.size();
      }
    }
    // Unread up to the mark, plus one block that was begun below it, plus one of room.
    CHECK_LE(most, 16384 + 3 * 4096);
    CHECK_EQ(t.tunnel->bytes(0), static_cast<int64_t>(kTotal));
  }
}

TEST_CASE("tunnel: both directions full at the same time") {
  for (Family f : kFamilies) {
    CAPTURE(name_of(f));
    TunnelFixture t(f, {kIndexLarge, 8192});
    t.start();
    constexpr size_t kTotal = 1'500'000;
    size_t sent[2] = {0, 0}, got[2] = {0, 0};
    RawPeer* ends[2] = {&t.left(), &t.right()};
    REQUIRE(t.loop.until([&] {
      for (int i : {0, 1}) {
        if (sent[i] < kTotal)
          sent[i] += send_what_fits(*ends[i], sent[i], std::min<size_t>(100'000, kTotal - sent[i]));
        const std::string piece = ends[1 - i]->take(60'000);
        REQUIRE_EQ(matching_pattern(piece.data(), got[i], piece.size()), piece.size());
        got[i] += piece.size();
      }
      return got[0] == kTotal && got[1] == kTotal;
    }));
  }
}

TEST_CASE("tunnel: idle it holds no block and makes no turn do anything") {
  for (Family f : kFamilies) {
    CAPTURE(name_of(f));
    TunnelFixture t(f);
    t.start();
    CHECK_EQ(t.leaks.blocks().data(), 0);
    for (int round = 0; round < 3; ++round) {
      t.left().send("ping");
      CHECK_EQ(t.receive(t.right(), 4), "ping");
      t.right().send("pong");
      CHECK_EQ(t.receive(t.left(), 4), "pong");
      t.loop.settle();
      CHECK_EQ(t.leaks.blocks().data(), 0);
    }
    const NetCounters& n = t.loop.h.counters;
    const int64_t calls = n.read_calls.get() + n.write_calls.get(), events = n.events.get();
    t.loop.turn(20);
    CHECK_FALSE(t.loop.h.has_work());
    CHECK_EQ(n.read_calls.get() + n.write_calls.get(), calls);
    CHECK_EQ(n.events.get(), events);
    // A thread that may sleep does sleep: one turn, the whole time.
    const int64_t turns = n.turns.get();
    const Nanos start = monotonic_now();
    t.loop.h.turn(20 * kMillisecond);
    CHECK_GE(monotonic_now() - start, 20 * kMillisecond);
    CHECK_EQ(n.turns.get(), turns + 1);
  }
}

TEST_CASE("tunnel: half-closed and idle it does not spin either") {
  for (Family f : kFamilies) {
    CAPTURE(name_of(f));
    TunnelFixture t(f);
    t.start();
    t.left().shutdown(SHUT_WR);
    t.expect_end_of_stream(t.right());
    t.loop.settle();
    const int64_t calls = t.loop.h.counters.read_calls.get();
    t.loop.turn(20);
    CHECK_FALSE(t.loop.h.has_work());
    CHECK_EQ(t.loop.h.counters.read_calls.get(), calls);
    CHECK_EQ(t.leaks.blocks().data(), 0);
  }
}

TEST_CASE("tunnel: messages queued before leave before its bytes") {
  for (Family f : kFamilies) {
    CAPTURE(name_of(f));
    TunnelFixture t(f);
    const std::string head = pattern(0, 100'000), tail = pattern(100'000, 100'000);
    CHECK(t.b->queue_write(head.data(), head.size()));
    t.left().send(tail);
    t.start();
    CHECK(t.receive(t.right(), 200'000) == head + tail);
    CHECK_EQ(t.tunnel->bytes(0), 100'000);
  }
}

TEST_CASE("tunnel: what a read operation has brought and nobody took is the beginning") {
  for (bool joined : {false, true}) {
    CAPTURE(joined);
    TunnelFixture t;
    Recorder rec;
    Buf in(kIndexLarge, 65536);
    t.a->do_io_read(&rec, VIO::kUnlimited, in.m);
    t.left().send("GET / and the rest");
    t.loop.see(t.a->get_socket(), POLLIN);
    std::string head(4, '\0');
    CHECK_EQ(in.r->read(head.data(), 4), 4);
    rec.expect_silence();
    if (joined) {
      Tunnel::join(t.tunnel, t.b.id, t.a.id);
    } else {
      t.start();
    }
    t.left().send(", and more");
    CHECK_EQ(t.receive(t.right(), 24), "/ and the rest, and more");
    CHECK_EQ(in.avail(), 0);
    t.loop.settle();
    in = Buf();
    CHECK_EQ(t.leaks.blocks().data(), 0);
  }
}

TEST_CASE("tunnel: messages queued before leave even when the source ends at once") {
  TunnelFixture t;
  const std::string head = pattern(0, 1'000'000);
  shrink_buffers(t.b->get_socket(), 30'000);
  CHECK(t.b->queue_write(head.data(), head.size()));
  t.left().send("tail");
  t.left().shutdown(SHUT_WR);
  t.start();
  CHECK(t.receive(t.right(), head.size() + 4) == head + "tail");
  t.expect_end_of_stream(t.right());
  t.right().shutdown(SHUT_WR);
  t.expect_ended(TunnelEnd::kEos);
}

TEST_CASE("tunnel INV-4: random faults and chunks, both directions exact") {
  const uint64_t seed = take_seed("tunnel faults");
  Random random(seed);
  for (int round = 0; round < 6; ++round) {
    CAPTURE(seed);
    CAPTURE(round);
    const TunnelOptions options{static_cast<int>(random.below(10)), random.size(70'000)};
    TunnelFixture t(round % 2 ? Family::kUnix : Family::kTcp4, options);
    t.loop.exact_lists = false;
    t.faults().random(seed + static_cast<uint64_t>(round), 20);
    t.start();
    constexpr size_t kTotal = 300'000;
    size_t sent[2] = {0, 0}, got[2] = {0, 0};
    RawPeer* ends[2] = {&t.left(), &t.right()};
    REQUIRE(t.loop.until([&] {
      for (int i : {0, 1}) {
        if (sent[i] < kTotal) {
          const auto n =
              std::min<size_t>(static_cast<size_t>(random.size(50'000)), kTotal - sent[i]);
          sent[i] += send_what_fits(*ends[i], sent[i], n);
          if (sent[i] == kTotal) ends[i]->shutdown(SHUT_WR);
        }
        const std::string piece = ends[1 - i]->take(static_cast<size_t>(random.size(50'000)));
        REQUIRE_EQ(matching_pattern(piece.data(), got[i], piece.size()), piece.size());
        got[i] += piece.size();
      }
      return t.ends.told > 0 && got[0] == kTotal && got[1] == kTotal;
    }));
    t.faults().forget();
    t.expect_ended(TunnelEnd::kEos);
  }
}

}  // namespace netvc::test
