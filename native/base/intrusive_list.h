// base/intrusive_list.h - public to every layer.
//
// Doubly linked FIFO whose links live in the elements: no allocation, O(1) removal from the
// middle. An element is in at most one list per Link member. Not thread-safe.
// The list owns nothing; an element must be removed before it dies (checked in debug builds).
#pragma once

#include <cstddef>

#include "base/assert.h"

namespace netvc {

template <class T>
struct Link {
  T* prev = nullptr;
  T* next = nullptr;
  bool linked = false;

  Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link() { NETVC_ASSERT(!linked); }
};

template <class T, Link<T> T::*M>
class IntrusiveList {
 public:
  IntrusiveList() = default;
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return head_ == nullptr; }
  size_t size() const { return size_; }
  T* front() const { return head_; }
  static T* next(const T& t) { return (t.*M).next; }
  static bool contains(const T& t) { return (t.*M).linked; }

  /// Appends unless it is in the list already; an element keeps its place (FIFO, NH-3).
  bool push_back(T& t) {
    Link<T>& l = t.*M;
    if (l.linked) return false;
    l.linked = true;
    l.prev = tail_;
    l.next = nullptr;
    (tail_ ? (tail_->*M).next : head_) = &t;
    tail_ = &t;
    ++size_;
    return true;
  }

  /// No-op when absent.
  bool remove(T& t) {
    Link<T>& l = t.*M;
    if (!l.linked) return false;
    (l.prev ? (l.prev->*M).next : head_) = l.next;
    (l.next ? (l.next->*M).prev : tail_) = l.prev;
    l.prev = l.next = nullptr;
    l.linked = false;
    --size_;
    return true;
  }

  T* pop_front() {
    T* t = head_;
    if (t) remove(*t);
    return t;
  }

 private:
  T* head_ = nullptr;
  T* tail_ = nullptr;
  size_t size_ = 0;
};

}  // namespace netvc
