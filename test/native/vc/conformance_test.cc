// PV-31 INV-21: the table of vc_conformance.h on sockets and on pairs.
#include <doctest/doctest.h>

#include "support/ends.h"
#include "support/leak_check.h"
#include "support/vc_conformance.h"

namespace netvc::test {

namespace {

constexpr uint64_t kPassive = 77'000'000;

void run_inline(const Scenario& s, const Means& m) {
  CAPTURE(std::string(s.name));
  CAPTURE(name_of(m));
  LeakCheck leaks;
  Tester active(s.active, 0, kPassive), passive(s.passive, kPassive, 0);
  Loop loop;
  connect_ends(
      m, loop.h, loop.h, [&](NetVConnection& vc) { active.start(vc); },
      [&](NetVConnection& vc) { passive.start(vc); });
  REQUIRE(loop.until([&] { return active.done && passive.done; }));
  active.check(m.pair);
  passive.check(m.pair);
  loop.settle();
  CHECK_EQ(loop.h.open_count(), 0);
}

void run_on_threads(const Scenario& s, const Means& m) {
  CAPTURE(std::string(s.name));
  CAPTURE(name_of(m));
  LeakCheck leaks;
  Tester active(s.active, 0, kPassive), passive(s.passive, kPassive, 0);
  NetThreads threads(2);
  connect_ends(
      m, threads[0], threads[1], [&](NetVConnection& vc) { active.start(vc); },
      [&](NetVConnection& vc) { passive.start(vc); });
  REQUIRE(wait_for([&] { return active.done && passive.done; }));
  threads.stop();
  active.check(m.pair);
  passive.check(m.pair);
}

}  // namespace

TEST_CASE("PV-31 F-116 on a handler driven by turns: TCP, unix and pair") {
  for (const Scenario& s : scenarios()) {
    for (const Means& m : kEveryMeans)
      if (m.pair || !s.only_pairs) run_inline(s, m);
  }
}

TEST_CASE("PV-31 F-116 on net threads, each end on its own: TCP, unix and pair") {
  for (const Scenario& s : scenarios()) {
    for (const Means& m : kEveryMeans)
      if (m.pair || !s.only_pairs) run_on_threads(s, m);
  }
}

}  // namespace netvc::test
