// INV-8..INV-10: numbered messages from eight threads to connections that block, fail, close, move
// and lose their net threads. Each message arrives whole and once, or is told to have failed, once;
// each producer's messages arrive in its order.
#include <atomic>
#include <thread>

#include <doctest/doctest.h>

#include "support/leak_check.h"
#include "support/net_threads.h"
#include "support/numbered.h"
#include "support/random.h"
#include "vc/remote.h"
#include "vc/write.h"

namespace netvc::test {

namespace {

constexpr uint32_t kProducers = 8;
constexpr size_t kConnections = 6;

// The fate of one message.
struct Report final : Notice {
  void tell(int error) override {
    code = error;
    told.fetch_add(1, std::memory_order_release);
  }
  std::atomic<int> told{0};
  int code = 0;
  bool refused = false;  // its producer's
};

// One connection with the socket at its other end, and everything that was sent to it.
struct Line {
  Line(NetHandler& home, uint32_t messages)
      : each(messages), log(kProducers, messages), reports(kProducers * size_t{messages}) {
    FdPair p = fd_pair(Family::kUnix);
    shrink_buffers(p.a.get(), 20'000);
    peer = RawPeer(std::move(p.b));
    id = on(home, [&](NetHandler& h) { return adopt(h, std::move(p.a))->id(); });
    held = NetVConnection::pool().address(id);
  }
  Report& report(uint32_t producer, uint32_t number) {
    return reports[size_t{producer} * each + number];
  }
  // Reads to the end of the stream, and stops to read for a while now and then.
  void read_all(uint64_t seed) {
    Random random(seed);
    while (wait_fd(peer.fd(), POLLIN, 20'000)) {
      for (int64_t pause = random.one_in(8) ? random.size(300) : 0; pause > 0; --pause)
        ::sched_yield();
      log.feed(peer.take(static_cast<size_t>(random.size(100'000))));
      if (peer.last() == 0 || (peer.last() < 0 && peer.last() != -EAGAIN)) return;
    }
    log.wrong += 1000;  // it stands still
  }

  uint32_t each;
  RawPeer peer;
  VersionedId id = 0;
  VcPool::Handle held;
  WireLog log;
  std::vector<Report> reports;
};

int send(Line& line, uint32_t producer, uint32_t number, Random& random) {
  Report& report = line.report(producer, number);
  const size_t most = random.one_in(50) ? 60'000 : 400;
  const std::string s = numbered_message(producer, number, static_cast<size_t>(random.size(most)));
  const WriteOptions o{.told = &report, .ignore_overcrowded = random.one_in(10)};
  for (;;) {
    int code = 0;
    if (number % 3 == 0) {
      BlockChain chain;
      if (!chain.append(s.data(), s.size())) return ENOMEM;
      code = write(line.id, chain, o);
    } else {
      code = write(line.id, s.data(), s.size(), o);
    }
    if (code != EOVERCROWDED) return code;
    ::sched_yield();
  }
}

struct Totals {
  int64_t arrived = 0, failed = 0, refused = 0;
};

// Every message of a line has exactly one fate.
void check(Line& line, Totals& totals) {
  int64_t wrong = 0;
  for (uint32_t p = 0; p < kProducers; ++p) {
    for (uint32_t n = 0; n < line.each; ++n) {
      const Report& r = line.report(p, n);
      const bool arrived = line.log.arrived(p, n);
      const int told = r.told.load(std::memory_order_acquire);
      wrong += told != (r.refused ? 0 : 1);
      wrong += arrived != (!r.refused && r.code == 0);
      totals.arrived += arrived;
      totals.refused += r.refused;
      totals.failed += !r.refused && r.code != 0;
    }
  }
  CHECK_EQ(wrong, 0);
  CHECK_EQ(line.log.wrong, 0);
  CHECK_EQ(line.held->unsent(), 0);
  line.held = VcPool::Handle();
}

// interfere(line, random): what a producer does to a connection now and then.
template <class Interfere>
Totals run(uint64_t seed, uint32_t each, bool stop_early, Interfere interfere) {
  LeakCheck leaks;
  Totals totals;
  NetThreads threads(2);
  std::vector<std::unique_ptr<Line>> lines;
  std::vector<std::thread> readers, producers;
  for (size_t i = 0; i < kConnections; ++i) {
    lines.push_back(std::make_unique<Line>(threads[i % 2], each));
    lines.back()->held->set_max_unwritten(200'000);
  }
  for (size_t i = 0; i < kConnections; ++i)
    readers.emplace_back([&, i] { lines[i]->read_all(seed + i); });
  std::atomic<int64_t> sent{0};
  for (uint32_t p = 0; p < kProducers; ++p) {
    producers.emplace_back([&, p] {
      Random random(seed + 100 + p);
      std::vector<uint32_t> next(kConnections, 0);
      for (size_t left = kConnections * each; left > 0; --left) {
        auto i = static_cast<size_t>(random.below(kConnections));
        while (next[i] == each)
          i = (i + 1) % kConnections;
        const uint32_t number = next[i]++;
        lines[i]->report(p, number).refused = send(*lines[i], p, number, random) != 0;
        sent.fetch_add(1, std::memory_order_relaxed);
        interfere(*lines[i], threads, random);
      }
    });
  }
  if (stop_early) {
    const int64_t when = Random(seed).below(int64_t{kProducers} * kConnections * each);
    while (sent.load(std::memory_order_relaxed) < when)
      ::sched_yield();
    threads.stop();
  }
  for (auto& t : producers)
    t.join();
  for (auto& line : lines)
    remote::close(line->id);  // lingers until all is out
  for (auto& t : readers)
    t.join();
  threads.stop();
  for (auto& line : lines)
    check(*line, totals);
  CHECK_EQ(totals.arrived + totals.failed + totals.refused,
           int64_t{kProducers} * static_cast<int64_t>(kConnections) * each);
  return totals;
}

constexpr auto kNothing = [](Line&, NetThreads&, Random&) {};

}  // namespace

TEST_CASE("stress INV-9: eight writers, readers that block at random - all arrives") {
  const Totals t = run(take_seed("write storm"), 2500, false, kNothing);
  CHECK_EQ(t.failed, 0);
  CHECK_EQ(t.refused, 0);
}

TEST_CASE("stress INV-9 INV-10 SW-11: connections that fail at random") {
  const uint64_t seed = take_seed("write storm, failing");
  Totals all;
  for (uint64_t round = 0; round < 10; ++round) {
    const Totals t = run(seed + round, 400, false, [](Line& line, NetThreads&, Random& random) {
      if (!random.one_in(1500)) return;
      NetVConnection::set_failed(line.held.again(), EIO, "at random");
    });
    all.arrived += t.arrived;
    all.failed += t.failed;
  }
  CHECK_GT(all.arrived, 0);
  CHECK_GT(all.failed, 0);
}

TEST_CASE("stress INV-9 INV-10: connections that are closed at random, in every way") {
  const uint64_t seed = take_seed("write storm, closing");
  Totals all;
  for (uint64_t round = 0; round < 10; ++round) {
    const Totals t = run(seed + round, 400, false, [](Line& line, NetThreads&, Random& random) {
      if (!random.one_in(1500)) return;
      switch (random.below(4)) {
        case 0:
          remote::close(line.id, ECONNABORTED);
          break;
        case 1:
          remote::post(line.id, [](NetVConnection& vc) { vc.do_io_shutdown(Shutdown::kWrite); });
          break;
        default:
          remote::close(line.id);
      }
    });
    all.arrived += t.arrived;
    all.failed += t.failed + t.refused;
  }
  CHECK_GT(all.arrived, 0);
  CHECK_GT(all.failed, 0);
}

TEST_CASE("stress INV-9 MG-2: connections that move between threads while they are written to") {
  const Totals t = run(take_seed("write storm, moving"), 1500, false,
                       [](Line& line, NetThreads& threads, Random& random) {
                         if (!random.one_in(50)) return;
                         NetHandler& to = threads[static_cast<size_t>(random.below(2))];
                         remote::post(line.id, [&to](NetVConnection& vc) {
                           vc.move_to(to, [](NetVConnection*) {});
                         });
                       });
  CHECK_EQ(t.failed, 0);
  CHECK_EQ(t.refused, 0);
}

TEST_CASE("stress INV-10: the net threads stop while writers go on") {
  const uint64_t seed = take_seed("write storm, stopping");
  for (uint64_t round = 0; round < 30; ++round)
    run(seed + round, 100, true, kNothing);
}

TEST_CASE("stress INV-10: they stop while connections move and fail, and writers go on") {
  const uint64_t seed = take_seed("write storm, stopping and moving");
  for (uint64_t round = 0; round < 30; ++round) {
    run(seed + round, 100, true, [](Line& line, NetThreads& threads, Random& random) {
      if (random.one_in(400)) NetVConnection::set_failed(line.held.again(), EIO, "at random");
      if (!random.one_in(30)) return;
      NetHandler& to = threads[static_cast<size_t>(random.below(2))];
      remote::post(line.id, [&to](NetVConnection& vc) { vc.move_to(to, [](NetVConnection*) {}); });
    });
  }
}

}  // namespace netvc::test
