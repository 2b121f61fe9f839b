// vc/observers.h - public to the next layers.
//
// Who follows a NetVConnection besides its continuations: the maker of an outgoing one, and one
// observer for its whole life. Owner: whoever made them; they outlive what they follow, or take
// themselves away. Threads: the connection's.
#pragma once

#include <memory>
#include <string>

#include "base/versioned_pool.h"

namespace netvc {

class NetVConnection;

/// Why a connect failed (CN-2, CN-7): a positive errno or one of the ENET_* codes of vc/codes.h,
/// and the errno behind it (0 for none).
struct ConnectError {
  int code;
  int error_number;
  /// The connection that it would have been; 0: none was made. And what set_failed() was given.
  VersionedId id = 0;
  std::shared_ptr<const std::string> reason = {};
};

/// Told once when an outgoing connection is there or has failed; before that nothing of it exists
/// for the user (CN-7). The failed connection is released before the call.
class ConnectHandler {
 public:
  virtual void on_open(NetVConnection& vc) = 0;
  virtual void on_open_failed(ConnectError error) = 0;

 protected:
  ~ConnectHandler() = default;
};

/// Follows a connection besides its continuations. On the connection's thread.
class VcObserver {
 public:
  /// Once, when the connection is closed: by do_io_close, of its user or of somebody else
  /// (tell_close), or by itself, when nobody was armed to hear of its end (SIG-2) or its handler
  /// shut down.
  virtual void on_vc_closed(NetVConnection& vc, bool by_itself) = 0;
  /// The read VIO was disabled, without an event, since its buffer is full (RD-14).
  virtual void on_buffer_full(NetVConnection&) {}
  /// Whether this group's user, as the layer above names it, is behind the observer.
  virtual bool belongs_to(const void*) const { return false; }
  /// That user goes, and what it has goes on without anybody who is told. False: it cannot.
  virtual bool goes_on_without(const void*) { return false; }

 protected:
  ~VcObserver() = default;
};

}  // namespace netvc
