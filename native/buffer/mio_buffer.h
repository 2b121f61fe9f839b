// buffer/mio_buffer.h - public to the next layers.
//
// MIOBuffer: a chain of blocks with one writer and up to five readers (Apache Traffic Server's
// names and rules, BUF-1..BUF-12). Bytes once written never change. The slowest reader decides how
// much memory stays alive.
//
//      reader A           reader B                 writer
//         v                  v                       v
//   [...consumed|xxxxxxxx]->[xxxxxxxxxxxxxxxxxx]->[xxxxxx|  room  ]->[ room ]
//
// Owner: reference counted (Ref<MIOBuffer>). A VIO that uses it holds a reference, so whoever made
// it may forget it at any time. Readers live inside the buffer.
//
// Threads: a buffer is confined to one thread, or shared(): then the writer side belongs to one
// thread and every reader to one thread. They meet in two counters only:
//   produced_  stored by the writer with release after the bytes, loaded by readers with acquire
//   consumed_  stored by the reader with release after it left the blocks, loaded by the writer
//              with acquire
// While bytes are unread a reader's position (block and offset) is the reader's. A reader with
// nothing unread does not touch it, whatever is called, so then it is the writer's: from the load
// that saw consumed_ == produced_ until the next publish().
// Everything marked [writer] or [reader] runs on that side's thread; what needs both, marked
// [quiet], while neither works.
//
// Memory at rest: when all readers have consumed everything, release_if_drained() gives all blocks
// back, so that an idle connection holds none. The block that begins the next chain is handed to
// each reader by the writer (start_chain).
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

#include "buffer/block.h"

namespace netvc {

class MIOBuffer;

inline constexpr int64_t kNoLimit = INT64_MAX;

class IOBufferReader {
 public:
  MIOBuffer* mbuf() const { return mbuf_; }

  /// Bytes that can be consumed now, capped by size_limit(). Any thread (a snapshot). O(1).
  int64_t read_avail() const;
  bool is_read_avail_more_than(int64_t n) const { return read_avail() > n; }
  /// [reader] True when read_avail() >= the buffer's water mark (BUF-8).
  bool high_water() const;

  /// [reader] Contiguous bytes at the position; exhausted blocks are skipped (BUF-5).
  int64_t block_read_avail();
  const char* start();
  const char* end() { return start() + block_read_avail(); }
  /// [reader] The same bytes with their block; *n is 0 when there are none.
  const IOBufferBlock* contiguous(const char** from, int64_t* n);
  int block_count();
  /// [reader] The byte at offset i from the position; i < read_avail().
  char operator[](int64_t i);

  /// [reader] False and no change unless 0 <= n <= read_avail(). Lowers a finite size_limit.
  [[nodiscard]] bool consume(int64_t n);
  /// [reader] Copies and consumes min(n, read_avail()).
  int64_t read(void* to, int64_t n);
  /// [reader] Copies from offset without consuming; returns the bytes copied.
  int64_t memcpy(void* to, int64_t n, int64_t offset = 0);
  /// [reader] Offset from the position of the first c in [offset, offset + n), or -1.
  int64_t memchr(char c, int64_t n, int64_t offset = 0);
  /// [reader] Fills iov with up to max pieces of at most limit bytes; returns the piece count.
  int iovecs(iovec* iov, int max, int64_t limit, int64_t* bytes);

  int64_t size_limit() const { return size_limit_.load(std::memory_order_relaxed); }
  /// [reader] From 0 (a negative n counts as that) to kNoLimit.
  void set_size_limit(int64_t n) { size_limit_.store(n < 0 ? 0 : n, std::memory_order_relaxed); }
  /// [reader] Forgets everything unread.
  void reset() { (void)consume(read_avail()); }

  /// Total bytes consumed since the buffer was created (or the reader's starting offset).
  uint64_t consumed() const { return consumed_.load(std::memory_order_acquire); }

  /// Uses of this side by an I/O operation, see MIOBuffer::writer_lease.
  std::atomic<int> lease{0};

 private:
  friend class MIOBuffer;
  friend class MIOBufferAccessor;
  // Calls visit(block, offset in block, bytes) along the unread pieces until it returns false.
  template <class Visit>
  void for_each_piece(int64_t offset, int64_t n, Visit visit);
  int64_t unread() const;
  IOBufferBlock* block() const { return block_.load(std::memory_order_relaxed); }
  void settle();
  void set_block(IOBufferBlock* b);
  void lead_to(IOBufferBlock* b);
  void start_life(MIOBuffer* m, uint64_t position, int64_t limit);
  void end_life();
  // Goes up: 4n free, 4n + 1 active, 4n + 2 being deallocated. Release: what was done to the place
  // before; pairs with the acquire here.
  uint32_t life() const { return life_.load(std::memory_order_acquire); }
  bool is_free() const { return life() % 4 == 0; }

