// base/versioned_pool.h - public to every layer.
//
// Objects that are named by a 64-bit id, version << 32 | slot, instead of a pointer (brpc's
// SocketId, SK-1..SK-5). An id is plain data: it can be kept for ever, and once its object is
// gone address() answers "gone", never another object (INV-11).
//
// State of a slot, one 64-bit word = version << 32 | references:
//   even version, references > 0   alive: create() holds the "additional reference"
//   odd version                    failed/closed: no new address() succeeds, handles still work
//   even version, references == 0  free; the version is the one of the next object
//
// Threads: address() and Handle are wait-free from any thread (one fetch_add and one compare);
// create() takes a mutex (once per connection). The destructor of T runs on the thread that drops
// the last reference. Slot memory is never returned while the process lives, so a stale id can
// always be looked up. The pool itself is never destroyed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/system_memory.h"

namespace netvc {

using VersionedId = uint64_t;

inline constexpr uint32_t slot_of(VersionedId id) { return static_cast<uint32_t>(id); }
inline constexpr uint32_t version_of(VersionedId id) { return static_cast<uint32_t>(id >> 32); }
inline constexpr VersionedId make_id(uint32_t slot, uint32_t version) {
  return (static_cast<uint64_t>(version) << 32) | slot;
}

template <class T>
class VersionedPool {
  struct Slot {
    std::atomic<uint64_t> state{uint64_t{2} << 32};  // versions start at 2: no id is ever 0
    std::atomic<const void*> owner{nullptr};         // see set_owner
    uint32_t index = 0;
    alignas(T) unsigned char storage[sizeof(T)];
    T* object() { return std::launder(reinterpret_cast<T*>(storage)); }
  };

 public:
  /// A counted reference: while it exists the object is not destroyed, even if it failed.
  class Handle {
   public:
    Handle() = default;
    Handle(Handle&& o) noexcept : pool_(o.pool_), slot_(std::exchange(o.slot_, nullptr)) {}
    Handle& operator=(Handle&& o) noexcept {
      std::swap(pool_, o.pool_);
      std::swap(slot_, o.slot_);
      return *this;
    }
    ~Handle() {
      if (slot_) pool_->release(*slot_);
    }
    explicit operator bool() const { return slot_ != nullptr; }
    /// Another handle of the same object, whatever has become of it (brpc's ReAddress, SK-3).
    Handle again() const {
      if (slot_) slot_->state.fetch_add(1, std::memory_order_relaxed);
      return Handle(pool_, slot_);
    }
    T* get() const { return slot_ ? slot_->object() : nullptr; }
    T* operator->() const { return slot_->object(); }
    T& operator*() const { return *slot_->object(); }

   private:
    friend class VersionedPool;
    Handle(VersionedPool* pool, Slot* slot) : pool_(pool), slot_(slot) {}
    VersionedPool* pool_ = nullptr;
    Slot* slot_ = nullptr;
  };

  VersionedPool() = default;
  VersionedPool(const VersionedPool&) = delete;
  VersionedPool& operator=(const VersionedPool&) = delete;

  /// Any thread. T is constructed as T(id, args...). Null when the slot table is full, or without
  /// memory.
  template <class... Args>
  T* create(Args&&... args) {
    Slot* slot = take_free_slot();
    if (!slot) return nullptr;
    const auto version = static_cast<uint32_t>(slot->state.load(std::memory_order_acquire) >> 32);
    const VersionedId id = make_id(slot->index, version);
    slot->owner.store(nullptr, std::memory_order_relaxed);  // of who had the slot before
    T* t = new (slot->storage) T(id, std::forward<Args>(args)...);
    // fetch_add, not store: a stale address() may hold a transient count right now. Release:
    // publishes the constructed object to address().
    slot->state.fetch_add(1, std::memory_order_release);
    live_.fetch_add(1, std::memory_order_relaxed);
    return t;
  }

  /// Any thread, wait-free. An empty handle when the id is stale or its object has failed.
  Handle address(VersionedId id) {
    Slot* slot = find(id);
    if (!slot) return {};
    const uint64_t old = slot->state.fetch_add(1, std::memory_order_acquire);
    if (static_cast<uint32_t>(old >> 32) == version_of(id) && static_cast<uint32_t>(old) > 0) {
      return Handle(this, slot);
    }
    release(*slot);
    return {};
  }

