// INV-31: tunnels between connections of different net threads, either end closing at random.
#include <atomic>

#include <doctest/doctest.h>

#include "support/leak_check.h"
#include "support/net_threads.h"
#include "support/pattern.h"
#include "support/random.h"
#include "vc/remote.h"
#include "vc/tunnel.h"

namespace netvc::test {

namespace {

struct Ends final : TunnelListener {
  void on_tunnel_end(Tunnel&, const TunnelResult& r) override {
    end.store(static_cast<int>(r.end));
    told.fetch_add(1);
  }
  std::atomic<int> told{0};
  std::atomic<int> end{0};
};

struct Lane {
  Ends ends;
  RawPeer left, right;
  VersionedId a = 0, b = 0;
  size_t sent[2] = {0, 0}, got[2] = {0, 0};
  bool over[2] = {false, false};
};

NetHandler& pick(NetThreads& threads, Random& random) {
  return threads[static_cast<size_t>(random.below(static_cast<int64_t>(threads.pool.size())))];
}

void open(Lane& lane, NetThreads& threads, Random& random) {
  const Family f = random.one_in(2) ? Family::kTcp4 : Family::kUnix;
  FdPair l = fd_pair(f), r = fd_pair(f);
  lane.left = RawPeer(std::move(l.b));
  lane.right = RawPeer(std::move(r.b));
  lane.a = on(pick(threads, random), [&](NetHandler& h) { return adopt(h, std::move(l.a))->id(); });
  lane.b = on(pick(threads, random), [&](NetHandler& h) { return adopt(h, std::move(r.a))->id(); });
}

// Sends a bit in both directions and checks what arrives; an end or an error stops a direction.
void traffic(Lane& lane, Random& random) {
  RawPeer* ends[2] = {&lane.left, &lane.right};
  for (int i : {0, 1}) {
    const std::string s = pattern(lane.sent[i], static_cast<size_t>(random.size(20'000)));
    const ssize_t n =
        ends[i]->fd() < 0 ? -1 : ::send(ends[i]->fd(), s.data(), s.size(), MSG_NOSIGNAL);
    if (n > 0) lane.sent[i] += static_cast<size_t>(n);
    if (lane.over[1 - i] || ends[1 - i]->fd() < 0) continue;
    const std::string piece = ends[1 - i]->take(static_cast<size_t>(random.size(20'000)));
    REQUIRE_EQ(matching_pattern(piece.data(), lane.got[i], piece.size()),
               piece.size());  // a prefix
    lane.got[i] += piece.size();
    lane.over[1 - i] = ends[1 - i]->last() == 0 || ends[1 - i]->last() == -ECONNRESET;
  }
}

}  // namespace

TEST_CASE("stress INV-31: joined across threads, closed at random points by anybody") {
  LeakCheck leaks;
  Random random(take_seed("tunnel storm"));
  NetThreads threads(3);
  int how_often[5] = {};
  for (int round = 0; round < 1500; ++round) {
    Lane lane;
    open(lane, threads, random);
    const int64_t when = random.below(30);
    const int64_t what = random.below(7);
    Ref<Tunnel> tunnel(
        new Tunnel(&lane.ends, {static_cast<int>(random.below(10)), random.size(65'536)}));
    const auto strike = [&] {
      switch (what) {
        case 0:
          remote::close(lane.a);
          break;
        case 1:
          remote::close(lane.b);
          break;
        case 2:
          remote::close(lane.a);
          remote::close(lane.b);
          break;
        case 3:
          lane.left.reset();
          break;
        case 4:
          lane.right.close();
          break;
        case 5:
          remote::post(lane.b, [tunnel](NetVConnection&) { tunnel->close(); });
          break;
        default:
          lane.left.shutdown(SHUT_WR);
          break;
      }
    };
    if (when == 0 && what != 5) strike();
    Tunnel::join(tunnel, lane.a, lane.b);
    if (when == 1 && what != 5) strike();
    for (int64_t step = 2; step < 30; ++step) {
      if (step == when) strike();
      traffic(lane, random);
    }
    // Whatever happened, the far ends leave now.
    lane.left.close();
    lane.right.close();
    remote::close(lane.a);
    REQUIRE(wait_for([&] { return lane.ends.told > 0; }));
    REQUIRE(wait_for([&] {
      return !NetVConnection::pool().address(lane.a) && !NetVConnection::pool().address(lane.b);
    }));
    CHECK_EQ(lane.ends.told, 1);
    ++how_often[lane.ends.end];
    // The listener dies with this round: the tunnel must be through with it.
    REQUIRE(wait_for([&] { return tunnel->ref_count() == 1; }));
  }
  MESSAGE("ended by: eos ", how_often[1], ", error ", how_often[2], ", closed ", how_often[3],
          ", failed ", how_often[4]);
}

TEST_CASE("stress INV-31: many tunnels at once, bytes exact in both directions") {
  LeakCheck leaks;
  Random random(take_seed("tunnel bytes"));
  constexpr size_t kTotal = 2'000'000;
  NetThreads threads(3);
  std::vector<std::unique_ptr<Lane>> lanes;
  std::vector<Ref<Tunnel>> tunnels;
  for (int i = 0; i < 12; ++i) {
    lanes.push_back(std::make_unique<Lane>());
    open(*lanes.back(), threads, random);
    tunnels.emplace_back(
        new Tunnel(&lanes.back()->ends, {static_cast<int>(random.below(10)), random.size(65'536)}));
    Tunnel::join(tunnels.back(), lanes.back()->a, lanes.back()->b);
  }
  const Nanos give_up = monotonic_now() + 120 * kSecond;
  for (bool more = true; more;) {
    more = false;
    REQUIRE_LT(monotonic_now(), give_up);
    for (auto& lane : lanes) {
      RawPeer* ends[2] = {&lane->left, &lane->right};
      for (int i : {0, 1}) {
        if (lane->sent[i] < kTotal) {
          const auto n =
              std::min<size_t>(static_cast<size_t>(random.size(100'000)), kTotal - lane->sent[i]);
          const std::string s = pattern(lane->sent[i], n);
          const ssize_t r = ::send(ends[i]->fd(), s.data(), n, MSG_NOSIGNAL);
          if (r > 0) lane->sent[i] += static_cast<size_t>(r);
          if (lane->sent[i] == kTotal) ends[i]->shutdown(SHUT_WR);
        }
        const std::string piece = ends[1 - i]->take(static_cast<size_t>(random.size(100'000)));
        REQUIRE_EQ(matching_pattern(piece.data(), lane->got[i], piece.size()), piece.size());
        lane->got[i] += piece.size();
      }
      more = more || lane->got[0] < kTotal || lane->got[1] < kTotal;
    }
  }
  for (size_t i = 0; i < lanes.size(); ++i) {
    REQUIRE(wait_for([&] { return lanes[i]->ends.told == 1; }));
    CHECK_EQ(lanes[i]->ends.end, static_cast<int>(TunnelEnd::kEos));
    CHECK_EQ(tunnels[i]->bytes(0), static_cast<int64_t>(kTotal));
    CHECK_EQ(tunnels[i]->bytes(1), static_cast<int64_t>(kTotal));
  }
}

TEST_CASE(
    "stress INV-27: the pool is stopped with tunnels joining and running; each is told once") {
  Random random(take_seed("tunnel stop"));
  for (int round = 0; round < 60; ++round) {
    LeakCheck leaks;
    std::vector<std::unique_ptr<Lane>> lanes;
    NetThreads threads(3);
    for (int i = 0; i < 10; ++i) {
      lanes.push_back(std::make_unique<Lane>());
      open(*lanes.back(), threads, random);
    }
    for (auto& lane : lanes) {
      Tunnel::join(Ref<Tunnel>(new Tunnel(&lane->ends, {})), lane->a, lane->b);
      if (random.one_in(2)) traffic(*lane, random);
    }
    threads.stop();
    for (auto& lane : lanes)
      CHECK_EQ(lane->ends.told, 1);
  }
}

}  // namespace netvc::test
