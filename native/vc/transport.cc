#include "vc/transport.h"

#include <cerrno>

#include "net/connection.h"
#include "net/socket_ops.h"

namespace netvc {

namespace {

class PlainTransport final : public Transport {
 public:
  ssize_t read(Connection& con, const iovec* iov, int count, unsigned* needs) override {
    *needs |= kNeedsRead;
    return sock::read(con.fd(), iov, count);
  }
  ssize_t write(Connection& con, const iovec* iov, int count, unsigned* needs) override {
    *needs |= kNeedsWrite;
    if (!con.fast_open_pending) [[likely]]
      return sock::write(con.fd(), iov, count, con.is_socket);
    // The first write of a fast open issues the connect; "in progress" is "would block" (CN-9).
    const ssize_t r = sock::fast_open_write(con.fd(), iov, count, con.remote);
    con.fast_open_pending = r == -ENOBUFS || r == -ENOMEM;
    return r;
  }
  bool short_read_means_empty(const Connection& con) const override {
    // Not for unix sockets, datagrams and pipes: there a message boundary also ends a read early.
    return con.is_stream && con.remote.is_ip() && !sock::has_fault_injector();
  }
};

}  // namespace

Transport& Transport::plain() {
  // Never destroyed: exit() runs destructors while net threads go on.
  static auto* const t = new PlainTransport();
  return *t;
}

}  // namespace netvc
