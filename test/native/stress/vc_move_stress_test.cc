// A connection that moves between net threads while others send it commands (remote.h, move_to).
#include <atomic>
#include <thread>

#include <doctest/doctest.h>

#include "support/leak_check.h"
#include "support/net_threads.h"
#include "support/random.h"
#include "vc/remote.h"

namespace netvc::test {

TEST_CASE("stress: commands find a moving connection, always on the thread that it is on") {
  LeakCheck leaks;
  constexpr int kMoves = 300;
  NetThreads threads(3);
  for (int round = 0; round < 5; ++round) {
    FdPair p = fd_pair(Family::kUnix);
    RawPeer peer(std::move(p.b));
    const VersionedId id =
        on(threads[0], [&](NetHandler& h) { return adopt(h, std::move(p.a))->id(); });
    std::atomic<int> sent{0}, ran{0}, astray{0}, moves{0};
    std::thread mover([&] {
      for (size_t n = 1; moves < kMoves; ++n) {
        std::promise<void> there;
        auto arrived = there.get_future();
        NetHandler& to = threads[n % 3];
        const bool posted = remote::post(id, [&](NetVConnection& vc) {
          vc.move_to(to, [&](NetVConnection* moved) {
            if (!moved || !moved->handler->in_thread() || moved->home() != &to) astray.fetch_add(1);
            moves.fetch_add(1);
            there.set_value();
          });
        });
        REQUIRE(posted);
        REQUIRE(arrived.wait_for(std::chrono::seconds(10)) == std::future_status::ready);
      }
    });
    std::vector<std::thread> callers;
    for (int t = 0; t < 2; ++t) {
      callers.emplace_back([&] {
        for (int i = 0; moves < kMoves; ++i) {
          sent.fetch_add(1);
          remote::post(id, [&](NetVConnection& vc) {
            if (!vc.handler->in_thread() || !vc.open_link.linked || vc.home() != vc.handler)
              astray.fetch_add(1);
            ran.fetch_add(1);
          });
          if (i % 16 == 0) remote::reenable(id, Side::kRead);
          while (sent - ran > 100)
            std::this_thread::yield();
        }
      });
    }
    for (auto& t : callers)
      t.join();
    mover.join();
    REQUIRE(wait_for([&] { return ran == sent; }));
    CHECK_EQ(astray.load(), 0);
    remote::close(id);
    REQUIRE(wait_for([&] { return !NetVConnection::pool().address(id); }));
  }
}

TEST_CASE("stress: closed by others while it moves") {
  LeakCheck leaks;
  Random random(take_seed("move and close"));
  NetThreads threads(3);
  for (int round = 0; round < 3000; ++round) {
    FdPair p = fd_pair(Family::kUnix);
    const VersionedId id =
        on(threads[0], [&](NetHandler& h) { return adopt(h, std::move(p.a))->id(); });
    NetHandler& to = threads[1 + static_cast<size_t>(random.below(2))];
    NetHandler& on_to = threads[static_cast<size_t>(random.below(3))];
    remote::post(id, [&](NetVConnection& vc) {
      vc.move_to(to, [&](NetVConnection* moved) {
        if (moved && &on_to != moved->handler) moved->move_to(on_to, [](NetVConnection*) {});
      });
    });
    for (int i = static_cast<int>(random.below(200)); i > 0; --i)
      remote::reenable(id, Side::kRead);
    remote::close(id);
    REQUIRE(wait_for([&] { return !NetVConnection::pool().address(id); }));
  }
}

}  // namespace netvc::test
