#include "buffer/mio_buffer.h"

#include <algorithm>
#include <cstring>

namespace netvc {

namespace {

// What small parts of shared blocks may keep, also where the water mark is low.
constexpr int64_t kKeptAtLeast = int64_t{128} << 10;

}  // namespace

Ref<MIOBuffer> MIOBuffer::create_empty(int size_index, int64_t mark) {
  return Ref<MIOBuffer>(new MIOBuffer(size_index, mark));
}

Ref<MIOBuffer> MIOBuffer::create(int size_index, int64_t mark) {
  Ref<MIOBuffer> m = create_empty(size_index, mark);
  static_cast<void>(m->add_block());  // or when something is added
  return m;
}

MIOBuffer::~MIOBuffer() {
  dealloc_all_readers();
  set_writer(nullptr);
}

// --- readers ------------------------------------------------------------------------------------

IOBufferReader* MIOBuffer::free_reader() {
  const int n = places();
  for (int i = 0; i < n; ++i) {
    if (reader_at(i)->is_free()) return reader_at(i);
  }
  if (n == kMaxReaders) return nullptr;
  if (n == 1) more_.reset(new IOBufferReader[kMaxReaders - 1]);
  places_.store(n + 1, std::memory_order_release);
  return reader_at(n);
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
  for (int i = 0; i < places(); ++i)
    dealloc_reader(reader_at(i));
}

int MIOBuffer::reader_count() const {
  int n = 0;
  for (int i = 0; i < places(); ++i)
    n += is_active(*reader_at(i));
  return n;
}

int64_t MIOBuffer::max_read_avail() const {
  const uint64_t produced = produced_.load(std::memory_order_relaxed);
  int64_t most = 0;
  bool any = false;
  for (int i = 0; i < places(); ++i) {
    const IOBufferReader& r = *reader_at(i);
    if (!is_active(r)) continue;
    any = true;
    // acquire: pairs with the release in consume(); blocks before this position may be reused.
    const int64_t unread =
        static_cast<int64_t>(produced - r.consumed_.load(std::memory_order_acquire));
    most = std::max(most, std::min(unread, r.size_limit()));
  }
  return any ? most : in_writer_block_.load(std::memory_order_relaxed);
}

IOBufferReader* MIOBuffer::most_advanced_reader() {
  IOBufferReader* best = nullptr;
  for (int i = 0; i < places(); ++i) {
    IOBufferReader& r = *reader_at(i);
    if (is_active(r) && (!best || r.unread() < best->unread())) best = &r;
  }
  return best;
}

// --- the chain ----------------------------------------------------------------------------------

void MIOBuffer::set_writer(IOBufferBlock* b) {
  if (b) {
    b->add_ref();
  } else {
    in_writer_block_.store(0, std::memory_order_relaxed);
  }
  if (IOBufferBlock* old = std::exchange(writer_, b)) Ref<IOBufferBlock>::drop(old);
}

bool MIOBuffer::is_drained(const IOBufferReader& r) const {
  // acquire: pairs with the release in consume(); from here on the position is the writer's.
  return r.consumed_.load(std::memory_order_acquire) == produced_.load(std::memory_order_relaxed);
}

// There is no writer block: nothing was added yet, the buffer was at rest, or remove_append took
// the end of the chain; only then a reader can be behind, and finds b after its last block.
void MIOBuffer::start_chain(Ref<IOBufferBlock> b) {
  for (int i = 0; i < places(); ++i) {
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

bool MIOBuffer::add_block() {
  Ref<IOBufferBlock> b = IOBufferBlock::alloc(size_index_);
  if (!b) return false;
  if (!writer_) {
    start_chain(std::move(b));
    return true;
  }
  IOBufferBlock* last = writer_;
  while (last->next())
    last = last->next();
  last->set_next(std::move(b));
  return true;
}

// Blocks until there is room for n bytes.
bool MIOBuffer::make_room(int64_t n) {
  n -= current_write_avail();
  if (n > 0 && !writer_) {
    if (!add_block()) return false;
    n -= static_cast<int64_t>(writer_->write_avail());
  }
  for (IOBufferBlock* last = writer_; n > 0; last = last->next()) {
    if (last->next()) continue;
    Ref<IOBufferBlock> b = IOBufferBlock::alloc(size_index_);
    if (!b) return false;
    n -= static_cast<int64_t>(b->write_avail());
    last->set_next(std::move(b));
  }
  return true;
}

bool MIOBuffer::append_block(Ref<IOBufferBlock> b) {
  if (!b) return false;
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

// --- adding in bounded memory
// ---------------------------------------------------------------------

// As append_block, of a block with bytes, but the room that is here goes on behind b. Left behind
// it would be lost, and a small piece before each shared one would cost a block.
bool MIOBuffer::link(Ref<IOBufferBlock> b) {
  if (!b) return false;
  Ref<IOBufferBlock> room;
  if (writer_ && writer_->write_avail() > 0) {
    room = writer_->split_room();
  } else if (writer_ && writer_->next() && writer_->next()->read_avail() == 0) {
    room = Ref<IOBufferBlock>(writer_->next());
  }
  IOBufferBlock* block = b.get();
  NETVC_CHECK(append_block(std::move(b)));
  if (room) block->set_next(std::move(room));
  return true;
}

// Bytes that the slowest reader has not consumed, whatever its limit.
int64_t MIOBuffer::most_unread() const {
  int64_t most = 0;
  for (int i = 0; i < places(); ++i) {
    if (is_active(*reader_at(i))) most = std::max(most, reader_at(i)->unread());
  }
  return most;
}

bool MIOBuffer::may_keep(const IOBufferBlock& b, int64_t piece) {
  const IOBufferData* data = b.data().get();
  // What is lent stays in the buffer that it was lent to, so that its lender knows who has it.
  if (piece < kByReference || data->is_constant()) return false;
  const auto size = static_cast<int64_t>(data->size());
  if (piece >= size / kKeptPerByte) return true;
  if (!kept_) kept_ = std::make_unique<KeptBlocks>();
  const uint64_t end = produced_.load(std::memory_order_relaxed);
  const uint64_t read = end - static_cast<uint64_t>(most_unread());
  while (!kept_->list.empty() && kept_->list.front().until <= read) {
    kept_->bytes -= kept_->list.front().bytes;
    kept_->list.pop_front();
  }
  const uint64_t until = end + static_cast<uint64_t>(piece);
  if (!kept_->list.empty() && kept_->list.back().data == data) {
    kept_->list.back().until = until;
    return true;
  }
  const int64_t bound = std::max(kKeptPerByte * water_mark.load(), kKeptAtLeast);
  if (kept_->bytes + size > bound) return false;
  kept_->bytes += size;
  kept_->list.push_back({until, data, size});
  return true;
}

int64_t MIOBuffer::remove_append(IOBufferReader* r) {
  const int64_t moved = write(r);
  MIOBuffer* from = r->mbuf();
  NETVC_CHECK(r->consume(moved));
  if (!from->release_if_drained() && r->read_avail() == 0) from->set_writer(nullptr);
  return moved;
}

int64_t MIOBuffer::write(const void* from, int64_t n) {
  const auto* bytes = static_cast<const char*>(from);
  int64_t left = n;
  if (n <= 0 || !make_room(n)) return 0;
  while (left > 0) {
    if (writer_->write_avail() == 0) {
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
  if (!high_water() && current_low_water()) static_cast<void>(add_block());
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
  for (int i = 0; i < places(); ++i) {
    if (!is_active(*reader_at(i))) continue;
    if (!is_drained(*reader_at(i))) return false;
    any = true;
  }
  if (!any && writer_ && writer_->read_avail() > 0) return false;
  set_writer(nullptr);
  kept_.reset();
  for (int i = 0; i < places(); ++i) {
    if (is_active(*reader_at(i))) reader_at(i)->lead_to(nullptr);
  }
  return true;
}

}  // namespace netvc
