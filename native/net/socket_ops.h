// net/socket_ops.h - public to the next layers.
//
// The system calls of the data path and of connecting and accepting, behind one seam. Every
// function answers a count or -errno and retries EINTR itself; nothing else is retried (RD-7,
// B-17). No call ever raises SIGPIPE (AD-9).
//
// The seam: tests, and game days in production, install a FaultInjector that may shorten a
// transfer or make a call fail. It is process-wide, off by default, and costs one relaxed load and
// a predicted branch per call.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

#include "net/address.h"

namespace netvc {

enum class SocketOp { kRead, kWrite, kAccept, kConnect, kSocket, kSendOob, kSetOption };

class FaultInjector {
 public:
  virtual ~FaultInjector() = default;
  /// Any thread, before the system call. Returns 0 to let it happen, or an errno value to fail with
  /// (EINTR included). For transfers *limit may be lowered (>= 1): at most so many bytes.
  virtual int before(SocketOp op, int fd, size_t* limit) = 0;
};

namespace sock {

/// Null switches it off. The injector must outlive every call under way.
void set_fault_injector(FaultInjector* injector);
/// True while one is installed: a transfer may be shorter than the kernel would have made it.
bool has_fault_injector();

ssize_t read(int fd, const iovec* iov, int count);
/// is_socket: uses MSG_NOSIGNAL; else writev, for which the caller's thread has SIGPIPE blocked or
/// ignored.
ssize_t write(int fd, const iovec* iov, int count, bool is_socket);
/// Urgent bytes (MSG_OOB); the last one that is taken is marked.
ssize_t send_oob(int fd, const iovec& bytes);
/// The new descriptor (close-on-exec, non-blocking) or -errno.
int accept(int fd, Address* peer);
/// 0, or -errno; -EINPROGRESS is the usual answer.
int connect(int fd, const Address& to);
/// The first write of a fast open: connects and sends in one call (CN-9).
ssize_t fast_open_write(int fd, const iovec* iov, int count, const Address& to);
/// A close-on-exec, non-blocking stream socket of the family, or -errno.
int stream_socket(int family);

int set_nonblocking(int fd);
int set_int_option(int fd, int level, int name, int value);
/// Fetches and clears the pending error of the socket (0 = none).
int take_error(int fd);
/// Whether reading, or accepting, would find something now.
bool readable(int fd);
/// 0 when fd is not a socket.
int socket_type(int fd);
bool is_listening(int fd);

}  // namespace sock

}  // namespace netvc
