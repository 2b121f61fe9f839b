// Who may come in: places, addresses, and a rate, decided with the test's clock.
#include "net/admission.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

namespace netvc::test {

namespace {

using Verdict = Admission::Verdict;

constexpr Nanos kStart = 100 * kSecond;

Address ip(const char* text) {
  Address a;
  REQUIRE(Address::from_ip(text, 1, &a));
  return a;
}

struct Gate {
  explicit Gate(const AdmissionLimits& limits, Ref<Admission> parent = {})
      : at(new Admission(limits, std::move(parent))) {}

  Verdict come(const char* from = "127.0.0.1", Nanos now = kStart) {
    Admission::Ticket t;
    Verdict v = at->reserve(now, &t, &again);
    if (v == Verdict::kAdmitted) v = at->enter(ip(from), &t);
    if (v == Verdict::kAdmitted) inside.push_back(std::move(t));
    return v;
  }
  void go() { inside.pop_back(); }

  Ref<Admission> at;
  std::vector<Admission::Ticket> inside;
  Nanos again = 0;
};

}  // namespace

TEST_CASE("admission TH-1: places are taken and given back, exactly") {
  Gate g({.connections = 2});
  CHECK_EQ(g.come(), Verdict::kAdmitted);
  CHECK_EQ(g.come(), Verdict::kAdmitted);
  CHECK_EQ(g.come(), Verdict::kFull);
  CHECK_EQ(g.at->counts().open, 2);
  CHECK_EQ(g.at->counts().full, 0);
  g.at->somebody_waits(Verdict::kFull);
  g.at->somebody_waits(Verdict::kTooFast);
  CHECK_EQ(g.at->counts().full, 1);
  CHECK_EQ(g.at->counts().fast, 1);
  g.go();
  CHECK_EQ(g.come(), Verdict::kAdmitted);
  CHECK_EQ(g.come(), Verdict::kFull);
  Admission::Ticket moved = std::move(g.inside.back());
  g.go();
  CHECK_EQ(g.at->counts().open, 2);
  moved.give_back();
  moved.give_back();
  CHECK_EQ(g.at->counts().open, 1);
}

TEST_CASE("admission: a place that nobody took is given back, the rate too") {
  Gate g({.connections = 1, .per_second = 1});
  for (int i = 0; i < 10; ++i) {
    Admission::Ticket t;
    REQUIRE_EQ(g.at->reserve(kStart, &t, &g.again), Verdict::kAdmitted);
    g.at->cancel(&t);
    CHECK_EQ(g.at->counts().open, 0);
  }
  CHECK_EQ(g.come(), Verdict::kAdmitted);
}

TEST_CASE("admission: of one address, and of one /64") {
  Gate g({.per_address = 1});
  CHECK_EQ(g.come("10.0.0.1"), Verdict::kAdmitted);
  CHECK_EQ(g.come("10.0.0.2"), Verdict::kAdmitted);
  CHECK_EQ(g.come("10.0.0.2"), Verdict::kAddressFull);
  CHECK_EQ(g.come("::ffff:10.0.0.1"), Verdict::kAddressFull);  // the same one
  CHECK_EQ(g.come("2001:db8:1:1::1"), Verdict::kAdmitted);
  CHECK_EQ(g.come("2001:db8:1:1:ffff::2"), Verdict::kAddressFull);
  CHECK_EQ(g.come("2001:db8:1:2::1"), Verdict::kAdmitted);
  CHECK_EQ(g.come("::1"), Verdict::kAdmitted);
  CHECK_EQ(g.come("::1"), Verdict::kAddressFull);
  CHECK_EQ(g.at->counts().open, 5);
  CHECK_EQ(g.at->counts().refused, 4);
  g.inside.clear();
  CHECK_EQ(g.at->counts().open, 0);
  CHECK_EQ(g.come("10.0.0.2"), Verdict::kAdmitted);

  Admission::Ticket t;
  Address unix_peer;
  REQUIRE(Address::from_unix("@x", &unix_peer));
  for (int i = 0; i < 3; ++i) {
    REQUIRE_EQ(g.at->reserve(kStart, &t, &g.again), Verdict::kAdmitted);
    CHECK_EQ(g.at->enter(unix_peer, &t), Verdict::kAdmitted);
    t.give_back();
  }
}

TEST_CASE("admission: a rate - a tenth at once, then one after the other, for ever") {
  Gate g({.per_second = 100});
  int at_once = 0;
  while (g.come() == Verdict::kAdmitted)
    ++at_once;
  CHECK_EQ(at_once, 11);  // ten, and the one that is due
  CHECK_GT(g.again, kStart);
  CHECK_LE(g.again, kStart + kSecond / 100);

  int admitted = 0;
  Nanos now = kStart;
  while (now < kStart + 10 * kSecond) {
    if (g.come("127.0.0.1", now) == Verdict::kAdmitted) {
      ++admitted;
    } else {
      REQUIRE_GT(g.again, now);
      now = g.again;  // the time that was said is the time when it goes
      REQUIRE_EQ(g.come("127.0.0.1", now), Verdict::kAdmitted);
      ++admitted;
    }
  }
  CHECK_GE(admitted, 995);
  CHECK_LE(admitted, 1005);
  // A pause is not saved up beyond the tenth.
  int after = 0;
  while (g.come("127.0.0.1", now + 1000 * kSecond) == Verdict::kAdmitted)
    ++after;
  CHECK_EQ(after, 11);
}

TEST_CASE("admission: a parent has a say, and nothing is lost when it refuses") {
  Ref<Admission> parent(new Admission({.connections = 3}));
  Gate one({.connections = 2}, parent), two({.per_second = 1000}, parent);
  CHECK_EQ(one.come(), Verdict::kAdmitted);
  CHECK_EQ(one.come(), Verdict::kAdmitted);
  CHECK_EQ(one.come(), Verdict::kFull);
  CHECK_EQ(two.come(), Verdict::kAdmitted);
  for (int i = 0; i < 50; ++i)
    CHECK_EQ(two.come(), Verdict::kFull);
  CHECK_EQ(parent->counts().open, 3);
  CHECK_EQ(two.at->counts().open, 1);
  one.go();
  CHECK_EQ(two.come(), Verdict::kAdmitted);  // its rate was not used up
  one.inside.clear();
  two.inside.clear();
  CHECK_EQ(parent->counts().open, 0);
}

TEST_CASE("admission: limits that change hold from then on") {
  Gate g({.connections = 1});
  CHECK_EQ(g.come(), Verdict::kAdmitted);
  g.at->set_limits({.connections = 2});
  CHECK_EQ(g.come(), Verdict::kAdmitted);
  g.at->set_limits({.connections = 1});
  CHECK_EQ(g.come(), Verdict::kFull);
  g.go();
  CHECK_EQ(g.come(), Verdict::kFull);
}

TEST_CASE("admission TH-1: many threads come and go, and it is balanced") {
  Gate g({.connections = 5, .per_address = 3});
  std::vector<std::thread> threads;
  std::atomic<int> over{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      const Address from = ip(i % 2 ? "10.0.0.1" : "10.0.0.2");
      for (int n = 0; n < 20'000; ++n) {
        Admission::Ticket t;
        Nanos again = 0;
        if (g.at->reserve(kStart, &t, &again) != Verdict::kAdmitted) continue;
        (void)g.at->enter(from, &t);
        if (g.at->counts().open > 5) ++over;
      }
    });
  }
  for (std::thread& t : threads)
    t.join();
  CHECK_EQ(over.load(), 0);
  CHECK_EQ(g.at->counts().open, 0);
}

}  // namespace netvc::test
