// vc/transport.h - public to the next layers.
//
// How a NetVConnection moves bytes over its descriptor: the place where another byte transport
// (TLS, a test double) is put in (F-041). Calls answer a count or -errno; 0 from read is the end.
// Thread: the connection's. Owner: whoever made it; it outlives its connections.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

namespace netvc {

class Connection;

/// Which readiness a blocked call waits for. TLS may have to read in order to write (WR-10, WR-13).
enum Needs : unsigned { kNeedsRead = 1, kNeedsWrite = 2 };

class Transport {
 public:
  virtual ~Transport() = default;
  virtual ssize_t read(Connection& con, const iovec* iov, int count, unsigned* needs) = 0;
  virtual ssize_t write(Connection& con, const iovec* iov, int count, unsigned* needs) = 0;
  /// A read that filled less than it offered has emptied the socket, so that new bytes make a new
  /// edge. True only where the kernel guarantees it.
  virtual bool short_read_means_empty(const Connection& con) const = 0;

  /// The descriptor itself.
  static Transport& plain();
};

}  // namespace netvc
