// net/net_event.h - public to native/vc.
//
// What a NetHandler knows about a connection: two directions, each `enabled` (the user wants I/O)
// and `triggered` (the kernel said ready, and nobody has seen it exhausted since). A direction with
// both is in its ready list. Interest is nothing but these two flags (NH-5).
//
// Owner: the object is somebody else's; the handler only links it. Threads: all of it belongs to
// the handler's thread.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/intrusive_list.h"
#include "poll/poller.h"

namespace netvc {

class NetEvent;
class NetHandler;

enum class Side : uint8_t { kRead = 0, kWrite = 1 };

struct Direction {
  NetEvent* owner = nullptr;
  Side side = Side::kRead;
  bool enabled = false;
  bool triggered = false;
  Link<Direction> ready_link;
};

/// Where a connection is, see net/connection_queues.h.
enum class Queue : uint8_t { kNone = 0, kKeepAlive = 1, kActive = 2 };
/// What came of an eviction: it does not exist any more; its user answers later; it goes on.
enum class Evicted : uint8_t { kGone, kAsked, kStays };

class NetEvent : public Pollable {
 public:
  NetEvent() {
    read.owner = write.owner = this;
    read.side = Side::kRead;
    write.side = Side::kWrite;
  }

  /// One activation (RD-1.., WR-1..): the direction is enabled and triggered.
  virtual void net_io(Direction& d) = 0;
  /// The handler shuts down: release everything, without telling the user.
  virtual void shut_down() = 0;

  /// False for listeners, which use the same lists.
  virtual bool is_connection() const { return true; }

  /// One of its timeouts has passed, and its user has not been told.
  virtual bool overdue(Nanos) const { return false; }
  /// When a byte has moved last.
  virtual Nanos idle_since() const { return 0; }
  /// Its user is told that it should end (KQ-4).
  virtual Evicted evict() { return Evicted::kStays; }

  /// Gives back memory if nobody needs it; true when there is nothing left to give.
  virtual bool settle() { return true; }

  /// Records an edge and queues what became runnable; see NH-1 (3).
  void on_poll(uint32_t flags) final;

  Direction& direction(Side s) { return s == Side::kRead ? read : write; }

  NetHandler* handler = nullptr;
  Direction read;
  Direction write;
  uint32_t poll_flags = 0;  // every kPollErr, kPollHup, kPollRdHup, kPollPri seen so far
  Link<NetEvent> open_link;
  Link<NetEvent> settle_link;
  Link<NetEvent> queue_link;
  Queue queue = Queue::kNone;
  uint8_t evicting = 0;  // sweeps that its user has left to answer

 protected:
  ~NetEvent() = default;
};

}  // namespace netvc
