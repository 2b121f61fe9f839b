// base/indexed_heap.h - public to every layer.
//
// IndexedHeap: objects by a time that each of them holds, the earliest first. An object knows where
// it is in the heap, so that taking any of them out, or moving it, is O(log n). Nothing is
// allocated once the heap has grown.
//
// Owner of the objects: their user, who takes them out before they die. Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "base/clock.h"

namespace netvc {

/// kWhen: the time. kAt: an unsigned member that belongs to the heap, kOut at first.
template <class T, Nanos T::*kWhen, auto kAt>
class IndexedHeap {
  template <class I>
  static I index_type(I T::*);
  using Index = decltype(index_type(kAt));

 public:
  static constexpr Index kOut = std::numeric_limits<Index>::max();

  static bool contains(const T& t) { return t.*kAt != kOut; }
  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }
  /// Null when it is empty.
  T* first() const { return heap_.empty() ? nullptr : heap_[0]; }

  /// Puts t in, or to the place of the time that it has now.
  void put(T& t) {
    if (!contains(t)) {
      t.*kAt = static_cast<Index>(heap_.size());
      heap_.push_back(&t);
    }
    sift_down(sift_up(t.*kAt));
  }

  void remove(T& t) {
    if (!contains(t)) return;
    const size_t at = t.*kAt;
    T* last = heap_.back();
    heap_.pop_back();
    t.*kAt = kOut;
    if (last == &t) return;
    place(last, at);
    sift_down(sift_up(at));
  }

  void clear() {
    for (T* t : heap_)
      t->*kAt = kOut;
    heap_ = {};
  }

 private:
  void place(T* t, size_t at) {
    heap_[at] = t;
    t->*kAt = static_cast<Index>(at);
  }
  size_t sift_up(size_t at) {
    T* t = heap_[at];
    for (; at > 0 && heap_[(at - 1) / 2]->*kWhen > t->*kWhen; at = (at - 1) / 2)
      place(heap_[(at - 1) / 2], at);
    place(t, at);
    return at;
  }
  void sift_down(size_t at) {
    T* t = heap_[at];
    for (size_t child; (child = 2 * at + 1) < heap_.size(); at = child) {
      if (child + 1 < heap_.size() && heap_[child + 1]->*kWhen < heap_[child]->*kWhen) ++child;
      if (heap_[child]->*kWhen >= t->*kWhen) break;
      place(heap_[child], at);
    }
    place(t, at);
  }

  std::vector<T*> heap_;
};

}  // namespace netvc
