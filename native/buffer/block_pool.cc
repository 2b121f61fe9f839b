#include "buffer/block_pool.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#include "base/counter.h"
#include "base/system_memory.h"

namespace netvc {

namespace {

constexpr int kShell = kBlockIndexes;            // IOBufferData without memory of its own
constexpr size_t kCacheBytes = size_t{1} << 20;  // of payload that a thread keeps per size class
constexpr size_t kBlockCache = 512;

size_t cache_limit(int index) {
  return index == kShell ? 64 : std::clamp<size_t>(kCacheBytes / index_to_size(index), 2, 256);
}

template <class T>
struct FreeStack {
  T* top = nullptr;
  size_t count = 0;
};

}  // namespace

struct BlockPool::Impl {
  using DataStack = FreeStack<IOBufferData>;
  using BlockStack = FreeStack<IOBufferBlock>;

  static void push(DataStack& s, IOBufferData* d) {
    d->next_free_ = s.top;
    s.top = d;
    ++s.count;
  }
  static void push(BlockStack& s, IOBufferBlock* b) {
    b->next_.store(s.top, std::memory_order_relaxed);
    s.top = b;
    ++s.count;
  }
  static IOBufferData* pop(DataStack& s) {
    IOBufferData* d = s.top;
    if (d) s.top = d->next_free_, --s.count;
    return d;
  }
  static IOBufferBlock* pop(BlockStack& s) {
    IOBufferBlock* b = s.top;
    if (!b) return nullptr;
    s.top = b->next_.load(std::memory_order_relaxed);
    b->next_.store(nullptr, std::memory_order_relaxed);
    --s.count;
    return b;
  }
  template <class Stack>
  static void move(Stack& from, Stack& to, size_t n) {
    while (n-- > 0) {
      auto* t = pop(from);
      if (!t) return;
      push(to, t);
    }
  }

  struct Cache;

  // Process-wide; never destroyed, since threads may outlive static destruction.
  struct Reserve {
    std::mutex mutex;
    DataStack data[kBlockIndexes + 1];
    BlockStack blocks;
    std::vector<Cache*> caches;
    std::vector<Slab> slabs;
    std::map<const char*, int> slab_by_end;  // one past the slab's last byte -> position
    size_t bytes = 0;
    // What exited threads had counted.
    int64_t old_data = 0, old_blocks = 0, old_bytes = 0;
  };
  static Reserve& reserve() {
    static auto* r = new Reserve();
    return *r;
  }

  struct Cache {
    DataStack data[kBlockIndexes + 1];
    BlockStack blocks;
    Counter live_data, live_blocks, live_bytes;  // taken minus given, by this thread

    Cache() {
      Reserve& r = reserve();
      std::lock_guard<std::mutex> lock(r.mutex);
      r.caches.push_back(this);
    }
    ~Cache() {
      Reserve& r = reserve();
      std::lock_guard<std::mutex> lock(r.mutex);
      for (int i = 0; i <= kBlockIndexes; ++i)
        move(data[i], r.data[i], data[i].count);
      move(blocks, r.blocks, blocks.count);
      r.old_data += live_data.get();
      r.old_blocks += live_blocks.get();
      r.old_bytes += live_bytes.get();
      std::erase(r.caches, this);
    }
  };
  // A plain pointer, so that the usual call has no construction guard to look at.
  static thread_local Cache* t_cache;
  static Cache& cache() {
    Cache* c = t_cache;
    return c ? *c : make_cache();
  }
  static Cache& make_cache() {
    struct Owner {
      Cache cache;
      ~Owner() { t_cache = nullptr; }
    };
    static thread_local Owner owner;
    t_cache = &owner.cache;
    return owner.cache;
  }

  // Under the reserve's mutex: cuts a new slab into free pieces of one class, if there is memory.
  static void grow(Reserve& r, int index) {
    if (index == kShell) {
      IOBufferData* shells = make<IOBufferData>(64);
      for (int i = 0; shells && i < 64; ++i)
        push(r.data[kShell], shells + i);
      return;
    }
    const size_t piece = index_to_size(index);
    const size_t bytes =
        std::max(piece, std::clamp<size_t>(piece * 16, size_t{64} << 10, size_t{1} << 20));
    IOBufferData* next = make<IOBufferData>(bytes / piece);
    if (!next) return;
    auto* memory = static_cast<char*>(SystemMemory::map(bytes));
    if (!memory) {
      delete[] next;
      return;
    }
    r.slab_by_end[memory + bytes] = static_cast<int>(r.slabs.size());
    r.slabs.push_back({memory, bytes});
    r.bytes += bytes;
    for (size_t at = bytes; at >= piece; at -= piece) {
      IOBufferData* d = next++;
      d->data_ = memory + at - piece;
      d->size_ = piece;
      d->size_index_ = index;
      d->slab_ = static_cast<int>(r.slabs.size()) - 1;
      d->slab_offset_ = at - piece;
      push(r.data[index], d);
    }
  }
  // n of them, which are never given back.
  template <class T>
  static T* make(size_t n) {
    return SystemMemory::granted() ? new (std::nothrow) T[n] : nullptr;
  }