  MIOBuffer* mbuf_ = nullptr;
  std::atomic<IOBufferBlock*> block_{nullptr};  // counted; null at rest
  size_t start_offset_ = 0;                     // in block_
  std::atomic<int64_t> size_limit_{kNoLimit};   // looked at by the writer
  std::atomic<uint64_t> consumed_{0};
  std::atomic<uint32_t> life_{0};
};

class MIOBuffer : public RefCounted<MIOBuffer> {
 public:
  static constexpr int kMaxReaders = 5;

  /// With one empty block of 128 << size_index bytes at once (size_index < 0: -size_index bytes).
  static Ref<MIOBuffer> create(int size_index, int64_t water_mark = 0);
  /// Without a block until something is added.
  static Ref<MIOBuffer> create_empty(int size_index, int64_t water_mark = 0);
  ~MIOBuffer();

  std::atomic<int64_t> water_mark;  // bytes; any thread
  int size_index() const { return size_index_; }
  /// Call before a second thread sees the buffer.
  void set_shared() { shared_.store(true, std::memory_order_relaxed); }
  bool shared() const { return shared_.load(std::memory_order_relaxed); }

  /// [writer] Starts at byte 0 of a fresh buffer, else at the beginning of the current writer block
  /// (BUF-2). Null when five readers exist.
  IOBufferReader* alloc_reader();
  /// [quiet] Same position, same size_limit. Null when five readers exist.
  IOBufferReader* clone_reader(IOBufferReader* r);
  /// [reader], whatever the writer does. A reader that was deallocated finds nothing to read.
  void dealloc_reader(IOBufferReader* r);
  /// [quiet]
  void dealloc_all_readers();
  int reader_count() const;
  /// Places where readers are or were: reader_at(i) exists for i < places().
  int places() const { return places_.load(std::memory_order_acquire); }
  IOBufferReader* reader_at(int i) { return i == 0 ? &first_ : &more_[i - 1]; }
  const IOBufferReader* reader_at(int i) const { return i == 0 ? &first_ : &more_[i - 1]; }
  int index_of(const IOBufferReader* r) const {
    return r == &first_ ? 0 : static_cast<int>(r - more_.get()) + 1;
  }
  static bool is_active(const IOBufferReader& r) { return r.life() % 4 == 1; }
  /// Which of the readers that have had its place it is. Any thread.
  static uint32_t life_number(const IOBufferReader& r) { return r.life() / 4; }
  /// [quiet] Whoever knew r by its number does not know it any more; position and limit stay.
  void renew_reader(IOBufferReader* r) { r->life_.fetch_add(4, std::memory_order_acq_rel); }

  /// [writer] Copies everything, adding blocks as needed, whatever the water mark. Returns n, or
  /// 0 without memory for all of it.
  int64_t write(const void* from, int64_t n);
  /// [writer] Adds by reference up to n bytes of r from offset; r is not consumed (BUF-6). Fewer
  /// than there are when memory ends.
  int64_t write(IOBufferReader* r, int64_t n = kNoLimit, int64_t offset = 0);
  /// [writer] The same in bounded memory (PV-13). Pieces below kByReference are copied together. A
  /// larger one is shared if it is much of the block that it keeps alive, or as long as all such
  /// blocks together are no more than a few water marks; otherwise it is copied too. So what is
  /// unread keeps at most kKeptPerByte times its size, as many marks, and two blocks.
  int64_t add(IOBufferReader* r, int64_t n = kNoLimit, int64_t offset = 0);
  static constexpr int64_t kByReference = 128;
  static constexpr int64_t kKeptPerByte = 4;
  /// [writer] Takes a single block with at least one readable byte; false otherwise (BUF-11), also
  /// of none.
  [[nodiscard]] bool append_block(Ref<IOBufferBlock> b);
  /// [writer; the other buffer quiet] Moves all that r can read in another buffer here and leaves
  /// that buffer without writer. What its other readers have not read yet stays theirs.
  int64_t remove_append(IOBufferReader* r);

  /// [writer] Publishes n bytes that were put into the room; false and no change if n > room.
  [[nodiscard]] bool fill(int64_t n);
  /// [writer] Room of the chain; never adds a block.
  int64_t current_write_avail() const;
  /// [writer] Adds one block iff !high_water() && current_low_water(), then the room (BUF-9): none,
  /// where there should be some, means no memory.
  int64_t write_avail();
  int64_t block_write_avail() const {
    return writer_ ? static_cast<int64_t>(writer_->write_avail()) : 0;
  }
  IOBufferBlock* first_write_block() const { return writer_; }
  /// [writer] Room as iovecs, trimmed so that the sum never exceeds limit, skipping `skip` bytes.
  int room_iovecs(iovec* iov, int max, int64_t limit, int64_t skip = 0) const;
  /// [writer] False without memory.
  [[nodiscard]] bool add_block();

