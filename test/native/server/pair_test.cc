// How the ends of a pair come to their users (PV-2, PV-3, PV-4).
#include "server/pair.h"

#include <doctest/doctest.h>

#include "support/accept_log.h"
#include "support/ends.h"
#include "support/leak_check.h"

namespace netvc::test {

TEST_CASE("PV-2 F-098: connect gives the passive end to the acceptor, at once on its own thread") {
  LeakCheck leaks;
  Loop loop;
  AcceptLog log;
  Pair pair(loop.h, loop.h, &log);
  CHECK(pair.is_open());
  CHECK_EQ(log.count(), 0);
  NetVConnection* active = pair.connect();
  REQUIRE_EQ(log.count(), 1);
  CHECK_EQ(active->context(), VcContext::kOutbound);
  CHECK_EQ(log.at(0)->context(), VcContext::kInbound);
  CHECK_EQ(active->pair_end()->peer(), log.accepted[0]);
  active->do_io_close();
  log.at(0)->do_io_close();
}

TEST_CASE("PV-2: the acceptor may close what it is given") {
  LeakCheck leaks;
  Loop loop;
  AcceptLog log;
  log.react = [](NetVConnection& vc) { vc.do_io_close(); };
  Pair pair(loop.h, loop.h, &log);
  NetVConnection* active = pair.connect();
  loop.settle();
  CHECK(is_alive(active->id()));
  active->do_io_close();
}

TEST_CASE("PV-2 PV-29 F-115: on another thread the acceptor is called there, soon") {
  LeakCheck leaks;
  NetThreads threads(2);
  struct Acceptor final : AcceptHandler {
    void on_accept(NetVConnection& vc) override {
      right_thread = vc.handler->in_thread() && vc.is_at(*vc.handler);
      id = vc.id();
    }
    void on_accept_error(int) override {}
    void on_accept_stopped() override {}
    std::atomic<bool> right_thread{false};
    std::atomic<VersionedId> id{0};
  } acceptor;
  const VersionedId active =
      on(threads[0], [&](NetHandler& h) { return Pair(h, threads[1], &acceptor).connect()->id(); });
  REQUIRE(wait_for([&] { return acceptor.id != 0; }));
  CHECK(acceptor.right_thread);
  CHECK_EQ(NetVConnection::pool().address(acceptor.id)->home(), &threads[1]);
  remote::close(active);
  remote::close(acceptor.id);
  REQUIRE(wait_for([&] { return !is_alive(active) && !is_alive(acceptor.id); }));
}

TEST_CASE("PV-3 F-099: connect_re: ACCEPT, then OPEN, before it returns") {
  LeakCheck leaks;
  Loop loop;
  AcceptLog accepts;
  ConnectLog opens;
  accepts.react = [&](NetVConnection&) { CHECK_EQ(opens.opened, 0); };
  Pair pair(loop.h, loop.h, &accepts);
  NetVConnection* active = pair.connect_re(&opens);
  CHECK_EQ(accepts.count(), 1);
  CHECK_EQ(opens.opened, 1);
  CHECK_EQ(opens.id, active->id());
  opens.vc()->do_io_close();
  accepts.at(0)->do_io_close();
}

TEST_CASE(
    "PV-4 F-100: never connected: the acceptor hears that nothing comes, and nothing is left") {
  LeakCheck leaks;
  Loop loop;
  AcceptLog log;
  {
    Pair pair(loop.h, loop.h, &log);
    pair.kill_no_connect();
    CHECK_EQ(log.errors, std::vector<int>{ECANCELED});
    pair.kill_no_connect();
  }
  { Pair dropped(loop.h, loop.h, &log); }
  CHECK_EQ(log.errors.size(), 2);
  CHECK_EQ(log.count(), 0);
  {
    Pair connected(loop.h, loop.h, &log);
    connected.connect()->do_io_close();
    log.at(0)->do_io_close();
  }
  CHECK_EQ(log.errors.size(), 2);
}

}  // namespace netvc::test
