// binding/event_ring.h - internal to native/binding.
//
// EventRing: fixed-size records from one net thread to one JavaScript thread. The memory is
// wrapped once as an ArrayBuffer, and JavaScript reads it with plain loads, because native code
// does an acquire load before and a release store after each batch (docs/boundary.md).
//
// Nothing is ever dropped: when the ring is full the producer keeps records in an overflow list,
// answers has_room() == false so that reads towards this ring stop, and goes on when the consumer
// has advanced.
//
// Threads: push, flush_overflow, has_room on the producer's thread; take, advance, merge_ready on
// the consumer's. In the inline engine both are the same thread.
// tail_: release by push, acquire by take. head_: release by advance, acquire by push.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

namespace netvc {

/// Eight int32 as lib/events.ts reads them.
struct EventRecord {
  int32_t kind = 0;   // RecordKind, or an Event number
  uint32_t slot = 0;  // of the connection
  uint32_t version = 0;
  uint32_t generation = 0;  // of the VIO; or the id of listener, request or tunnel
  int32_t count = 0;        // bytes since the last record of this VIO; kind-specific otherwise
  int32_t error = 0;        // errno
  int32_t side = 0;         // 0 read, 1 write
  int32_t more = 0;         // kind-specific
};
static_assert(sizeof(EventRecord) == 32);

/// Beyond the Event numbers of vc/event.h. Mirrored in lib/events.ts.
enum RecordKind : int32_t {
  kRecordMerged = 0,
  kRecordAccept = 20,
  kRecordAcceptError = 21,
  kRecordAcceptStopped = 22,
  kRecordOpen = 23,
  kRecordOpenFailed = 24,
  kRecordTunnelEnd = 25,
  kRecordGone = 26,
  kRecordBufferFull = 27,
  kRecordAssigned = 28,       // the connection is this thread's; generation: its shut sides
  kRecordParked = 29,         // the connection has lost its thread
  kRecordAcceptLimited = 30,  // generation: the listener; error: Admission::Verdict
  kRecordNotice = 40,         // generation: the token; error
};

class EventRing {
 public:
  static constexpr uint32_t kCapacity = 1u << 14;
  static constexpr uint32_t kReserve = 64;  // room that reads leave for everything else

  EventRing() : records_(new EventRecord[kCapacity]) {}

  EventRecord* memory() { return records_.get(); }
  static constexpr size_t bytes() { return kCapacity * sizeof(EventRecord); }

  // --- producer
  void push(const EventRecord& r);
  bool has_room() const { return overflow_.empty() && free_room() > kReserve; }
  /// True when nothing is left in the overflow list.
  bool flush_overflow();
  bool overflowed() const { return !overflow_.empty(); }

  // --- consumer
  /// The records there are: [*from, *from + result), `from` masked, never across the end of the
  /// ring.
  uint32_t take(uint32_t* from) const;
  void advance(uint32_t n) {
    head_.store(head_.load(std::memory_order_relaxed) + n, std::memory_order_release);
  }
  /// Joins later READY records of one VIO with the first one of the batch (AD-4), or after a
  /// timeout of its connection; others stay where they are (AD-5).
  void merge_ready(uint32_t from, uint32_t n);
  bool empty() const {
    return tail_.load(std::memory_order_seq_cst) == head_.load(std::memory_order_relaxed);
  }

 private:
  uint32_t free_room() const {
    return kCapacity -
           (tail_.load(std::memory_order_relaxed) - head_.load(std::memory_order_acquire));
  }
  void put(const EventRecord& r);

  std::unique_ptr<EventRecord[]> records_;
  alignas(64) std::atomic<uint32_t> head_{0};  // consumed up to here
  alignas(64) std::atomic<uint32_t> tail_{0};  // written up to here
  std::deque<EventRecord> overflow_;           // producer's
  // Consumer's: where in the running batch the READY of slot * 2 + side stands.
  struct Seen {
    uint32_t batch = 0;
    uint32_t at = 0;
  };
  std::vector<Seen> seen_;
  uint32_t batch_ = 0;
};

}  // namespace netvc
