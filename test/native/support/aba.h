// Creates and fails objects of a VersionedPool on one thread while others look up every id that
// was ever seen, most of them stale (INV-11).
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/versioned_pool.h"
#include "support/random.h"

namespace netvc::test {

struct AbaResult {
  std::atomic<int64_t> created{0}, destroyed{0};
  std::atomic<int64_t> hits{0}, misses{0};
  std::atomic<int64_t> wrong{0};  // a lookup reached another object, a dead one, or id 0 was given
};

struct AbaObject {
  static constexpr uint64_t kAlive = 0x600df00dcafe;
  AbaObject(VersionedId its_id, AbaResult* its_result) : id(its_id), result(its_result) {
    if (id == 0) ++result->wrong;
    ++result->created;
  }
  ~AbaObject() {
    if (mark != kAlive) ++result->wrong;  // destroyed twice
    mark = 0;
    ++result->destroyed;
  }
  VersionedId id;
  uint64_t mark = kAlive;
  AbaResult* result;
};

/// `places` objects live at once; the fewer, the more often a lookup meets a change.
inline void run_aba(int64_t lives, int lookers, int places, uint64_t seed, AbaResult& result) {
  static auto* pool = new VersionedPool<AbaObject>();
  const int64_t known = places * 4;
  std::vector<std::atomic<VersionedId>> ids(
      static_cast<size_t>(known));  // of objects that live or lived
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < lookers; ++t) {
    threads.emplace_back([&, t] {
      Random random(seed + static_cast<uint64_t>(t) + 1);
      int64_t hits = 0, misses = 0;
      VersionedPool<AbaObject>::Handle kept;
      while (!done.load(std::memory_order_relaxed)) {
        const VersionedId id =
            ids[static_cast<size_t>(random.below(known))].load(std::memory_order_relaxed);
        auto h = pool->address(id);
        if (!h) {
          ++misses;
          continue;
        }
        ++hits;
        if (h->id != id || h->mark != AbaObject::kAlive) ++result.wrong;
        if (random.one_in(32)) pool->fail(id);      // against the owner and the other lookers
        if (random.one_in(4)) kept = std::move(h);  // dies with a later one
        if (kept && kept->mark != AbaObject::kAlive) ++result.wrong;
      }
      result.hits += hits;
      result.misses += misses;
    });
  }
  Random random(seed);
  std::vector<VersionedId> living(static_cast<size_t>(places));
  for (int64_t i = 0; i < lives; ++i) {
    VersionedId& place = living[static_cast<size_t>(random.below(places))];
    if (place) {
      pool->fail(place);
      if (pool->fail(place)) ++result.wrong;  // once only
    }
    place = pool->create(&result)->id;
    ids[static_cast<size_t>(random.below(known))].store(place, std::memory_order_relaxed);
    if (random.one_in(8192)) ::sched_yield();
  }
  for (VersionedId id : living)
    pool->fail(id);
  done.store(true);
  for (auto& t : threads)
    t.join();
  if (pool->live() != 0) ++result.wrong;
}

}  // namespace netvc::test
