// vc/pending_connect.h - internal to native/vc.
//
// The part of a NetVConnection that exists only while it is being connected (CN-7).
#pragma once

#include "net/timer_queue.h"
#include "vc/net_vconnection.h"

namespace netvc {

struct NetVConnection::PendingConnect {
  PendingConnect(ConnectHandler* h, NetVConnection* vc)
      : handler(h), deadline(&on_connect_deadline, vc) {}
  ConnectHandler* handler;
  Timer deadline;
};

}  // namespace netvc
