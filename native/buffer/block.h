// buffer/block.h - public to the next layers.
//
// IOBufferData: reference-counted raw memory. IOBufferBlock: a view [start, end, buf_end) on it,
// linked into the chain of one buffer. Names and size indexes are Apache Traffic Server's (BUF-1):
//   index 0..14   128 << index bytes from slabs (128 B .. 2 MiB)
//   index < 0     -index bytes from malloc
//   constant      somebody else's memory with a release function, never written (BUF-13)
//
// Only one block may ever append to a piece of memory; a clone shares the data and has no room.
// The slowest reader decides how long memory stays: the last Ref returns it to the pool of the
// thread that dropped it (buffer/block_pool.h).
//
// Threads: a chain has one writing thread and reading threads. `end` and `next` are atomics since
// a reader may look at the block that is being appended to; what they publish is ordered by
// MIOBuffer's byte counter, so both are relaxed here.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/ref.h"

namespace netvc {

inline constexpr int kBlockIndexes = 15;
inline constexpr int kIndexSmall = 2;  // 512 B
inline constexpr int kIndexLarge = 5;  // 4 KiB
inline constexpr int kIndex32K = 8;
inline constexpr int kIndex64K = 9;
inline constexpr int kIndexMax = 14;  // 2 MiB

inline constexpr size_t index_to_size(int index) { return size_t{128} << index; }
/// The smallest index whose blocks hold n bytes (kIndexMax for more than 2 MiB).
inline constexpr int size_to_index(size_t n) {
  int i = 0;
  while (i < kIndexMax && index_to_size(i) < n)
    ++i;
  return i;
}

class IOBufferData : public RefCounted<IOBufferData> {
 public:
  using ReleaseFn = void (*)(void* context);

  /// Pool memory (0..14) or malloc (negative). Any thread; contents are undefined. Null without
  /// memory, as all that is made here.
  static Ref<IOBufferData> alloc(int size_index);
  /// Memory lent by the caller until the last block that shares it is gone: then release(context)
  /// runs once, on the thread that dropped the last reference; null: the memory is immortal. Where
  /// the answer is null, nothing was lent.
  static Ref<IOBufferData> constant(const void* memory, size_t n, ReleaseFn release, void* context);

  char* data() const { return data_; }
  size_t size() const { return size_; }
  int size_index() const { return size_index_; }
  bool is_constant() const { return size_index_ == kConstant; }
  /// Where pool memory lies: the slab's position in BlockPool's list, or -1, and the offset there.
  int slab() const { return slab_; }
  size_t slab_offset() const { return slab_offset_; }

  static void on_zero(IOBufferData* d);

 private:
  friend class BlockPool;
  static constexpr int kConstant = kBlockIndexes;

  IOBufferData() = default;

  char* data_ = nullptr;
  size_t size_ = 0;
  int size_index_ = 0;
  int slab_ = -1;
  size_t slab_offset_ = 0;
  IOBufferData* next_free_ = nullptr;
  ReleaseFn release_ = nullptr;
  void* context_ = nullptr;
};

class IOBufferBlock : public RefCounted<IOBufferBlock> {
 public:
  /// A block over all of data's room; constant data is readable at once and has no room. Null
  /// without memory, or without data: the same holds for what follows.
  static Ref<IOBufferBlock> make(Ref<IOBufferData> data);
  static Ref<IOBufferBlock> alloc(int size_index) { return make(IOBufferData::alloc(size_index)); }
  /// Shares n bytes from this block's start + offset; zero room (BUF-6).
  Ref<IOBufferBlock> clone(size_t offset, size_t n) const;

  /// Gives this block's room up, to a block of its own over the same data. [writer]
  Ref<IOBufferBlock> split_room();

  /// Gives up the first n of its readable bytes. Only for who has the block to itself.
  void drop_front(size_t n) {
    NETVC_ASSERT(n <= read_avail());
    start_ += n;
  }

  const char* start() const { return data_->data() + start_; }
  char* end() const { return data_->data() + end_.load(std::memory_order_relaxed); }
  size_t read_avail() const { return end_.load(std::memory_order_relaxed) - start_; }
  size_t write_avail() const { return buf_end_ - end_.load(std::memory_order_relaxed); }
  /// Publishes n bytes written at end(); n <= write_avail().
  void fill(size_t n) {
    NETVC_ASSERT(n <= write_avail());
    end_.store(end_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }

  IOBufferBlock* next() const { return next_.load(std::memory_order_relaxed); }
  /// Takes the reference; drops the chain that hung here before.
  void set_next(Ref<IOBufferBlock> block);
  const Ref<IOBufferData>& data() const { return data_; }

  /// Iterative along the chain: a million one-byte blocks do not overflow the stack (BUF-10).
  static void on_zero(IOBufferBlock* b);

 private:
  friend class BlockPool;
  IOBufferBlock() = default;

  Ref<IOBufferData> data_;
  size_t start_ = 0;
  std::atomic<size_t> end_{0};
  size_t buf_end_ = 0;
  std::atomic<IOBufferBlock*> next_{nullptr};
};

}  // namespace netvc
