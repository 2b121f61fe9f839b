// INV-1: a hundred thousand connections closed at random moments, inside handlers of their own,
// inside handlers of others, and outside; nobody hears anything afterwards.
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/ends.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/random.h"

namespace netvc::test {

namespace {

// One end that echoes, and closes itself or a stranger when the dice say so.
struct Player {
  explicit Player(std::vector<Player*>& players, Random& dice) : all(players), random(dice) {}

  void start(NetVConnection& to) {
    vc = &to;
    id = to.id();
    rec.react = [this](Event e, VIO* vio) { on_event(e, vio); };
    if (!random.one_in(10)) vc->do_io_read(&rec, VIO::kUnlimited, in.m);
    out.put("ball");
    if (!random.one_in(10)) vc->do_io_write(&rec, VIO::kUnlimited, out.r);
    if (random.one_in(5)) vc->queue_write("message", 7);
  }
  void on_event(Event e, VIO* vio) {
    if (random.one_in(6)) return close();
    if (random.one_in(8)) {
      all[static_cast<size_t>(random.below(static_cast<int64_t>(all.size())))]->close();
      if (!vc) return;
    }
    if (is_terminal(e)) return close();
    if (e == Event::kReadReady) {
      out.put(in.take());
      if (random.one_in(2)) {
        vc->reenable(&vc->write_vio);
      } else {
        vc->reenable_re(&vc->write_vio);  // may close us in a nested call
      }
    } else if (random.one_in(20)) {
      out.put("again");
      vio->reenable_re();
    }
  }
  void close() {
    if (!vc) return;
    rec.expect_silence();
    NetVConnection* closing = std::exchange(vc, nullptr);
    closing->do_io_close(random.one_in(4) ? ECONNABORTED : -1);
    in = Buf();
    out = Buf();
  }

  std::vector<Player*>& all;
  Random& random;
  NetVConnection* vc = nullptr;
  VersionedId id = 0;
  Recorder rec;
  Buf in, out;
};

}  // namespace

TEST_CASE("stress INV-1: 10^5 connections closed at random, inside and outside handlers") {
  LeakCheck leaks;
  Random random(take_seed("close storm"));
  constexpr int kBatch = 100, kBatches = 500;  // two connections each
  for (int b = 0; b < kBatches; ++b) {
    Loop loop;
    std::vector<Player*> all;
    std::vector<std::unique_ptr<Player>> players;
    for (int i = 0; i < 2 * kBatch; ++i) {
      players.push_back(std::make_unique<Player>(all, random));
      all.push_back(players.back().get());
    }
    for (int i = 0; i < kBatch; ++i) {
      Player &a = *players[static_cast<size_t>(2 * i)],
             &c = *players[static_cast<size_t>(2 * i + 1)];
      connect_ends(
          i % 2 ? kPair : over(Family::kUnix), loop.h, loop.h,
          [&](NetVConnection& vc) { a.start(vc); }, [&](NetVConnection& vc) { c.start(vc); });
    }
    for (int t = 0; t < 12; ++t) {
      loop.turn();
      if (random.one_in(3)) all[static_cast<size_t>(random.below(2 * kBatch))]->close();
    }
    for (Player* p : all)
      p->close();
    loop.settle();
    // Those with messages linger until they are out, or their peers are gone.
    REQUIRE(loop.until([&] { return loop.h.open_count() == 0; }));
  }
}

}  // namespace netvc::test
