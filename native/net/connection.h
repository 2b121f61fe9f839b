// net/connection.h - public to the next layers.
//
// Connection: a descriptor with its remote address and what is known about it (F-089). Owns the
// descriptor; move() hands it over. Thread-compatible: one thread at a time.
// Every method answers 0 or -errno and leaves the object consistent on failure.
#pragma once

#include "base/fd.h"
#include "net/address.h"
#include "net/admission.h"
#include "net/options.h"
#include "net/throttle.h"

namespace netvc {

/// Pushes options to a socket of the family: those that any socket may lack are ignored there, a
/// value that the system refuses is -errno, and what comes after it is not set.
int apply_options(int fd, int family, const NetVCOptions& options);
/// IP_TRANSPARENT: addresses that are not this machine's. 0 or -errno; before bind.
int set_transparent(int fd, int family);
/// SO_BINDTODEVICE, where it is given: 0 or -errno, -EOPNOTSUPP when this is not IP. Before bind.
int set_device(int fd, int family, const NetVCOptions& options);
/// TCP_MAXSEG, where it is given and this is TCP. 0 or -errno; before connect or listen.
int set_max_segment_size(int fd, int family, const NetVCOptions& options);

/// A descriptor that counts as an open socket of the process while it is owned (TH-1).
class CountedFd {
 public:
  CountedFd() = default;
  explicit CountedFd(int fd) { reset(fd); }
  CountedFd(CountedFd&& o) noexcept = default;
  CountedFd& operator=(CountedFd&& o) noexcept {
    reset();
    fd_ = std::move(o.fd_);
    return *this;
  }
  ~CountedFd() { reset(); }

  int get() const { return fd_.get(); }
  int release() {
    if (fd_.valid()) Throttle::process().closed();
    return fd_.release();
  }
  void reset(int fd = -1) {
    if (fd >= 0) Throttle::process().opened();
    if (fd_.valid()) Throttle::process().closed();
    fd_.reset(fd);
  }

 private:
  UniqueFd fd_;
};

class Connection {
 public:
  Connection() = default;
  /// An accepted socket.
  Connection(int fd, const Address& peer)
      : fd_(fd),
        remote(peer),
        is_bound(true),
        is_connected(true),
        is_socket(true),
        is_stream(true) {}

  int fd() const { return fd_.get(); }

  /// A socket of the target's family, options applied, bound as they say (CN-4).
  int open(const Address& target, const NetVCOptions& options);
  /// Issues connect(2): 0 also while it is in progress. With fast open nothing is sent yet (CN-9).
  int connect(const NetVCOptions& options);
  /// Takes a descriptor of any pollable kind; on failure it stays the caller's (CN-8).
  int adopt(int fd);
  /// Pushes options to a new socket; see the function of this name.
  int apply_options(const NetVCOptions& options) {
    return is_socket ? netvc::apply_options(fd(), remote.family(), options) : 0;
  }
  /// The same for an open one (VC-10): what they do not have is switched off.
  int change_options(const NetVCOptions& options);
  void close() {
    fd_.reset();
    ticket.give_back();
  }
  int release() { return fd_.release(); }

 private:
  CountedFd fd_;

 public:
  Address remote;
  Admission::Ticket ticket;  // of an accepted one, where a limit counts it
  bool is_bound = false;
  bool is_connected = false;
  bool is_socket = false;
  bool is_stream = false;          // a stream socket: no message boundaries
  bool fast_open_pending = false;  // the first write carries the connect
};

/// Sets SO_RCVBUF or SO_SNDBUF: the requested size, else rounded up to 1024 and lowered by 1024
/// until the kernel takes it (AC-3). Returns the size set, 0 when none was.
int set_buffer_size(int fd, int option, int bytes);

}  // namespace netvc
