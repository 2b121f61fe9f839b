// base/mpsc_list.h - public to every layer.
//
// Many producers push, one consumer takes everything that is there, in the order of the pushes.
// The idea is brpc's write list: one exchange on the head links a new element in front of all
// older ones.
//
//   push:   wait-free. Three plain steps, no loop, no allocation, no lock.
//   drain:  not wait-free: between a producer's exchange and its link store the chain has a gap;
//           the consumer waits for exactly that one element (a few instructions of the producer,
//           longer only if the producer was preempted there, so the wait yields).
//
// Element T has a member `std::atomic<T*> mpsc_next`. An element belongs to the list from push
// until drain hands it out.
//
// Orderings: the exchange in push publishes the element's content to the exchange in drain; the
// link store (release) pairs with the acquire load in drain. push's exchange and empty()'s load are
// seq_cst, because a consumer that goes to sleep relies on them (NetHandler::prepare_to_sleep:
// "say that I sleep, then look"; producer: "push, then look whether it sleeps").
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>

namespace netvc {

template <class T>
class MpscList {
 public:
  MpscList() = default;
  MpscList(const MpscList&) = delete;
  MpscList& operator=(const MpscList&) = delete;

  /// Any thread. True when the list was empty: the consumer may be asleep and wants a wake-up.
  bool push(T* t) {
    t->mpsc_next.store(unlinked(), std::memory_order_relaxed);
    T* older = head_.exchange(t, std::memory_order_seq_cst);
    t->mpsc_next.store(older, std::memory_order_release);
    return older == nullptr;
  }

  /// Any thread; a hint for everybody but the consumer.
  bool empty() const { return head_.load(std::memory_order_seq_cst) == nullptr; }

  /// Consumer only. Oldest first, linked through mpsc_next, null at the end.
  T* drain() {
    if (empty()) return nullptr;
    T* t = head_.exchange(nullptr, std::memory_order_acq_rel);
    T* fifo = nullptr;
    while (t) {
      T* older = t->mpsc_next.load(std::memory_order_acquire);
      for (int spins = 0; older == unlinked();
           older = t->mpsc_next.load(std::memory_order_acquire)) {
        if (++spins > 64) ::sched_yield();
      }
      t->mpsc_next.store(fifo, std::memory_order_relaxed);
      fifo = t;
      t = older;
    }
    return fifo;
  }

  static T* next(const T& t) { return t.mpsc_next.load(std::memory_order_relaxed); }

 private:
  // Never dereferenced: marks "pushed, not linked yet".
  static T* unlinked() { return reinterpret_cast<T*>(~uintptr_t{0}); }

  std::atomic<T*> head_{nullptr};
};

}  // namespace netvc
