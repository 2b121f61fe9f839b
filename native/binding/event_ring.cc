#include "binding/event_ring.h"

#include <algorithm>

#include "vc/event.h"

namespace netvc {

void EventRing::put(const EventRecord& r) {
  const uint32_t tail = tail_.load(std::memory_order_relaxed);
  records_[tail % kCapacity] = r;
  // seq_cst, since the producer looks next whether the consumer wants to be woken, and the consumer
  // says so before it looks at the tail (JsPort::publish and EnvState::drain).
  tail_.store(tail + 1, std::memory_order_seq_cst);
}

void EventRing::push(const EventRecord& r) {
  if (overflow_.empty() && free_room() > 0) [[likely]]
    return put(r);
  overflow_.push_back(r);
}

bool EventRing::flush_overflow() {
  while (!overflow_.empty() && free_room() > 0) {
    put(overflow_.front());
    overflow_.pop_front();
  }
  return overflow_.empty();
}

uint32_t EventRing::take(uint32_t* from) const {
  const uint32_t head = head_.load(std::memory_order_relaxed);
  const uint32_t n = tail_.load(std::memory_order_acquire) - head;
  *from = head % kCapacity;
  return n < kCapacity - *from ? n : kCapacity - *from;
}

void EventRing::merge_ready(uint32_t from, uint32_t n) {
  ++batch_;
  for (uint32_t i = from; i < from + n; ++i) {
    EventRecord& r = records_[i];
    const auto e = static_cast<Event>(r.kind);
    if (e == Event::kInactivityTimeout || e == Event::kActiveTimeout) {
      // What moved after it is told after it: no READY of the connection is joined across it.
      for (size_t key = size_t{r.slot} * 2; key < std::min(size_t{r.slot} * 2 + 2, seen_.size());
           ++key)
        seen_[key] = {};
      continue;
    }
    if (e != Event::kReadReady && e != Event::kWriteReady) continue;
    const size_t key = size_t{r.slot} * 2 + static_cast<size_t>(r.side);
    if (key >= seen_.size()) seen_.resize(key * 2 + 64);
    Seen& s = seen_[key];
    if (s.batch == batch_) {
      EventRecord& first = records_[s.at];
      if (first.version == r.version && first.generation == r.generation && first.kind == r.kind &&
          first.count < INT32_MAX / 2 && r.count < INT32_MAX / 2) {
        first.count += r.count;
        r.kind = kRecordMerged;
        continue;
      }
    }
    s = {batch_, i};
  }
}

}  // namespace netvc
