#include "buffer/mio_buffer.h"

#include <algorithm>
#include <cstring>

namespace netvc {

Ref<MIOBuffer> MIOBuffer::create_empty(int size_index, int64_t mark) {
  return Ref<MIOBuffer>(new MIOBuffer(size_index, mark));
}

Ref<MIOBuffer> MIOBuffer::create(int size_index, int64_t mark) {
  Ref<MIOBuffer> m = create_empty(size_index, mark);
  m->add_block();
  return m;
}

MIOBuffer::~MIOBuffer() {
  dealloc_all_readers();
  set_writer(nullptr);
}

// --- readers ------------------------------------------------------------------------------------

IOBufferReader* MIOBuffer::free_reader() {
  for (int i = 0; i < places_; ++i) {
    if (reader_at(i)->is_free()) return reader_at(i);
  }
  if (places_ == kMaxReaders) return nullptr;
  if (places_ == 1) more_.reset(new IOBufferReader[kMaxReaders - 1]);
  return reader_at(places_++);
}

IOBufferReader* MIOBuffer::alloc_reader() {
  IOBufferReader* r = free_reader();
  if (!r) return nullptr;
  const int64_t in_writer_block = writer_ ? static_cast<int64_t>(writer_->read_avail()) : 0;
  r->set_block(writer_);
  r->start_life(this,
                produced_.load(std::memory_order_relaxed) - static_cast<uint64_t>(in_writer_block),
                kNoLimit);
  return r;
}

IOBufferReader* MIOBuffer::clone_reader(IOBufferReader* from) {
  IOBufferReader* r = free_reader();
  if (!r) return nullptr;
  r->set_block(from->block());
  r->start_offset_ = from->start_offset_;
  r->start_life(this, from->consumed(), from->size_limit());
  return r;
}

void MIOBuffer::dealloc_reader(IOBufferReader* r) {
  if (is_active(*r)) r->end_life();
}

void MIOBuffer::dealloc_all_readers() {
  for (int i = 0; i < places_; ++i)
    dealloc_reader(reader_at(i));
}

int MIOBuffer::reader_count() const {
  int n = 0;
  for (int i = 0; i < places_; ++i)
    n += is_active(*reader_at(i));
  return n;
}

int64_t MIOBuffer::max_read_avail() const {
  const uint64_t produced = produced_.load(std::memory_order_relaxed);
  int64_t most = 0;
  bool any = false;
  for (int i = 0; i < places_; ++i) {
    const IOBufferReader& r = *reader_at(i);
    if (!is_active(r)) continue;
    any = true;
    // acquire: pairs with the release in consume(); blocks before this position may be reused.
    const int64_t unread =
        static_cast<int64_t>(produced - r.consumed_.load(std::memory_order_acquire));
    most = std::max(most, std::min(unread, r.size_limit()));
  }
  if (any) return most;
  return writer_ ? static_cast<int64_t>(writer_->read_avail()) : 0;
}

IOBufferReader* MIOBuffer::most_advanced_reader() {
  IOBufferReader* best = nullptr;
  for (int i = 0; i < places_; ++i) {
    IOBufferReader& r = *reader_at(i);
    if (is_active(r) && (!best || r.unread() < best->unread())) best = &r;
  }
  return best;
}

// --- the chain ----------------------------------------------------------------------------------

void MIOBuffer::set_writer(IOBufferBlock* b) {
  if (b) b->add_ref();
  if (IOBufferBlock* old = std::exchange(writer_, b)) Ref<IOBufferBlock>::drop(old);
}

bool MIOBuffer::is_drained(const IOBufferReader& r) const {
  // acquire: pairs with the release in consume(); from here on the position is the writer's.
  return r.consumed_.load(std::memory_order_acquire) == produced_.load(std::memory_order_relaxed);
}

// There is no writer block: nothing was added yet, the buffer was at rest, or remove_append took
// the end of the chain; only then a reader can be behind, and finds b after its last block.
void MIOBuffer::start_chain(Ref<IOBufferBlock> b) {
  for (int i = 0; i < places_; ++i) {
    IOBufferReader& r = *reader_at(i);
    if (!is_active(r)) continue;
    if (is_drained(r)) {
      r.lead_to(b.get());
      continue;
    }
    IOBufferBlock* last = r.block();
    while (last->next())
      last = last->next();
    if (last != b.get()) last->set_next(b);
  }
  writer_ = b.detach();
}

void MIOBuffer::add_block() {
  Ref<IOBufferBlock> b = IOBufferBlock::alloc(size_index_);
  if (!writer_) return start_chain(std::move(b));
  IOBufferBlock* last = writer_;
  while (last->next())
    last = last->next();
  last->set_next(std::move(b));
}

bool MIOBuffer::append_block(Ref<IOBufferBlock> b) {
  const auto n = static_cast<int64_t>(b->read_avail());
  if (n <= 0 || b->next()) return false;
  if (!writer_) {
    start_chain(std::move(b));
  } else {
    while (writer_->read_avail() == 0 && writer_->next() && writer_->next()->read_avail() > 0) {
      set_writer(writer_->next());
    }
    IOBufferBlock* block = b.get();
    writer_->set_next(std::move(b));  // empty blocks that hung here go back to the pool
    set_writer(block);
  }
  publish(n);
  return true;
}

int64_t MIOBuffer::remove_append(IOBufferReader* r) {
  const int64_t moved = write(r);
  MIOBuffer* from = r->mbuf();
  NETVC_CHECK(r->consume(moved));
  if (!from->release_if_drained()) from->set_writer(nullptr);
  return moved;
}

int64_t MIOBuffer::write(const void* from, int64_t n) {
  const auto* bytes = static_cast<const char*>(from);
  int64_t left = n;
  if (n <= 0) return 0;
  if (!writer_) add_block();
  while (left > 0) {
    if (writer_->write_avail() == 0) {
      if (!writer_->next()) add_block();
      set_writer(writer_->next());
      continue;
    }
    const auto take = std::min<int64_t>(left, static_cast<int64_t>(writer_->write_avail()));
    std::memcpy(writer_->end(), bytes, static_cast<size_t>(take));
    writer_->fill(static_cast<size_t>(take));
    bytes += take;
    left -= take;
  }
  publish(n);
  return n;
}

bool MIOBuffer::fill(int64_t n) {
  if (n < 0 || n > current_write_avail()) return false;
  int64_t left = n;
  while (left > 0) {
    const auto take = std::min<int64_t>(left, static_cast<int64_t>(writer_->write_avail()));
    writer_->fill(static_cast<size_t>(take));
    left -= take;
    if (left > 0) set_writer(writer_->next());
  }
  if (n > 0) publish(n);
  return true;
}

int64_t MIOBuffer::current_write_avail() const {
  int64_t room = 0;
  for (IOBufferBlock* b = writer_; b; b = b->next())
    room += static_cast<int64_t>(b->write_avail());
  return room;
}

int64_t MIOBuffer::write_avail() {
  if (!high_water() && current_low_water()) add_block();
  return current_write_avail();
}

int MIOBuffer::room_iovecs(iovec* iov, int max, int64_t limit, int64_t skip) const {
  int count = 0;
  for (IOBufferBlock* b = writer_; b && limit > 0 && count < max; b = b->next()) {
    auto room = static_cast<int64_t>(b->write_avail());
    if (skip >= room) {
      skip -= room;
      continue;
    }
    const int64_t take = std::min(room - skip, limit);
    iov[count++] = {b->end() + skip, static_cast<size_t>(take)};
    limit -= take;
    skip = 0;
  }
  return count;
}

bool MIOBuffer::release_if_drained() {
  bool any = false;
  for (int i = 0; i < places_; ++i) {
    if (!is_active(*reader_at(i))) continue;
    if (!is_drained(*reader_at(i))) return false;
    any = true;
  }
  if (!any && writer_ && writer_->read_avail() > 0) return false;
  set_writer(nullptr);
  for (int i = 0; i < places_; ++i) {
    if (is_active(*reader_at(i))) reader_at(i)->lead_to(nullptr);
  }
  return true;
}

}  // namespace netvc
