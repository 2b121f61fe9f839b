// buffer/block_pool.h - public to the next layers.
//
// Where IOBufferData and IOBufferBlock come from. Memory is cut from large slabs, one size class
// per slab; every thread keeps small last-in-first-out free lists (a small hot pool beats a large
// cold one) and exchanges batches with a process-wide reserve under a mutex when a list runs
// empty or full, so a thread that only frees feeds the thread that only allocates.
//
// Threads: everything here may be called on any thread and works on that thread's lists. At thread
// exit the lists go back to the reserve. Slabs stay mapped for the life of the process; they are
// listed so that the binding can show their memory to JavaScript (borrowed views).
#pragma once

#include <cstddef>
#include <cstdint>

#include "buffer/block.h"

namespace netvc {

struct Slab {
  char* memory;
  size_t bytes;
};

class BlockPool {
 public:
  /// Null without memory.
  static IOBufferData* take_data(int size_index);
  static void give_data(IOBufferData* d);
  /// Null without memory.
  static IOBufferBlock* take_block();
  static void give_block(IOBufferBlock* b);

  /// Objects that are out (not in any free list), over all threads. Exact when no thread is
  /// between taking and giving; tests compare it before and after (INV-13).
  static int64_t live_data();
  static int64_t live_blocks();
  static int64_t live_data_bytes();

  static size_t slab_bytes();
  /// The slab that holds p: its position in the process-wide list, or -1.
  static int find_slab(const void* p);
  static Slab slab(int position);

 private:
  struct Impl;
};

}  // namespace netvc
