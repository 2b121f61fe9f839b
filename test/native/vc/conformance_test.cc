// PV-31 INV-21: the table of vc_conformance.h on pairs of sockets.
#include <doctest/doctest.h>

#include "support/leak_check.h"
#include "support/net_threads.h"
#include "support/vc_conformance.h"

namespace netvc::test {

namespace {

constexpr uint64_t kPassive = 77'000'000;

void run_inline(const Scenario& s, Family f) {
  CAPTURE(std::string(s.name));
  CAPTURE(name_of(f));
  LeakCheck leaks;
  Tester active(s.active, 0, kPassive), passive(s.passive, kPassive, 0);
  Loop loop;
  FdPair p = fd_pair(f);
  active.start(*adopt(loop.h, std::move(p.a), VcContext::kOutbound));
  passive.start(*adopt(loop.h, std::move(p.b)));
  REQUIRE(loop.until([&] { return active.done && passive.done; }));
  active.check();
  passive.check();
  loop.settle();
  CHECK_EQ(loop.h.open_count(), 0);
}

void run_on_threads(const Scenario& s, Family f) {
  CAPTURE(std::string(s.name));
  CAPTURE(name_of(f));
  LeakCheck leaks;
  Tester active(s.active, 0, kPassive), passive(s.passive, kPassive, 0);
  NetThreads threads(2);
  FdPair p = fd_pair(f);
  threads[0].post(
      [&](NetHandler& h) { active.start(*adopt(h, std::move(p.a), VcContext::kOutbound)); });
  threads[1].post([&](NetHandler& h) { passive.start(*adopt(h, std::move(p.b))); });
  REQUIRE(wait_for([&] { return active.done && passive.done; }));
  threads.stop();
  active.check();
  passive.check();
}

}  // namespace

TEST_CASE("PV-31 on a handler driven by turns: TCP and unix") {
  for (const Scenario& s : scenarios()) {
    for (Family f : {Family::kTcp4, Family::kTcp6, Family::kUnix})
      run_inline(s, f);
  }
}

TEST_CASE("PV-31 on net threads, each end on its own: TCP and unix") {
  for (const Scenario& s : scenarios()) {
    for (Family f : {Family::kTcp4, Family::kUnix})
      run_on_threads(s, f);
  }
}

}  // namespace netvc::test
