#include "buffer/small_memory.h"

#include <cstdlib>
#include <mutex>
#include <utility>

#include "base/system_memory.h"

namespace netvc {

namespace {

constexpr size_t kClasses = SmallMemory::kMax / SmallMemory::kStep;
constexpr size_t kBatchBytes = size_t{8} << 10;    // a thread keeps two batches of a class at most
constexpr size_t kReserveBytes = size_t{1} << 20;  // of one class

constexpr size_t class_of(size_t n) { return n == 0 ? 0 : (n - 1) / SmallMemory::kStep; }
constexpr size_t bytes_of(size_t c) { return (c + 1) * SmallMemory::kStep; }
constexpr size_t batch_of(size_t c) { return kBatchBytes / bytes_of(c); }

struct Piece {
  Piece* next;
  Piece* next_batch;  // of the first one of a batch in the reserve
};

struct Stack {
  Piece* top = nullptr;
  size_t count = 0;

  void push(Piece* p) {
    p->next = top;
    top = p;
    ++count;
  }
  Piece* pop() {
    Piece* p = top;
    if (p) top = p->next, --count;
    return p;
  }
};

}  // namespace

struct SmallMemory::Impl {
  // Two stacks: `full` is empty or a whole batch, so that a batch moves by its pointer, and a
  // thread that takes and gives in turn does not meet the reserve.
  struct Class {
    Stack now;
    Piece* full = nullptr;
  };

  // Process-wide; never destroyed, since threads may outlive static destruction.
  struct Reserve {
    std::mutex mutex;
    Piece* batches[kClasses] = {};
    size_t count[kClasses] = {};
  };
  static Reserve& reserve() {
    static auto* r = new Reserve();
    return *r;
  }

  struct Cache {
    Class classes[kClasses];

    ~Cache() {
      for (size_t c = 0; c < kClasses; ++c) {
        if (Piece* batch = std::exchange(classes[c].full, nullptr)) give_batch(c, batch);
        free_all(std::exchange(classes[c].now.top, nullptr));
      }
    }
  };

  static void free_all(Piece* p) {
    while (p)
      std::free(std::exchange(p, p->next));
  }

  static void give_batch(size_t c, Piece* batch) {
    Reserve& r = reserve();
    {
      std::lock_guard<std::mutex> lock(r.mutex);
      if ((r.count[c] + 1) * kBatchBytes <= kReserveBytes) {
        batch->next_batch = std::exchange(r.batches[c], batch);
        ++r.count[c];
        return;
      }
    }
    free_all(batch);
  }
  static Piece* take_batch(size_t c) {
    Reserve& r = reserve();
    std::lock_guard<std::mutex> lock(r.mutex);
    Piece* batch = r.batches[c];
    if (batch) r.batches[c] = batch->next_batch, --r.count[c];
    return batch;
  }

  // Null once the thread's cache has gone: then it is the system's memory again.
  static Cache* cache() {
    struct Owner {
      Cache cache;
      ~Owner() { t_cache = nullptr, t_gone = true; }
    };
    if (t_cache || t_gone) return t_cache;
    static thread_local Owner owner;
    return t_cache = &owner.cache;
  }
  static thread_local Cache* t_cache;
  static thread_local bool t_gone;
};

thread_local SmallMemory::Impl::Cache* SmallMemory::Impl::t_cache = nullptr;
thread_local bool SmallMemory::Impl::t_gone = false;

#ifdef __SANITIZE_ADDRESS__

void* SmallMemory::take(size_t n) { return SystemMemory::take(n); }
void SmallMemory::give(void* p, size_t) { std::free(p); }

#else

void* SmallMemory::take(size_t n) {
  if (n > kMax) return SystemMemory::take(n);
  const size_t c = class_of(n);
  Impl::Cache* cache = Impl::cache();
  if (!cache) return SystemMemory::take(bytes_of(c));
  Impl::Class& mine = cache->classes[c];
  if (Piece* p = mine.now.pop()) return p;
  Piece* batch = mine.full ? std::exchange(mine.full, nullptr) : Impl::take_batch(c);
  if (!batch) return SystemMemory::take(bytes_of(c));
  mine.now = {batch->next, batch_of(c) - 1};
  return batch;
}

void SmallMemory::give(void* p, size_t n) {
  if (n > kMax) return std::free(p);
  const size_t c = class_of(n);
  Impl::Cache* cache = Impl::cache();
  if (!cache) return std::free(p);
  Impl::Class& mine = cache->classes[c];
  mine.now.push(static_cast<Piece*>(p));
  if (mine.now.count < batch_of(c)) return;
  Piece* batch = std::exchange(mine.full, std::exchange(mine.now, {}).top);
  if (batch) Impl::give_batch(c, batch);
}

#endif

size_t SmallMemory::reserved() {
  Impl::Reserve& r = Impl::reserve();
  std::lock_guard<std::mutex> lock(r.mutex);
  size_t bytes = 0;
  for (size_t c = 0; c < kClasses; ++c)
    bytes += r.count[c] * batch_of(c) * bytes_of(c);
  return bytes;
}

}  // namespace netvc
