// buffer/small_memory.h - public to the next layers.
//
// Memory for small objects that one thread makes and another one ends, at full speed: messages on
// their way to a connection. An allocator of the system takes a lock of the maker's arena for each
// of them; here every thread keeps free pieces of its own and exchanges them with a process-wide
// reserve in batches, under a mutex, so a thread that only gives feeds the thread that only takes.
//
// Threads: any. At thread exit its pieces go to the reserve; what the reserve does not want goes
// back to the system. With AddressSanitizer all of it is plain malloc, so that it sees everything.
#pragma once

#include <cstddef>

namespace netvc {

class SmallMemory {
 public:
  /// At least n bytes, aligned for everything; null without memory. Sizes are rounded up to kStep;
  /// beyond kMax it is malloc.
  static void* take(size_t n);
  /// What take(n) gave.
  static void give(void* p, size_t n);

  static constexpr size_t kStep = 64;
  static constexpr size_t kMax = 1280;

  /// Bytes that lie in the reserve.
  static size_t reserved();

 private:
  struct Impl;
};

}  // namespace netvc
