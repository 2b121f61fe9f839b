#include "vc/write_request.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "base/striped_counter.h"
#include "buffer/small_memory.h"

namespace netvc {

namespace {

// Up to here the bytes lie behind the request. Larger messages go to blocks of the pool, whose
// memory is warm; the smallest of these is a quarter of it, so that little is wasted.
constexpr size_t kOwnMemory = 16384;
constexpr size_t kAbsorb = 512;

StripedCounter& counter() {
  static auto* c = new StripedCounter();
  return *c;
}

}  // namespace

int64_t WriteRequest::live() { return counter().get(); }

WriteRequest* WriteRequest::make(size_t n) {
  void* memory = SmallMemory::take(sizeof(WriteRequest) + n);
  if (!memory) return nullptr;
  counter().add(1);
  return new (memory) WriteRequest(n);
}

WriteRequest* WriteRequest::make(const void* data, size_t n) {
  if (n <= kOwnMemory) {
    WriteRequest* r = make(n);
    if (!r) return nullptr;
    std::memcpy(r->bytes(), data, n);
    return r;
  }
  WriteRequest* r = make(size_t{0});
  if (!r) return nullptr;
  const char* from = static_cast<const char*>(data);
  while (n > 0) {
    // The largest block that it fills; a small one for the rest.
    int index = size_to_index(n);
    if (index > kIndexLarge && index_to_size(index) > n) --index;
    index = std::clamp(index, kIndexLarge, kIndex64K);
    const size_t take = std::min(n, index_to_size(index));
    Ref<IOBufferBlock> b = IOBufferBlock::alloc(index);
    if (!b) {
      r->destroy();
      return nullptr;
    }
    std::memcpy(b->end(), from, take);
    b->fill(take);
    r->chain_.append(std::move(b));
    from += take;
    n -= take;
  }
  return r;
}

WriteRequest* WriteRequest::make(BlockChain& message) {
  WriteRequest* r = make(size_t{0});
  if (r) r->chain_.append(message);
  return r;
}

WriteRequest* WriteRequest::make(std::unique_ptr<UserMessage>& message) {
  WriteRequest* r = make(size_t{0});
  if (r) r->user_ = std::move(message);
  return r;
}

int WriteRequest::serialise() {
  if (!user_) return 0;
  const int error = user_->append_to(&chain_);
  user_.reset();
  return error ? error : chain_.empty() ? EINVAL : 0;
}

void WriteRequest::destroy() {
  const size_t bytes = sizeof(WriteRequest) + own_;
  this->~WriteRequest();
  SmallMemory::give(this, bytes);
  counter().add(-1);
}

int WriteRequest::iovecs(iovec* iov, int max, int64_t* attempted) const {
  *attempted = 0;
  int count = 0;
  if (own_left() > 0 && max > 0) {
    auto* start = const_cast<WriteRequest*>(this)->bytes() + own_sent_;
    iov[count++] = {start, static_cast<size_t>(own_left())};
    *attempted = own_left();
  }
  if (count == max || chain_.empty()) return count;
  int64_t more = 0;
  count += chain_.iovecs(iov + count, max - count, &more);
  *attempted += more;
  return count;
}

void WriteRequest::consume(int64_t n) {
  if (n == 0) return;
  touched_ = true;
  const int64_t own = std::min(n, own_left());
  own_sent_ += static_cast<uint32_t>(own);
  if (n > own) chain_.consume(n - own);
}

bool WriteRequest::absorb(WriteRequest* r) {
  if (!is_plain() || !r->is_plain() || !r->chain_.empty() || r->own_ > kAbsorb) return false;
  if (!chain_.append(r->bytes(), r->own_)) return false;
  r->destroy();
  return true;
}

}  // namespace netvc
