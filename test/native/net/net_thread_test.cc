// Net threads: start, stop, what happens to mail, signals, the choice of a thread.
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <vector>

#include <doctest/doctest.h>

#include "support/leak_check.h"
#include "support/net_threads.h"

namespace netvc::test {

TEST_CASE("a net thread runs what is posted, in the order of the posts (AD-1)") {
  LeakCheck leaks;
  NetThreads threads(1);
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i)
    threads[0].post([&order, i](NetHandler& h) {
      CHECK(h.in_thread());
      order.push_back(i);
    });
  CHECK_EQ(on(threads[0], [&](NetHandler&) { return order.size(); }), 1000);
  CHECK(std::is_sorted(order.begin(), order.end()));
  CHECK_FALSE(threads[0].in_thread());
}

TEST_CASE(
    "stop is prompt, whatever the thread does when it comes; a stopped pool can be stopped again") {
  for (int i = 0; i < 300; ++i) {
    LeakCheck leaks;
    NetThreads threads(2);
    if (i % 3 == 0) on(threads[0], [](NetHandler&) { return 0; });
    if (i % 3 == 1) threads[1].post([](NetHandler&) {});
    threads.stop();
    threads.stop();
  }
}

TEST_CASE("mail that is there at the stop is run, on a stopped neighbour as well (INV-27)") {
  for (int i = 0; i < 50; ++i) {
    LeakCheck leaks;
    std::atomic<int> ran{0};
    NetThreads threads(2);
    // The second thread writes to the first, which stops before it; that one answers.
    for (int k = 0; k < 20; ++k) {
      threads[1].post([&](NetHandler& second) {
        threads[0].post([&](NetHandler&) { second.post([&](NetHandler&) { ran.fetch_add(1); }); });
      });
    }
    threads.stop();
    CHECK_EQ(ran, 20);
  }
}

TEST_CASE("INV-12 INV-13: connections of a stopped pool are gone") {
  LeakCheck leaks;
  NetThreads threads(2);
  FdPair p = fd_pair(Family::kTcp4);
  RawPeer peer(std::move(p.b));
  on(threads[1], [&](NetHandler& h) { return adopt(h, std::move(p.a))->id(); });
  threads.stop();
  CHECK(peer.at_end());
}

TEST_CASE("AD-9: the process's signals are not delivered to net threads") {
  LeakCheck leaks;
  NetThreads threads(1);
  const auto blocked = [&](int signal) {
    return on(threads[0], [signal](NetHandler&) {
      sigset_t mask;
      ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      return ::sigismember(&mask, signal);
    });
  };
  for (int s : {SIGINT, SIGTERM, SIGCHLD, SIGPIPE, SIGUSR1, SIGHUP})
    CHECK_EQ(blocked(s), 1);
  for (int s : {SIGSEGV, SIGABRT, SIGPROF})
    CHECK_EQ(blocked(s), 0);
  sigset_t here;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &here);
  CHECK_EQ(::sigismember(&here, SIGTERM), 0);  // the starter's own mask is as before
}

TEST_CASE("AC-3: threads are chosen in turn") {
  LeakCheck leaks;
  NetThreads threads(3);
  std::map<NetHandler*, int> chosen;
  for (int i = 0; i < 30; ++i)
    ++chosen[&threads.pool.next()];
  CHECK_EQ(chosen.size(), 3);
  for (const auto& [h, n] : chosen)
    CHECK_EQ(n, 10);
}

}  // namespace netvc::test
