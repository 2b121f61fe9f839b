#include "buffer/block_chain.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace netvc {

bool BlockChain::append(const void* from, size_t n) {
  const auto* bytes = static_cast<const char*>(from);
  const size_t here = std::min(n, tail_ ? tail_->write_avail() : 0);
  BlockChain more;  // first, since it may be that there is no memory
  for (size_t at = here; at < n;) {
    Ref<IOBufferBlock> b =
        IOBufferBlock::alloc(std::clamp(size_to_index(n - at), kIndexLarge, kIndex64K));
    if (!b) return false;
    const size_t take = std::min(n - at, b->write_avail());
    std::memcpy(b->end(), bytes + at, take);
    b->fill(take);
    more.append(std::move(b));
    at += take;
  }
  if (here > 0) {
    std::memcpy(tail_->end(), bytes, here);
    tail_->fill(here);
    size_ += static_cast<int64_t>(here);
  }
  append(more);
  return true;
}

void BlockChain::append(Ref<IOBufferBlock> b) {
  const auto n = static_cast<int64_t>(b->read_avail());
  if (n == 0) return;
  IOBufferBlock* raw = b.get();
  if (tail_) {
    tail_->set_next(std::move(b));
  } else {
    head_ = b.detach();
  }
  tail_ = raw;
  size_ += n;
}

void BlockChain::append(BlockChain& other) {
  if (other.empty()) return;
  if (empty()) {
    std::swap(head_, other.head_);
    std::swap(tail_, other.tail_);
    std::swap(head_offset_, other.head_offset_);
    std::swap(size_, other.size_);
    return;
  }
  if (other.head_offset_ > 0) {
    other.head_->drop_front(other.head_offset_);  // which belongs to the chain
  }
  tail_->set_next(Ref<IOBufferBlock>::adopt(std::exchange(other.head_, nullptr)));
  tail_ = std::exchange(other.tail_, nullptr);
  size_ += std::exchange(other.size_, 0);
  other.head_offset_ = 0;
}

int BlockChain::iovecs(iovec* iov, int max, int64_t* bytes) const {
  int count = 0;
  size_t skip = head_offset_;
  *bytes = 0;
  for (IOBufferBlock* b = head_; b && count < max; b = b->next()) {
    const size_t n = b->read_avail() - skip;
    if (n > 0) {
      iov[count++] = {const_cast<char*>(b->start()) + skip, n};
      *bytes += static_cast<int64_t>(n);
    }
    skip = 0;
  }
  return count;
}

void BlockChain::consume(int64_t n) {
  NETVC_CHECK(n >= 0 && n <= size_);
  size_ -= n;
  if (size_ == 0) return clear();
  head_offset_ += static_cast<size_t>(n);
  while (head_offset_ >= head_->read_avail()) {
    head_offset_ -= head_->read_avail();
    IOBufferBlock* next = head_->next();
    next->add_ref();
    Ref<IOBufferBlock>::drop(std::exchange(head_, next));
  }
}

void BlockChain::clear() {
  if (head_) Ref<IOBufferBlock>::drop(std::exchange(head_, nullptr));
  tail_ = nullptr;
  head_offset_ = 0;
  size_ = 0;
}

}  // namespace netvc