  /// Says whose object this is; null, as at first: nobody's. Only the owner's thread calls fail()
  /// from then on.
  void set_owner(VersionedId id, const void* owner) {
    if (Slot* slot = find(id)) slot->owner.store(owner, std::memory_order_relaxed);
  }
  /// address() without counting, for the owner's thread alone: nobody else can fail the object, so
  /// it stays until this thread does. Null when it is stale, failed, or somebody else's.
  T* peek(VersionedId id, const void* owner) {
    Slot* slot = find(id);
    if (!slot || slot->owner.load(std::memory_order_relaxed) != owner) return nullptr;
    const uint64_t state = slot->state.load(std::memory_order_acquire);
    return static_cast<uint32_t>(state >> 32) == version_of(id) && static_cast<uint32_t>(state) > 0
               ? slot->object()
               : nullptr;
  }

  /// Any thread. First caller only: new address() calls fail from here on, and the additional
  /// reference is dropped, so the object dies with the last handle.
  bool fail(VersionedId id) {
    Slot* slot = find(id);
    if (!slot) return false;
    uint64_t s = slot->state.load(std::memory_order_relaxed);
    do {
      if (static_cast<uint32_t>(s >> 32) != version_of(id) || static_cast<uint32_t>(s) == 0)
        return false;
    } while (!slot->state.compare_exchange_weak(
        s, s + (uint64_t{1} << 32), std::memory_order_acq_rel, std::memory_order_relaxed));
    release(*slot);
    return true;
  }

  /// Objects alive or failed but still referenced.
  int64_t live() const { return live_.load(std::memory_order_relaxed); }
  static constexpr size_t slot_bytes() { return sizeof(Slot); }

 private:
  static constexpr uint32_t kChunk = 64;
  static constexpr uint32_t kMaxChunks = 1u << 16;  // 4 Mi objects

  struct Chunk {
    Slot slots[kChunk];
  };

  // Null for what was never an id. An odd version would match an object that has failed.
  Slot* find(VersionedId id) {
    const uint32_t index = slot_of(id);
    if (version_of(id) % 2 != 0 || index / kChunk >= kMaxChunks) return nullptr;
    Chunk* c =
        chunks_[index / kChunk].load(std::memory_order_acquire);  // pairs with the release in grow
    return c ? &c->slots[index % kChunk] : nullptr;
  }

  Slot* take_free_slot() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) {
      if (chunk_count_ == kMaxChunks) return nullptr;
      Chunk* c = SystemMemory::granted() ? new (std::nothrow) Chunk() : nullptr;
      if (!c) return nullptr;
      for (uint32_t i = kChunk; i-- > 0;) {
        c->slots[i].index = chunk_count_ * kChunk + i;
        free_.push_back(&c->slots[i]);
      }
      chunks_[chunk_count_++].store(c, std::memory_order_release);
    }
    Slot* s = free_.back();
    free_.pop_back();
    return s;
  }

  void release(Slot& slot) {
    const uint64_t old = slot.state.fetch_sub(1, std::memory_order_acq_rel);
    const auto version = static_cast<uint32_t>(old >> 32);
    if (static_cast<uint32_t>(old) != 1 || version % 2 == 0) return;
    // No reference is left and the object has failed. A transient count of a stale address() can
    // come and go here; whoever moves the version on recycles, exactly once.
    uint64_t expected = uint64_t{version} << 32;
    const uint64_t freed = uint64_t{version == UINT32_MAX ? 2 : version + 1} << 32;
    if (!slot.state.compare_exchange_strong(expected, freed, std::memory_order_acq_rel)) return;
    slot.object()->~T();
    live_.fetch_sub(1, std::memory_order_relaxed);
    std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(&slot);
  }

  std::unique_ptr<std::atomic<Chunk*>[]> chunks_ { new std::atomic<Chunk*>[ kMaxChunks ]() };
  std::mutex mutex_;
  std::vector<Slot*> free_;  // last in, first out: the warmest slot is reused
  uint32_t chunk_count_ = 0;
  std::atomic<int64_t> live_{0};
};

}  // namespace netvc
