// base/system_memory.h - public to every layer.
//
// Memory that grows by what a peer or a user does. That there is none is an answer here, null, and
// becomes ENOMEM for whoever asked: a write(), a read, an accept. It is not the end of the process,
// as with `new`, which stays for what grows by a few bytes each time.
//
// Owner: who asks; malloc's memory goes back by free(), pages stay mapped (block_pool.h).
// Threads: any. Pools ask for much at once, so this is no place to be fast. The switch of the tests
// is relaxed and has no partner: it publishes nothing, and is thrown where nobody else asks.
#pragma once

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace netvc {

class SystemMemory {
 public:
  static void* take(size_t n) { return granted() ? std::malloc(n) : nullptr; }
  /// Whole pages, zeroed when they are first touched.
  static void* map(size_t n) {
    if (!granted()) return nullptr;
    void* m = ::mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return m == MAP_FAILED ? nullptr : m;
  }

  /// For tests: from now on the system has no memory, on any thread, or has it again.
  static void set_exhausted(bool on) { exhausted_.store(on, std::memory_order_relaxed); }
  static bool granted() { return !exhausted_.load(std::memory_order_relaxed); }

 private:
  static inline std::atomic<bool> exhausted_{false};
};

}  // namespace netvc
