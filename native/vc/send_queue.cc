#include "vc/send_queue.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace netvc {

namespace {

WriteRequest* next_of(const WriteRequest* r) { return r->next.load(std::memory_order_relaxed); }
void set_next(WriteRequest* r, WriteRequest* next) {
  r->next.store(next, std::memory_order_relaxed);
}

}  // namespace

void SendQueue::link(WriteRequest* r) {
  set_next(r, nullptr);
  r->prev = tail_;
  if (tail_) {
    set_next(tail_, r);
  } else {
    head_ = r;
  }
  tail_ = r;
  ++requests_;
  if (r->deadline != 0) deadlines_.put(*r);
}

void SendQueue::unlink(WriteRequest* r) {
  WriteRequest* next = next_of(r);
  if (r->prev) {
    set_next(r->prev, next);
  } else {
    head_ = next;
  }
  if (next) {
    next->prev = r->prev;
  } else {
    tail_ = r->prev;
  }
  --requests_;
  deadlines_.remove(*r);
}

WriteRequest* SendQueue::plain_tail() {
  if (tail_ && tail_->is_plain()) return tail_;
  WriteRequest* r = WriteRequest::make(size_t{0});
  if (r) link(r);
  return r;
}

bool SendQueue::append(const void* data, size_t n) {
  WriteRequest* r = plain_tail();
  if (!r) return false;
  const bool done = r->append(data, n);
  if (done) {
    size_ += static_cast<int64_t>(n);
  } else if (r->size() == 0) {  // made for this
    unlink(r);
    r->destroy();
  }
  return done;
}

bool SendQueue::append(BlockChain& message) {
  WriteRequest* r = plain_tail();
  if (!r) return false;
  size_ += message.size();
  r->append(message);
  return true;
}

uint64_t SendQueue::append(WriteRequest* r) {
  size_ += r->size();
  r->order = ++last_order_;
  if (!tail_ || !tail_->absorb(r)) link(r);
  return last_order_;
}

int SendQueue::iovecs(iovec* iov, int max, int64_t most, int64_t* attempted) const {
  int count = 0;
  *attempted = 0;
  for (const WriteRequest* r = head_; r && count < max; r = next_of(r)) {
    int64_t bytes = 0;
    count += r->iovecs(iov + count, max - count, &bytes);
    *attempted += bytes;
    if (bytes < r->size() || *attempted >= most) break;
  }
  while (*attempted > most) {
    size_t& last = iov[count - 1].iov_len;
    const size_t beyond = std::min(last, static_cast<size_t>(*attempted - most));
    last -= beyond;
    *attempted -= static_cast<int64_t>(beyond);
    if (last == 0) --count;
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
    unlink(r);
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
  if (n > 0) {
    head_->consume(n);
    deadlines_.remove(*head_);
  }
  return told;
}

WriteRequest* SendQueue::take_all() {
  size_ = 0;
  requests_ = 0;
  tail_ = nullptr;
  deadlines_.clear();
  return std::exchange(head_, nullptr);
}

WriteRequest* SendQueue::take_expired(Nanos now) {
  std::vector<WriteRequest*> expired;
  while (!deadlines_.empty() && deadlines_.first()->deadline <= now) {
    WriteRequest* r = deadlines_.first();
    unlink(r);
    size_ -= r->size();
    expired.push_back(r);
  }
  std::sort(expired.begin(), expired.end(),
            [](const WriteRequest* a, const WriteRequest* b) { return a->order < b->order; });
  WriteRequest* first = nullptr;
  for (size_t i = expired.size(); i-- > 0; first = expired[i])
    set_next(expired[i], first);
  return first;
}

}  // namespace netvc
