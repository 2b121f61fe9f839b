// server/connect.h - public to the next layers.
//
// Outgoing connections (CN-*). Each call runs on the NetHandler that is to own the connection and
// ends in exactly one callback of the ConnectHandler, unless it was cancelled before.
//
//   connect_re   "connect issued": NET_OPEN at once, the outcome shows in the VIOs (CN-1)
//   connect_s    "connected": NET_OPEN when the peer has answered, within the timeout (CN-7)
//   connect_up   an open descriptor of any pollable kind (CN-8)
#pragma once

#include "vc/net_vconnection.h"

namespace netvc {

inline constexpr Nanos kConnectTimeout = 30 * kSecond;

/// The answer of the calls below while the outcome is open; cancel() is for the handler's thread.
/// After it no callback comes; later than the callback it does nothing.
class ConnectAction {
 public:
  ConnectAction() = default;
  explicit ConnectAction(VersionedId id) : id_(id) {}
  void cancel();
  VersionedId id() const { return id_; }

 private:
  VersionedId id_ = 0;
};

ConnectAction connect_re(NetHandler& h, const Address& to, const NetVCOptions& options,
                         ConnectHandler* told);
ConnectAction connect_s(NetHandler& h, const Address& to, const NetVCOptions& options,
                        ConnectHandler* told, Nanos timeout = kConnectTimeout);
/// On failure the descriptor is still the caller's and open; after on_open it is ours.
void connect_up(NetHandler& h, int fd, ConnectHandler* told);

}  // namespace netvc
