// Memory that is taken on one thread and given back on another.
#include "buffer/small_memory.h"

#include <doctest/doctest.h>

#include <sched.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "support/random.h"

namespace netvc::test {

TEST_CASE("SmallMemory: every size is there, aligned, and nobody else's") {
  std::vector<std::pair<unsigned char*, size_t>> all;
  for (size_t n = 0; n <= 2 * SmallMemory::kMax; n += 7) {
    auto* p = static_cast<unsigned char*>(SmallMemory::take(n));
    CHECK_EQ(reinterpret_cast<uintptr_t>(p) % alignof(std::max_align_t), 0);
    std::memset(p, static_cast<int>(n % 251), n);
    all.emplace_back(p, n);
  }
  for (auto [p, n] : all) {
    for (size_t i = 0; i < n; ++i)
      REQUIRE_EQ(p[i], n % 251);
    SmallMemory::give(p, n);
  }
}

TEST_CASE("SmallMemory: what one thread gives another one takes") {
  Random random(take_seed("small_memory_test"));
  constexpr uint32_t kMessages = 100'000;
  std::vector<std::atomic<uint32_t*>> there(kMessages);
  int wrong = 0;
  std::thread giver([&] {
    for (uint32_t i = 0; i < kMessages; ++i) {
      uint32_t* p;
      while (!(p = there[i].load(std::memory_order_acquire)))
        ::sched_yield();
      const uint32_t n = p[0];
      if (p[1] != i) ++wrong;
      SmallMemory::give(p, n);
    }
  });
  for (uint32_t i = 0; i < kMessages; ++i) {
    const auto n = static_cast<uint32_t>(8 + random.below(SmallMemory::kMax + 100));
    auto* p = static_cast<uint32_t*>(SmallMemory::take(n));
    p[0] = n;
    p[1] = i;
    there[i].store(p, std::memory_order_release);
  }
  giver.join();
  CHECK_EQ(wrong, 0);
}

#ifndef __SANITIZE_ADDRESS__
TEST_CASE("SmallMemory: a flood is not kept: the reserve has its limit") {
  constexpr int kPieces = 100'000;
  std::vector<void*> all;
  for (int i = 0; i < kPieces; ++i)
    all.push_back(SmallMemory::take(200));
  CHECK_EQ(std::set<void*>(all.begin(), all.end()).size(), kPieces);
  std::thread([&] {
    for (void* p : all)
      SmallMemory::give(p, 200);
  }).join();
  CHECK_LE(SmallMemory::reserved(), SmallMemory::kMax / SmallMemory::kStep << 20);
  CHECK_GT(SmallMemory::reserved(), 0);
}
#endif

}  // namespace netvc::test
