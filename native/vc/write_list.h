// vc/write_list.h - public to the next layers.
//
// WriteList: the messages that any thread has submitted to one connection and that its writer has
// not taken yet (the head of brpc's Socket::Write). One pointer, three states:
//
//   idle     null     nobody writes. Whoever pushes next has to get the writer running.
//   claimed  kWriter  a writer is there, or has been called; nothing new.
//   pushed   request  the newest one; older ones hang on it, down to kWriter or null.
//
//   push:    wait-free (INV-8): one exchange and one store. No loop, no lock, no allocation.
//   take:    writer only. Not wait-free: between a producer's exchange and its store the chain has
//            a gap, and the writer waits for that one store; it spins a little, then yields (B-39).
//   finish:  writer only; succeeds when nothing new has come.
//
// Orderings. push's exchange (release) publishes the request to the exchange in take (acquire); so
// does its store of `next` (release) to the load in take (acquire), for the links. finish's
// exchange (release) publishes what the writer did to the push that finds the list idle (acquire),
// whose thread calls the next writer.
#pragma once

#include <sched.h>

#include <cstdint>

#include "vc/write_request.h"

namespace netvc {

class WriteList {
 public:
  WriteList() = default;
  WriteList(const WriteList&) = delete;
  WriteList& operator=(const WriteList&) = delete;

  /// Any thread. True: the list was idle, and the caller calls the writer. r is not the caller's
  /// any more.
  bool push(WriteRequest* r) {
    r->next.store(unlinked(), std::memory_order_relaxed);
    WriteRequest* older = head_.exchange(r, std::memory_order_acq_rel);
    r->next.store(older == writer() ? nullptr : older, std::memory_order_release);
    return older == nullptr;
  }

  /// Writer only: everything that is there, oldest first, linked by next; null when that is
  /// nothing. The list is claimed from then on.
  WriteRequest* take() {
    if (head_.load(std::memory_order_relaxed) == writer()) return nullptr;
    WriteRequest* r = head_.exchange(writer(), std::memory_order_acq_rel);
    WriteRequest* fifo = nullptr;
    while (r && r != writer()) {
      WriteRequest* older = r->next.load(std::memory_order_acquire);
      for (int spins = 0; older == unlinked(); older = r->next.load(std::memory_order_acquire)) {
        if (++spins > 64) ::sched_yield();
      }
      r->next.store(fifo, std::memory_order_relaxed);
      fifo = r;
      r = older;
    }
    return fifo;
  }

  /// Writer only: idle again, unless something has come; then the writer stays the writer.
  bool finish() {
    WriteRequest* expected = writer();
    return head_.compare_exchange_strong(expected, nullptr, std::memory_order_acq_rel,
                                         std::memory_order_relaxed);
  }

  /// A hint, for everybody but the writer.
  bool idle() const { return head_.load(std::memory_order_acquire) == nullptr; }

 private:
  // Never dereferenced.
  static WriteRequest* writer() { return reinterpret_cast<WriteRequest*>(uintptr_t{1}); }
  static WriteRequest* unlinked() { return reinterpret_cast<WriteRequest*>(~uintptr_t{0}); }

  std::atomic<WriteRequest*> head_{nullptr};
};

}  // namespace netvc
