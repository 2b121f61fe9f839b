// poll/poller.h - public to the next layers.
//
// Edge-triggered readiness. A descriptor is registered once and stays registered until remove();
// interest is not switched on and off (NH-5). wait() tells each edge to the descriptor's Pollable;
// on_poll only records, it never calls user code, so nothing that an event of the same batch
// refers to can disappear meanwhile (NH-1).
//
// Owner: one NetHandler. Threads: all methods on the owner's thread, but wake(), which is for any
// thread, never blocks and is coalesced by the kernel.
// Failure: add() returns an errno value (EPERM: the kind of descriptor cannot be polled).
#pragma once

#include <cstdint>
#include <memory>

namespace netvc {

enum PollFlags : uint32_t {
  kPollIn = 1,
  kPollOut = 2,
  kPollErr = 4,     // a socket error is waiting
  kPollHup = 8,     // both directions are shut
  kPollRdHup = 16,  // the peer has shut its sending side
  kPollPri = 32,    // urgent data
};

class Pollable {
 public:
  /// Records readiness. On the poller's thread, from wait() only.
  virtual void on_poll(uint32_t flags) = 0;

 protected:
  ~Pollable() = default;
};

enum class Interest {
  kStream,           // both directions of a connection
  kAccept,           // a listening socket of one poller
  kAcceptExclusive,  // a listening socket that several pollers share: wake one of them
};

class Poller {
 public:
  virtual ~Poller() = default;

  /// 0 or an errno value. EEXIST counts as success (MG-2).
  virtual int add(int fd, Pollable* target, Interest interest) = 0;
  virtual void remove(int fd) = 0;
  /// Waits up to timeout_ms (-1: for ever), tells the edges; the number of events, or -errno.
  virtual int wait(int timeout_ms) = 0;
  /// Any thread: ends a wait() now or makes the next one return at once.
  virtual void wake() = 0;
  /// Readable when wait(0) would find something; for nesting in another loop. -1: not nestable.
  virtual int nested_fd() const = 0;

  /// The poller of this platform; null with *error set (errno) when the kernel refuses.
  static std::unique_ptr<Poller> create(int* error);
};

}  // namespace netvc
