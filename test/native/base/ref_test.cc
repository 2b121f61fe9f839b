#include "base/ref.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

using namespace netvc;

namespace {

struct Plain : RefCounted<Plain> {
  explicit Plain(int* count) : deaths(count) {}
  ~Plain() { ++*deaths; }
  int* deaths;
};

// Goes somewhere else than to delete.
struct Pooled : RefCounted<Pooled> {
  int returned = 0;
  static void on_zero(Pooled* p) { ++p->returned; }
};

struct Shared : RefCounted<Shared> {
  int written = 0;
  std::atomic<int>* deaths = nullptr;
  std::atomic<int>* sum = nullptr;
  static void on_zero(Shared* s) {
    ++*s->deaths;
    *s->sum += s->written;  // not atomic: what every thread wrote before its drop must be visible
    delete s;
  }
};

}  // namespace

TEST_CASE("Ref deletes with the last reference, once") {
  int deaths = 0;
  Ref<Plain> a(new Plain(&deaths));
  CHECK(a->ref_count() == 1);
  Ref<Plain> b = a;
  CHECK(a->ref_count() == 2);
  CHECK(a == b);
  a.reset();
  CHECK_FALSE(a);
  CHECK(deaths == 0);
  a.reset();
  b = nullptr;
  CHECK(deaths == 1);
}

TEST_CASE("Ref moves without counting") {
  int deaths = 0;
  Ref<Plain> a(new Plain(&deaths));
  Ref<Plain> b = std::move(a);
  CHECK_FALSE(a);
  CHECK(b->ref_count() == 1);
  a = std::move(b);
  CHECK(a->ref_count() == 1);
  CHECK(deaths == 0);
}

TEST_CASE("Ref assignment drops the old object, and survives assigning to itself") {
  int deaths = 0, others = 0;
  Ref<Plain> a(new Plain(&deaths));
  Ref<Plain>& same = a;
  a = same;
  CHECK(deaths == 0);
  CHECK(a->ref_count() == 1);
  a = Ref<Plain>(new Plain(&others));
  CHECK(deaths == 1);
  CHECK(others == 0);
}

TEST_CASE("Ref detach and adopt hand a count over") {
  int deaths = 0;
  Ref<Plain> a(new Plain(&deaths));
  Plain* raw = a.detach();
  CHECK_FALSE(a);
  CHECK(raw->ref_count() == 1);
  a = Ref<Plain>::adopt(raw);
  CHECK(raw->ref_count() == 1);
  Ref<Plain>::drop(a.detach());
  CHECK(deaths == 1);
}

TEST_CASE("Ref calls on_zero where the type has one") {
  Pooled p;
  {
    Ref<Pooled> a(&p);
    Ref<Pooled> b = a;
  }
  CHECK(p.returned == 1);
  { Ref<Pooled> again(&p); }
  CHECK(p.returned == 2);
}

TEST_CASE("Ref from many threads: one death, and it sees every write") {
  std::atomic<int> deaths{0}, sum{0};
  constexpr int kRounds = 2000, kThreads = 4;
  std::vector<Ref<Shared>> objects;
  for (int i = 0; i < kRounds; ++i) {
    objects.emplace_back(new Shared);
    objects.back()->deaths = &deaths;
    objects.back()->sum = &sum;
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([copy = objects, t]() mutable {
      for (size_t i = 0; i < copy.size(); ++i) {
        Ref<Shared> another = copy[i];
        if (static_cast<int>(i) % kThreads == t) another->written = 1;  // one writer each
        copy[i].reset();
      }
    });
  }
  objects.clear();
  for (auto& t : threads)
    t.join();
  CHECK(deaths.load() == kRounds);
  CHECK(sum.load() == kRounds);
}
