#include "vc/send_queue.h"

#include <utility>

namespace netvc {

namespace {

WriteRequest* next_of(const WriteRequest* r) { return r->next.load(std::memory_order_relaxed); }
void set_next(WriteRequest* r, WriteRequest* next) {
  r->next.store(next, std::memory_order_relaxed);
}

}  // namespace

void SendQueue::link(WriteRequest* r) {
  set_next(r, nullptr);
  if (tail_) {
    set_next(tail_, r);
  } else {
    head_ = r;
  }
  tail_ = r;
  ++requests_;
}

WriteRequest* SendQueue::plain_tail() {
  if (!tail_ || !tail_->is_plain()) link(WriteRequest::make(size_t{0}));
  return tail_;
}

void SendQueue::append(const void* data, size_t n) {
  plain_tail()->append(data, n);
  size_ += static_cast<int64_t>(n);
}

void SendQueue::append(BlockChain& message) {
  size_ += message.size();
  plain_tail()->append(message);
}

void SendQueue::append(WriteRequest* r) {
  size_ += r->size();
  if (!tail_ || !tail_->absorb(r)) link(r);
}

int SendQueue::iovecs(iovec* iov, int max, int64_t* attempted) const {
  int count = 0;
  *attempted = 0;
  for (const WriteRequest* r = head_; r && count < max; r = next_of(r)) {
    int64_t bytes = 0;
    count += r->iovecs(iov + count, max - count, &bytes);
    *attempted += bytes;
    if (bytes < r->size()) break;
  }
  return count;
}

WriteRequest* SendQueue::consume(int64_t n) {
  NETVC_CHECK(n >= 0 && n <= size_);
  size_ -= n;
  WriteRequest* told = nullptr;
  WriteRequest* last_told = nullptr;
  while (head_ && n >= head_->size()) {
    WriteRequest* r = head_;
    n -= r->size();
    head_ = next_of(r);
    if (!head_) tail_ = nullptr;
    --requests_;
    if (!r->told) {
      r->destroy();
      continue;
    }
    set_next(r, nullptr);
    if (last_told) {
      set_next(last_told, r);
    } else {
      told = r;
    }
    last_told = r;
  }
  if (n > 0) head_->consume(n);
  return told;
}

WriteRequest* SendQueue::take_all() {
  size_ = 0;
  requests_ = 0;
  tail_ = nullptr;
  return std::exchange(head_, nullptr);
}

WriteRequest* SendQueue::take_expired(Nanos now) {
  WriteRequest* expired = nullptr;
  WriteRequest* last = nullptr;
  WriteRequest* before = nullptr;
  for (WriteRequest* r = head_; r;) {
    WriteRequest* next = next_of(r);
    if (r->deadline == 0 || r->deadline > now || !r->untouched()) {
      before = r;
      r = next;
      continue;
    }
    if (before) {
      set_next(before, next);
    } else {
      head_ = next;
    }
    if (tail_ == r) tail_ = before;
    size_ -= r->size();
    --requests_;
    set_next(r, nullptr);
    if (last) {
      set_next(last, r);
    } else {
      expired = r;
    }
    last = r;
    r = next;
  }
  return expired;
}

Nanos SendQueue::next_deadline() const {
  Nanos earliest = 0;
  for (const WriteRequest* r = head_; r; r = next_of(r)) {
    if (r->deadline != 0 && r->untouched() && (earliest == 0 || r->deadline < earliest))
      earliest = r->deadline;
  }
  return earliest;
}

}  // namespace netvc
