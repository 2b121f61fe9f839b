#include "buffer/block.h"

#include <cstdlib>
#include <new>
#include <utility>

#include "buffer/block_pool.h"

namespace netvc {

Ref<IOBufferData> IOBufferData::alloc(int size_index) {
  NETVC_CHECK(size_index < kBlockIndexes);
  return Ref<IOBufferData>(BlockPool::take_data(size_index));
}

Ref<IOBufferData> IOBufferData::constant(const void* memory, size_t n, ReleaseFn release,
                                         void* context) {
  IOBufferData* d = BlockPool::take_data(kConstant);
  if (!d) return {};
  d->data_ =
      static_cast<char*>(const_cast<void*>(memory));  // never written: blocks over it have no room
  d->size_ = n;
  d->release_ = release;
  d->context_ = context;
  return Ref<IOBufferData>(d);
}

void IOBufferData::on_zero(IOBufferData* d) {
  if (d->release_) std::exchange(d->release_, nullptr)(d->context_);
  BlockPool::give_data(d);
}

Ref<IOBufferBlock> IOBufferBlock::make(Ref<IOBufferData> data) {
  IOBufferBlock* b = data ? BlockPool::take_block() : nullptr;
  if (!b) return {};
  b->start_ = 0;
  b->buf_end_ = data->size();
  b->end_.store(data->is_constant() ? data->size() : 0, std::memory_order_relaxed);
  b->data_ = std::move(data);
  return Ref<IOBufferBlock>(b);
}

Ref<IOBufferBlock> IOBufferBlock::clone(size_t offset, size_t n) const {
  NETVC_CHECK(offset <= read_avail() && n <= read_avail() - offset);
  IOBufferBlock* b = BlockPool::take_block();
  if (!b) return {};
  b->data_ = data_;
  b->start_ = start_ + offset;
  b->buf_end_ = b->start_ + n;
  b->end_.store(b->buf_end_, std::memory_order_relaxed);
  return Ref<IOBufferBlock>(b);
}

Ref<IOBufferBlock> IOBufferBlock::split_room() {
  IOBufferBlock* b = BlockPool::take_block();
  if (!b) return {};
  b->data_ = data_;
  b->start_ = end_.load(std::memory_order_relaxed);
  b->end_.store(b->start_, std::memory_order_relaxed);
  b->buf_end_ = buf_end_;
  buf_end_ = b->start_;
  return Ref<IOBufferBlock>(b);
}

void IOBufferBlock::set_next(Ref<IOBufferBlock> block) {
  IOBufferBlock* old = next();  // one thread links: no need for an exchange
  next_.store(block.detach(), std::memory_order_relaxed);
  if (old) Ref<IOBufferBlock>::drop(old);
}

void IOBufferBlock::on_zero(IOBufferBlock* b) {
  while (b) {
    IOBufferBlock* next = b->next();
    b->next_.store(nullptr, std::memory_order_relaxed);
    b->data_.reset();
    BlockPool::give_block(b);
    b = next && next->drop_ref() ? next : nullptr;
  }
}

}  // namespace netvc