  /// [writer] read_avail of the slowest reader; without readers the writer block's bytes. Any
  /// thread: a snapshot.
  int64_t max_read_avail() const;
  /// [quiet] The reader with the least unread; null without readers.
  IOBufferReader* most_advanced_reader();
  bool high_water() const { return max_read_avail() > water_mark; }
  bool current_low_water() const { return current_write_avail() <= water_mark; }
  bool low_water() { return write_avail() <= water_mark; }
  bool has_writer_block() const { return writer_ != nullptr; }
  /// [writer] write_avail() > 0, without adding the block that it would add.
  bool has_room() const { return current_write_avail() > 0 || !high_water(); }
  /// [any] The same, as far as another thread can know it: by the counters.
  bool can_take_more() const { return shared() ? !high_water() : has_room(); }

  /// What "full" means is said by whoever fills the buffer, when it stops: there is room again when
  /// no more than `unread` bytes are unread. [writer]; is_full() on any thread that knows of it.
  void stop_above(int64_t unread) { stop_above_.store(unread, std::memory_order_relaxed); }
  bool is_full() const { return max_read_avail() > stop_above_.load(std::memory_order_relaxed); }

  /// [writer] Nothing unread: gives all blocks back. False while something is unread.
  bool release_if_drained();

  /// How many I/O operations write into the buffer, or are about to. While one does, on another
  /// thread, nobody else may use the writer side. Release when given back, acquire by who asks.
  std::atomic<int> writer_lease{0};

  /// Bytes ever added.
  uint64_t produced() const { return produced_.load(std::memory_order_acquire); }

 private:
  friend class IOBufferReader;
  MIOBuffer(int size_index, int64_t mark) : water_mark(mark), size_index_(size_index) {}
  IOBufferReader* free_reader();
  void set_writer(IOBufferBlock* b);
  bool is_drained(const IOBufferReader& r) const;
  void start_chain(Ref<IOBufferBlock> b);
  bool link(Ref<IOBufferBlock> b);
  bool make_room(int64_t n);
  bool may_keep(const IOBufferBlock& b, int64_t piece);
  int64_t most_unread() const;
  void publish(int64_t n) {
    in_writer_block_.store(writer_ ? static_cast<int64_t>(writer_->read_avail()) : 0,
                           std::memory_order_relaxed);
    // Pairs with the acquire load in IOBufferReader::read_avail.
    produced_.store(produced_.load(std::memory_order_relaxed) + static_cast<uint64_t>(n),
                    std::memory_order_release);
  }
  int size_index_;
  std::atomic<bool> shared_{false};
  IOBufferBlock* writer_ = nullptr;  // counted; the block that is appended to; emptier ones follow
  // The place first, then their number (release): a thread that sees a place finds it made.
  std::atomic<int> places_{0};
  std::atomic<uint64_t> produced_{0};
  std::atomic<int64_t> stop_above_{0};
  // [writer] What add() has shared small parts of: until which byte it was used, and its size.
  struct Kept {
    uint64_t until;
    const IOBufferData* data;
    int64_t bytes;
  };
  struct KeptBlocks {
    std::deque<Kept> list;
    int64_t bytes = 0;
  };
  std::unique_ptr<KeptBlocks> kept_;
  std::atomic<int64_t> in_writer_block_{0};  // relaxed: writer_->read_avail() for other threads
  IOBufferReader first_;
  std::unique_ptr<IOBufferReader[]> more_;  // made with the second reader; most buffers have one
};

/// What a VIO stores: "writer of mbuf", "reader r of mbuf", or nothing (BUF-12). Clearing it never
/// frees the user's objects. The reference keeps the memory while an I/O call uses it (BUF-13).
class MIOBufferAccessor {
 public:
  MIOBufferAccessor() = default;
  MIOBufferAccessor(const MIOBufferAccessor&) = delete;
  MIOBufferAccessor& operator=(const MIOBufferAccessor&) = delete;
  ~MIOBufferAccessor() { clear(); }

  void writer_for(Ref<MIOBuffer> m) {
    if (m) m->writer_lease.fetch_add(1, std::memory_order_relaxed);
    clear();
    mbuf_ = std::move(m);
  }
  void reader_for(IOBufferReader* r) {
    if (r && !MIOBuffer::is_active(*r)) r = nullptr;
    Ref<MIOBuffer> m(r ? r->mbuf() : nullptr);
    if (r) r->lease.fetch_add(1, std::memory_order_relaxed);
    clear();
    mbuf_ = std::move(m);
    reader_ = r;
    life_ = r ? r->life() : 0;
  }
  void clear() {
    if (mbuf_)
      (reader_ ? reader_->lease : mbuf_->writer_lease).fetch_sub(1, std::memory_order_release);
    mbuf_.reset();
    reader_ = nullptr;
  }
  /// The buffer, in both cases. Null once the reader that was meant is deallocated (BUF-3).
  MIOBuffer* writer() const { return emptied() ? nullptr : mbuf_.get(); }
  IOBufferReader* reader() const { return emptied() ? nullptr : reader_; }
  explicit operator bool() const { return writer() != nullptr; }

 private:
  // By the number of its life: another reader may have come into its place.
  bool emptied() const { return reader_ && reader_->life() != life_; }

  Ref<MIOBuffer> mbuf_;
  IOBufferReader* reader_ = nullptr;
  uint32_t life_ = 0;
};

}  // namespace netvc
