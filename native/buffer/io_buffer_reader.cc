// The reader half of buffer/mio_buffer.h.
#include <algorithm>
#include <cstring>
#include <utility>

#include "buffer/mio_buffer.h"

namespace netvc {

int64_t IOBufferReader::unread() const {
  // consumed_ first: on a third thread the difference would else be negative now and then.
  const uint64_t consumed = consumed_.load(std::memory_order_acquire);
  // acquire: pairs with MIOBuffer::publish; makes the bytes, `end` and `next` of blocks visible,
  // and the position, if the writer has changed it.
  return static_cast<int64_t>(mbuf_->produced_.load(std::memory_order_acquire) - consumed);
}

int64_t IOBufferReader::read_avail() const { return std::min(unread(), size_limit()); }

bool IOBufferReader::high_water() const { return read_avail() >= mbuf_->water_mark; }

// For the side that owns the position.
void IOBufferReader::set_block(IOBufferBlock* b) {
  if (b) b->add_ref();
  start_offset_ = 0;
  IOBufferBlock* old = block();
  block_.store(b, std::memory_order_relaxed);
  if (old) Ref<IOBufferBlock>::drop(old);
}

// [writer], of a reader with nothing unread. Its own thread may end its life right now: the two
// exchanges decide who drops a block, and if end_life's came first, the one here sees that.
void IOBufferReader::lead_to(IOBufferBlock* b) {
  if (b == block()) return;
  start_offset_ = 0;
  if (b) b->add_ref();
  if (!mbuf_->shared()) {
    IOBufferBlock* before = block();
    block_.store(b, std::memory_order_relaxed);
    if (before) Ref<IOBufferBlock>::drop(before);
    return;
  }
  IOBufferBlock* old = block_.exchange(b, std::memory_order_acq_rel);
  if (old) Ref<IOBufferBlock>::drop(old);
  if (b && !MIOBuffer::is_active(*this)) lead_to(nullptr);
}

// Leaves exhausted blocks. Only while bytes are unread: then the chain leads to them.
void IOBufferReader::settle() {
  while (start_offset_ >= block()->read_avail())
    set_block(block()->next());
}

void IOBufferReader::start_life(MIOBuffer* m, uint64_t position, int64_t limit) {
  mbuf_ = m;
  set_size_limit(limit);
  consumed_.store(position, std::memory_order_relaxed);
  life_.store(life_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

void IOBufferReader::end_life() {
  const uint32_t life = life_.load(std::memory_order_relaxed);
  life_.store(life + 1, std::memory_order_release);
  set_size_limit(0);  // whoever still has the pointer finds nothing to read
  IOBufferBlock* old = block_.exchange(nullptr, std::memory_order_acq_rel);
  if (old) Ref<IOBufferBlock>::drop(old);
  life_.store(life + 3, std::memory_order_release);
}

template <class Visit>
void IOBufferReader::for_each_piece(int64_t offset, int64_t n, Visit visit) {
  if (offset < 0) return;
  n = std::min(n, read_avail() - offset);
  if (n <= 0) return;
  settle();
  size_t skip = start_offset_ + static_cast<size_t>(offset);
  for (IOBufferBlock* b = block(); n > 0; b = b->next()) {
    const size_t here = b->read_avail();
    if (skip >= here) {
      skip -= here;
      continue;
    }
    const int64_t take = std::min<int64_t>(static_cast<int64_t>(here - skip), n);
    if (!visit(*b, skip, take)) break;
    n -= take;
    skip = 0;
  }
}

int64_t IOBufferReader::block_read_avail() {
  int64_t avail = 0;
  for_each_piece(0, kNoLimit, [&](IOBufferBlock&, size_t, int64_t n) {
    avail = n;
    return false;
  });
  return avail;
}

const char* IOBufferReader::start() {
  const char* p = nullptr;
  for_each_piece(0, 1, [&](IOBufferBlock& b, size_t at, int64_t) {
    p = b.start() + at;
    return false;
  });
  return p;
}

const IOBufferBlock* IOBufferReader::contiguous(const char** from, int64_t* n) {
  const IOBufferBlock* found = nullptr;
  *n = 0;
  for_each_piece(0, kNoLimit, [&](IOBufferBlock& b, size_t at, int64_t piece) {
    found = &b;
    *from = b.start() + at;
    *n = piece;
    return false;
  });
  return found;
}

int IOBufferReader::block_count() {
  int count = 0;
  for_each_piece(0, kNoLimit, [&](IOBufferBlock&, size_t, int64_t) { return ++count, true; });
  return count;
}

char IOBufferReader::operator[](int64_t i) {
  char c = 0;
  NETVC_CHECK(memcpy(&c, 1, i) == 1);
  return c;
}

bool IOBufferReader::consume(int64_t n) {
  if (n < 0 || n > read_avail()) return false;
  if (n == 0) return true;
  for (int64_t left = n; left > 0;) {
    settle();
    const auto here = static_cast<int64_t>(block()->read_avail() - start_offset_);
    const int64_t take = std::min(here, left);
    start_offset_ += static_cast<size_t>(take);
    left -= take;
  }
  if (unread() > n) settle();  // leave what is exhausted as soon as there is a next
  if (size_limit() != kNoLimit) set_size_limit(size_limit() - n);
  // Pairs with the acquire loads in MIOBuffer: the position is left before the writer knows.
  consumed_.store(consumed_.load(std::memory_order_relaxed) + static_cast<uint64_t>(n),
                  std::memory_order_release);
  return true;
}

int64_t IOBufferReader::memcpy(void* to, int64_t n, int64_t offset) {
  int64_t copied = 0;
  for_each_piece(offset, n, [&](IOBufferBlock& b, size_t at, int64_t piece) {
    std::memcpy(static_cast<char*>(to) + copied, b.start() + at, static_cast<size_t>(piece));
    copied += piece;
    return true;
  });
  return copied;
}

int64_t IOBufferReader::read(void* to, int64_t n) {
  const int64_t copied = memcpy(to, n);
  NETVC_CHECK(consume(copied));
  return copied;
}

int64_t IOBufferReader::memchr(char c, int64_t n, int64_t offset) {
  int64_t found = -1;
  int64_t seen = offset;
  for_each_piece(offset, n, [&](IOBufferBlock& b, size_t at, int64_t piece) {
    const char* from = b.start() + at;
    if (const void* hit = std::memchr(from, c, static_cast<size_t>(piece))) {
      found = seen + (static_cast<const char*>(hit) - from);
      return false;
    }
    seen += piece;
    return true;
  });
  return found;
}

int IOBufferReader::iovecs(iovec* iov, int max, int64_t limit, int64_t* bytes) {
  int count = 0;
  int64_t sum = 0;
  for_each_piece(0, max > 0 ? limit : 0, [&](IOBufferBlock& b, size_t at, int64_t n) {
    iov[count++] = {const_cast<char*>(b.start() + at), static_cast<size_t>(n)};
    sum += n;
    return count < max;
  });
  *bytes = sum;
  return count;
}

// MIOBuffer::write by reference walks a reader's pieces, so it lives on this side.
int64_t MIOBuffer::write(IOBufferReader* r, int64_t n, int64_t offset) {
  int64_t added = 0;
  // r may read this very buffer: what is added here is beyond the end that was set before.
  r->for_each_piece(offset, n, [&](IOBufferBlock& b, size_t at, int64_t piece) {
    if (!append_block(b.clone(at, static_cast<size_t>(piece)))) return false;
    added += piece;
    return true;
  });
  return added;
}

int64_t MIOBuffer::add(IOBufferReader* r, int64_t n, int64_t offset) {
  int64_t added = 0;
  r->for_each_piece(offset, n, [&](IOBufferBlock& b, size_t at, int64_t piece) {
    const bool done = may_keep(b, piece) ? link(b.clone(at, static_cast<size_t>(piece)))
                                         : write(b.start() + at, piece) == piece;
    if (done) added += piece;
    return done;
  });
  return added;
}

}  // namespace netvc
