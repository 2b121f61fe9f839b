// vc/vconnection.h - public to the next layers.
//
// VConnection: an abstract byte conduit with one read and one write operation. Sockets
// (vc/net_vconnection.h) and in-process pairs are VConnections; one conformance suite proves each.
//
// Thread: all methods on the connection's own thread unless said otherwise; other threads use the
// id (vc/remote.h). None of these methods calls the user back on its own stack, except
// reenable_re (VC-4). Errors travel as events and lerrno, never as exceptions.
#pragma once

#include <cstdint>

#include "vc/vio.h"

namespace netvc {

enum class Shutdown : uint8_t { kRead = 1, kWrite = 2, kReadWrite = 3 };

enum DataId : int {
  kDataReadVio = 1,
  kDataWriteVio = 2,
  kDataClosed = 3,
  kDataLocal = 4,  // of an end of a pair: an opaque value, and the one of the other end (PV-25)
  kDataRemote = 5,
};

class VConnection {
 public:
  /// Arms reading into m: nbytes of it (VIO::kUnlimited: until EOS). do_io_read(nullptr, 0,
  /// nullptr) cancels. Null when the connection is closed (VC-1).
  virtual VIO* do_io_read(Continuation* c, int64_t nbytes, Ref<MIOBuffer> m) = 0;
  /// Arms writing from r; `owner` must be false when a reader is given (VC-3).
  virtual VIO* do_io_write(Continuation* c, int64_t nbytes, IOBufferReader* r,
                           bool owner = false) = 0;
  /// Shuts the side(s) at once; no event of that side follows (VC-5).
  virtual void do_io_shutdown(Shutdown how) = 0;
  /// No event follows, ever (CL-2). lerrno other than 0 and -1 is stored and marks an abort.
  virtual void do_io_close(int lerrno = -1) = 0;

  /// The buffer has room, or bytes, again (RE-1).
  virtual void reenable(VIO* vio) = 0;
  /// The same, with the I/O done before it returns; callbacks nest (RE-5).
  virtual void reenable_re(VIO* vio) = 0;

  /// READ_VIO, WRITE_VIO: VIO*; CLOSED: int; LOCAL, REMOTE: void*. False for an unknown id, and
  /// nothing is written (VC-7).
  virtual bool get_data(int id, void* data) = 0;
  /// LOCAL and REMOTE of an end of a pair are set to `data`; false for anything else.
  virtual bool set_data(int, void*) { return false; }

  int lerrno = 0;  // the errno of the last ERROR, 0 if none

 protected:
  ~VConnection() = default;
};

inline void VIO::reenable() {
  if (vc_server) vc_server->reenable(this);
}
inline void VIO::reenable_re() {
  if (vc_server) vc_server->reenable_re(this);
}
inline void VIO::done() {
  IOBufferReader* r = buffer.reader();
  nbytes = ndone + (r ? r->read_avail() : 0);
}

}  // namespace netvc