  static IOBufferData* refill_data(Cache& c, int index) {
    Reserve& r = reserve();
    std::lock_guard<std::mutex> lock(r.mutex);
    if (!r.data[index].top) grow(r, index);
    move(r.data[index], c.data[index], std::max<size_t>(1, cache_limit(index) / 2));
    return pop(c.data[index]);
  }
  static IOBufferBlock* refill_blocks(Cache& c) {
    Reserve& r = reserve();
    std::lock_guard<std::mutex> lock(r.mutex);
    if (!r.blocks.top) {
      IOBufferBlock* more = make<IOBufferBlock>(64);
      for (size_t i = 0; more && i < 64; ++i)
        push(r.blocks, more + i);
    }
    move(r.blocks, c.blocks, kBlockCache / 2);
    return pop(c.blocks);
  }
  template <class Stack>
  static void spill(Stack& mine, Stack& common, size_t limit) {
    std::lock_guard<std::mutex> lock(reserve().mutex);
    move(mine, common, limit / 2);
  }

  static int64_t sum(Counter Cache::*counter, int64_t Reserve::*old) {
    Reserve& r = reserve();
    std::lock_guard<std::mutex> lock(r.mutex);
    int64_t n = r.*old;
    for (Cache* c : r.caches)
      n += (c->*counter).get();
    return n;
  }
};

thread_local BlockPool::Impl::Cache* BlockPool::Impl::t_cache = nullptr;

IOBufferData* BlockPool::take_data(int size_index) {
  Impl::Cache& c = Impl::cache();
  const int list = size_index < 0 || size_index >= kShell ? kShell : size_index;
  IOBufferData* d = Impl::pop(c.data[list]);
  if (!d) d = Impl::refill_data(c, list);
  if (!d) return nullptr;
  if (list == kShell) {
    d->size_index_ = size_index;
    if (size_index < 0) {
      d->size_ = static_cast<size_t>(-static_cast<int64_t>(size_index));
      d->data_ = static_cast<char*>(SystemMemory::take(d->size_));
      if (!d->data_) {
        Impl::push(c.data[kShell], d);
        return nullptr;
      }
    }
  }
  c.live_data.add(1);
  if (size_index < kShell) c.live_bytes.add(static_cast<int64_t>(d->size_));
  return d;
}

void BlockPool::give_data(IOBufferData* d) {
  Impl::Cache& c = Impl::cache();
  const int index = d->size_index_;
  c.live_data.add(-1);
  if (index < kShell) c.live_bytes.add(-static_cast<int64_t>(d->size_));
  if (index < 0) std::free(d->data_);
  const int list = index < 0 || index >= kShell ? kShell : index;
  if (list == kShell) {
    d->data_ = nullptr;
    d->size_ = 0;
    d->context_ = nullptr;
  }
  Impl::push(c.data[list], d);
  if (c.data[list].count > cache_limit(list)) {
    Impl::spill(c.data[list], Impl::reserve().data[list], cache_limit(list));
  }
}

IOBufferBlock* BlockPool::take_block() {
  Impl::Cache& c = Impl::cache();
  IOBufferBlock* b = Impl::pop(c.blocks);
  if (!b) b = Impl::refill_blocks(c);
  if (b) c.live_blocks.add(1);
  return b;
}

void BlockPool::give_block(IOBufferBlock* b) {
  Impl::Cache& c = Impl::cache();
  c.live_blocks.add(-1);
  Impl::push(c.blocks, b);
  if (c.blocks.count > kBlockCache) Impl::spill(c.blocks, Impl::reserve().blocks, kBlockCache);
}

int64_t BlockPool::live_data() {
  return Impl::sum(&Impl::Cache::live_data, &Impl::Reserve::old_data);
}
int64_t BlockPool::live_blocks() {
  return Impl::sum(&Impl::Cache::live_blocks, &Impl::Reserve::old_blocks);
}
int64_t BlockPool::live_data_bytes() {
  return Impl::sum(&Impl::Cache::live_bytes, &Impl::Reserve::old_bytes);
}

size_t BlockPool::slab_bytes() {
  Impl::Reserve& r = Impl::reserve();
  std::lock_guard<std::mutex> lock(r.mutex);
  return r.bytes;
}

int BlockPool::find_slab(const void* p) {
  Impl::Reserve& r = Impl::reserve();
  std::lock_guard<std::mutex> lock(r.mutex);
  auto it = r.slab_by_end.upper_bound(static_cast<const char*>(p));
  if (it == r.slab_by_end.end() || p < r.slabs[it->second].memory) return -1;
  return it->second;
}

Slab BlockPool::slab(int position) {
  Impl::Reserve& r = Impl::reserve();
  std::lock_guard<std::mutex> lock(r.mutex);
  return r.slabs.at(static_cast<size_t>(position));
}

}  // namespace netvc
