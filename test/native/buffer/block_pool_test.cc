#include "buffer/block_pool.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <set>
#include <thread>
#include <vector>

#include "support/counting.h"

using namespace netvc;
using test::BlockCount;

TEST_CASE("F-001 memory that was given back is the next to be taken on the same thread") {
  BlockCount count;
  for (int index : {0, kIndexLarge, kIndexMax}) {
    CAPTURE(index);
    const char* first = IOBufferData::alloc(index)->data();
    CHECK(IOBufferData::alloc(index)->data() == first);
  }
}

TEST_CASE("F-001 pieces that are out at the same time do not overlap") {
  BlockCount count;
  for (int index : {0, 3, kIndexLarge, 11}) {
    CAPTURE(index);
    std::vector<Ref<IOBufferData>> all;
    for (int i = 0; i < 600; ++i)
      all.push_back(IOBufferData::alloc(index));
    std::sort(all.begin(), all.end(), [](auto& a, auto& b) { return a->data() < b->data(); });
    for (size_t i = 1; i < all.size(); ++i) {
      REQUIRE(all[i - 1]->data() + all[i - 1]->size() <= all[i]->data());
    }
    CHECK(count.data() == 600);
    CHECK(count.bytes() == static_cast<int64_t>(600 * index_to_size(index)));
  }
}

TEST_CASE("F-001 a thread that only frees feeds the thread that only allocates") {
  BlockCount count;
  // 64 MiB go from one thread to another; the slabs grow by a fraction of that.
  const size_t before = BlockPool::slab_bytes();
  for (int round = 0; round < 64; ++round) {
    std::vector<Ref<IOBufferBlock>> batch;
    for (int i = 0; i < 256; ++i)
      batch.push_back(IOBufferBlock::alloc(kIndexLarge));
    std::thread([b = std::move(batch)]() mutable { b.clear(); }).join();
  }
  CHECK(BlockPool::slab_bytes() - before <= 8u << 20);
}

TEST_CASE("F-001 one thread frees for ever what another allocates: its list spills") {
  BlockCount count;
  const size_t before = BlockPool::slab_bytes();
  std::vector<Ref<IOBufferBlock>> batch;
  std::atomic<int> turn{0};
  std::thread freer([&] {
    for (int round = 0; round < 64; ++round) {
      while (turn.load() != 1)
        std::this_thread::yield();
      batch.clear();
      turn.store(0);
    }
  });
  for (int round = 0; round < 64; ++round) {
    while (turn.load() != 0)
      std::this_thread::yield();
    for (int i = 0; i < 1024; ++i)
      batch.push_back(IOBufferBlock::alloc(kIndexLarge));
    turn.store(1);
  }
  freer.join();
  CHECK(BlockPool::slab_bytes() - before <= 16u << 20);  // of 256 MiB
}

TEST_CASE("INV-13 what a thread holds at its exit is counted, and so is what others give back") {
  BlockCount count;
  std::vector<Ref<IOBufferBlock>> kept;
  std::thread([&] {
    for (int i = 0; i < 10; ++i)
      kept.push_back(IOBufferBlock::alloc(0));
  }).join();
  CHECK(count.data() == 10);
  CHECK(count.blocks() == 10);
  CHECK(count.bytes() == 10 * 128);
  kept.clear();
  CHECK(count.data() == 0);
}

TEST_CASE("F-001 many threads take, write, pass on and give back") {
  BlockCount count;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&wrong, t] {
      std::vector<Ref<IOBufferData>> mine;
      for (int i = 0; i < 4000; ++i) {
        Ref<IOBufferData> d = IOBufferData::alloc(i % 6);
        std::memset(d->data(), t * 16 + i % 6, d->size());
        mine.push_back(std::move(d));
        if (mine.size() < 64) continue;
        for (auto& m : mine) {
          const char expected = static_cast<char>(t * 16 + m->size_index());
          if (m->data()[0] != expected || m->data()[m->size() - 1] != expected) ++wrong;
        }
        mine.clear();
      }
    });
  }
  for (auto& t : threads)
    t.join();
  CHECK(wrong.load() == 0);
}

TEST_CASE("slabs: find_slab names the slab that holds an address, and only then") {
  BlockCount count;
  Ref<IOBufferData> d = IOBufferData::alloc(kIndexLarge);
  const int at = BlockPool::find_slab(d->data());
  REQUIRE(at >= 0);
  const Slab slab = BlockPool::slab(at);
  CHECK(slab.memory <= d->data());
  CHECK(d->data() + d->size() <= slab.memory + slab.bytes);
  CHECK(BlockPool::find_slab(slab.memory) == at);
  CHECK(BlockPool::find_slab(slab.memory + slab.bytes - 1) == at);
  CHECK(BlockPool::find_slab(slab.memory + slab.bytes) != at);
  CHECK(BlockPool::find_slab(slab.memory - 1) != at);

  int on_stack = 0;
  CHECK(BlockPool::find_slab(&on_stack) == -1);
  CHECK(BlockPool::find_slab(nullptr) == -1);
  CHECK(BlockPool::find_slab(IOBufferData::alloc(-100)->data()) == -1);
}

TEST_CASE("slabs: all classes are found, and slab_bytes is their sum") {
  BlockCount count;
  std::vector<Ref<IOBufferData>> all;
  std::set<int> seen;
  for (int i = 0; i < kBlockIndexes; ++i) {
    all.push_back(IOBufferData::alloc(i));
    const int at = BlockPool::find_slab(all.back()->data());
    CHECK(at >= 0);
    seen.insert(at);
  }
  CHECK(seen.size() == kBlockIndexes);  // one size class per slab
  size_t sum = 0;
  for (int at : seen)
    sum += BlockPool::slab(at).bytes;
  CHECK(BlockPool::slab_bytes() >= sum);
}
