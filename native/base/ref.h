// base/ref.h - public to every layer.
//
// Intrusive, thread-safe reference counting. RefCounted<T> starts with a count of 0; Ref<T>
// holds one count. The last Ref calls T::on_zero(T*), or deletes when T declares none.
//
// Orderings: add is relaxed (the caller already holds a reference); drop is acq_rel, so that the
// destroying thread sees every write made through other references before they were dropped.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "base/assert.h"

namespace netvc {

template <class T>
class RefCounted {
 public:
  void add_ref() const { refs_.fetch_add(1, std::memory_order_relaxed); }

  /// True when this was the last reference. Pairs with itself: release of the others, acquire here.
  [[nodiscard]] bool drop_ref() const {
    // A count of one cannot be raised by anybody else, so the read-modify-write can be skipped.
    if (refs_.load(std::memory_order_acquire) == 1) {
      refs_.store(0, std::memory_order_relaxed);
      return true;
    }
    return refs_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }

  /// Only a hint for anybody who does not own all references.
  uint32_t ref_count() const { return refs_.load(std::memory_order_acquire); }

 protected:
  RefCounted() = default;
  ~RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

 private:
  mutable std::atomic<uint32_t> refs_{0};
};

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* p) : p_(p) {
    if (p_) p_->add_ref();
  }
  Ref(const Ref& o) : Ref(o.p_) {}
  Ref(Ref&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  Ref& operator=(Ref o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Ref() { reset(); }

  void reset() {
    if (T* p = std::exchange(p_, nullptr)) drop(p);
  }
  /// Takes over a reference that was counted elsewhere (see detach()).
  static Ref adopt(T* p) {
    Ref r;
    r.p_ = p;
    return r;
  }
  /// Gives up the pointer without dropping the count; pair with adopt() or drop().
  T* detach() { return std::exchange(p_, nullptr); }
  static void drop(T* p) {
    if (!p->drop_ref()) return;
    if constexpr (requires { T::on_zero(p); }) {
      T::on_zero(p);
    } else {
      delete p;
    }
  }

  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  friend bool operator==(const Ref& a, const Ref& b) { return a.p_ == b.p_; }

 private:
  T* p_ = nullptr;
};

}  // namespace netvc
