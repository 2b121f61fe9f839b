// binding/shared_pool.h - internal to native/binding.
//
// SharedPool: the net threads of Reactor.shared(), one per process, used by every JavaScript thread
// that attached. Seat: one such JavaScript thread, as the net threads see it: a port per net
// thread, and whether it takes connections that others accepted (register).
//
// Owner: the attached reactors; the last one to leave stops the threads. Seats belong to their
// JsReactor. Threads: the table of seats and the parked ids under a mutex, held only for a look;
// a Seat found by a net thread may be used until its task or turn is over, because a seat leaves
// the table first, and then waits for a task on each net thread before it dies (js_detach.cc).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "binding/js_port.h"
#include "net/net_thread.h"

namespace netvc {

enum class Distribute : uint8_t { kNone = 0, kRoundRobin = 1, kLeastConnections = 2, kRandom = 3 };
/// What becomes of the connections of a JavaScript thread that goes.
enum class OnExit : uint8_t { kClose = 0, kPark = 1 };

struct Seat {
  uint32_t worker = 0;  // worker_threads.threadId
  bool registered = false;
  OnExit on_exit = OnExit::kClose;
  std::vector<JsPort*> ports;  // by the index of the handler
  // Connections that it has, or that are on their way to it. Counts only.
  std::atomic<int> connections{0};

  JsPort& port_at(const NetHandler& h) { return *ports[static_cast<size_t>(h.index)]; }
};

class SharedPool final : private VcObserver {
 public:
  struct Leave {
    void operator()(SharedPool* p) const { p->detach(); }
  };
  using Attached = std::unique_ptr<SharedPool, Leave>;

  /// The pool of this process; made with so many threads if there is none. Null and an errno.
  static Attached attach(int threads, int* error);

  NetThreadPool threads;

  void add(Seat& seat);
  /// The seat takes nothing from now on, and is not found any more.
  void remove(Seat& seat);
  void set_registered(Seat& seat, bool on, OnExit on_exit);

  /// Net threads. The seat of a worker, registered or not; null if there is none.
  Seat* find(uint32_t worker);
  /// Any thread. Whether a worker has registered, and then what it wants for its connections.
  bool takes(uint32_t worker, OnExit* on_exit);
  /// Net threads. One of the registered seats, or null.
  Seat* choose(Distribute how);
  /// Any thread; f is called under the lock.
  void each(const std::function<void(const Seat&)>& f);

  /// On vc's thread. It has no user any more: bytes stay in the kernel until somebody takes it, and
  /// it ends when its peer does (NetVConnection::watch_for_end). Every attached thread is told.
  void park(NetVConnection& vc);
  /// Any thread. False when it was not parked; true: it is not any more.
  bool unpark(VersionedId id);
  std::vector<VersionedId> parked();

 private:
  SharedPool() = default;
  void detach();
  void on_vc_closed(NetVConnection& vc, bool) override { unpark(vc.id()); }
  Seat* seat_of(uint32_t worker);

  std::mutex mutex_;
  std::vector<Seat*> seats_;
  std::vector<VersionedId> parked_;
  size_t cursor_ = 0;
  uint32_t random_ = 2463534242u;
  int attached_ = 0;  // under the mutex of the process's pool
};

}  // namespace netvc
