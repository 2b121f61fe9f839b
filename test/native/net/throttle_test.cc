// How many sockets may be open (TH-*, INV-19).
#include "net/throttle.h"

#include <sys/resource.h>

#include <doctest/doctest.h>

#include "base/fd.h"
#include "net/connection.h"

namespace netvc::test {

namespace {

constexpr int64_t kFds = 1024;
constexpr Nanos kNow = 1000 * kSecond;

void open(Throttle& t, int n) {
  for (int i = 0; i < n; ++i)
    t.opened();
}

}  // namespace

TEST_CASE("TH-2 INV-19: the limit is what descriptors allow, or less if one says so; 0 is none") {
  Throttle t(kFds);
  CHECK_EQ(t.limit(kNow), kFds - 192);
  t.configure(100);
  CHECK_EQ(t.limit(kNow), 100);
  t.configure(1'000'000);
  CHECK_EQ(t.limit(kNow), kFds - 192);
  t.configure(0);
  CHECK_EQ(t.limit(kNow), 0);
  open(t, 5000);
  CHECK_FALSE(t.connects(kNow));
  CHECK_FALSE(t.accepts(kNow));
  CHECK_FALSE(t.check_fd(static_cast<int>(kFds) - 1, kNow));
}

TEST_CASE("TH-2: of a small limit a quarter is for sockets") {
  CHECK_EQ(Throttle(64).limit(kNow), 16);
  CHECK_EQ(Throttle(256).limit(kNow), 64);
  CHECK_EQ(Throttle(257).limit(kNow), 65);
  CHECK_EQ(Throttle(2).limit(kNow), 1);
}

TEST_CASE("TH-2: the process's own limit, also when it changes") {
  rlimit r{};
  REQUIRE_EQ(::getrlimit(RLIMIT_NOFILE, &r), 0);
  Throttle t;
  CHECK_EQ(t.limit(kNow), static_cast<int64_t>(r.rlim_cur) - 192);
  rlimit lower = r;
  lower.rlim_cur = 512;
  REQUIRE_EQ(::setrlimit(RLIMIT_NOFILE, &lower), 0);
  CHECK_EQ(t.limit(kNow + 2 * kSecond), 512 - 192);
  ::setrlimit(RLIMIT_NOFILE, &r);
}

TEST_CASE("TH-2 INV-19: accepts stop a tenth before connects") {
  Throttle t(kFds);
  t.configure(100);
  open(t, 90);
  CHECK_FALSE(t.accepts(kNow));  // 99
  open(t, 1);
  CHECK(t.accepts(kNow));  // 100.1
  CHECK_FALSE(t.connects(kNow));
  open(t, 8);
  CHECK_FALSE(t.connects(kNow));  // 99 open: the hundredth may come
  open(t, 1);
  CHECK(t.connects(kNow));
  t.closed();
  CHECK_FALSE(t.connects(kNow));
}

TEST_CASE("TH-3 F-070: an emergency lasts over squared seconds, and is extended, never shortened") {
  Throttle t(kFds);
  const int edge = static_cast<int>(kFds) - 16;
  CHECK_FALSE(t.check_fd(edge, kNow));
  CHECK_FALSE(t.emergency(kNow));
  CHECK_FALSE(t.check_fd(edge + 3, kNow));
  CHECK(t.emergency(kNow + 9 * kSecond - 1));
  CHECK_FALSE(t.emergency(kNow + 9 * kSecond));
  CHECK(t.accepts(kNow));
  CHECK(t.connects(kNow));
  t.check_fd(edge + 1, kNow);
  CHECK(t.emergency(kNow + 9 * kSecond - 1));
  t.check_fd(edge + 4, kNow);
  CHECK(t.emergency(kNow + 16 * kSecond - 1));
}

TEST_CASE("TH-3 F-070: the last six descriptors are not given out") {
  Throttle t(kFds);
  const int last = static_cast<int>(kFds) - 6;
  CHECK_FALSE(t.check_fd(last, kNow));
  CHECK(t.check_fd(last + 1, kNow));
}

TEST_CASE("TH-1 INV-19 F-068: a socket counts from when it is owned until it is not") {
  const int64_t before = Throttle::process().open();
  const auto more = [before] { return Throttle::process().open() - before; };
  Connection a;
  REQUIRE_EQ(a.open(Address::any(AF_INET, 1), {}), 0);
  CHECK_EQ(more(), 1);
  Connection b(std::move(a));
  CHECK_EQ(more(), 1);
  UniqueFd released(b.release());
  CHECK_EQ(more(), 0);
  Connection c;
  REQUIRE_EQ(c.adopt(released.release()), 0);
  CHECK_EQ(more(), 1);
  c.close();
  CHECK_EQ(more(), 0);
  c.close();
  CHECK_EQ(more(), 0);
  {
    Connection d;
    REQUIRE_EQ(d.open(Address::any(AF_INET, 1), {}), 0);
    b = std::move(d);
  }
  CHECK_EQ(more(), 1);
  b = Connection();
  CHECK_EQ(more(), 0);
  Connection failed;
  CHECK_NE(failed.adopt(-1), 0);
  CHECK_EQ(more(), 0);
}

}  // namespace netvc::test
