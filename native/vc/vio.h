// vc/vio.h - public to the next layers.
//
// VIO: the descriptor of one direction of I/O on a VConnection. do_io_read/do_io_write arm it and
// answer a pointer to it, always the same one for the life of the connection (VIO-6). It says how
// many bytes are wanted (nbytes), how many have moved (ndone), where they come from or go to
// (buffer), and who is told (cont).
//
// Continuation: who is told. It is called on the thread of the connection. Inside the call it may
// use every method of every connection of that thread, do_io_close included (SIG-5).
//
// Owner: the connection owns its VIOs; the user owns the continuation and keeps it alive until the
// connection is closed or the direction is re-armed without it. Threads: the connection's thread.
#pragma once

#include <cstdint>

#include "buffer/mio_buffer.h"
#include "net/net_event.h"
#include "vc/event.h"

namespace netvc {

class VConnection;
class VIO;

class Continuation {
 public:
  virtual ~Continuation() = default;

  /// What is answered does not decide over the connection's life (SIG-1); EVENT_CONT (0) or
  /// EVENT_DONE (1) by custom.
  virtual int handle_event(Event event, VIO* vio) = 0;

  /// False: events cannot be taken now (a full ring towards JavaScript). No I/O is done for this
  /// continuation then, and resume_later() is told which direction waits; nothing is lost.
  virtual bool can_take_event() const { return true; }
  virtual void resume_later(VConnection&, Side) {}
  /// What its user makes of an event is not known when handle_event returns.
  virtual bool answers_later() const { return false; }
};

enum class Op : uint8_t { kNone, kRead, kWrite };

class VIO {
 public:
  static constexpr int64_t kUnlimited = INT64_MAX;

  int64_t ntodo() const { return nbytes - ndone; }

  /// Ends the operation with what there is: nbytes := ndone + read_avail of the reader (VIO-2).
  void done();
  /// The next event goes to c; null clears (VIO-5). Events under way for the old one are stale.
  void set_continuation(Continuation* c) {
    cont = c;
    ++generation;
  }
  /// Forwarded to the connection; nothing happens when there is none (VIO-4).
  void reenable();
  void reenable_re();
  IOBufferReader* get_reader() const { return buffer.reader(); }
  MIOBuffer* get_writer() const { return buffer.writer(); }

  /// Back to an unarmed VIO of the same connection.
  void clear() {
    buffer.clear();
    cont = nullptr;
    nbytes = ndone = reported = 0;
    op = Op::kNone;
    enabled = ended = false;
    ++generation;
  }

  int64_t nbytes = 0;    // may be changed inside a callback (VIO-1)
  int64_t ndone = 0;     // of this operation only; 0 <= ndone <= nbytes
  int64_t reported = 0;  // the part of ndone that a batching continuation has told already
  Continuation* cont = nullptr;
  MIOBufferAccessor buffer;
  VConnection* vc_server = nullptr;
  uint32_t generation = 0;  // moved by every arming, shutdown and set_continuation
  Op op = Op::kNone;
  bool enabled = false;  // the user wants this operation to go on
  bool ended = false;    // EOS or ERROR was told: only a new arming goes on (INV-2)
};

}  // namespace netvc
