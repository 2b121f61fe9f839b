// vc/extras.h - internal to native/vc.
//
// What few connections have: urgent bytes on their way (OB-*), and a trace (OT-*). Made when first
// needed, freed with the connection. Thread: the connection's.
#pragma once

#include <string>

#include "net/timer_queue.h"
#include "vc/net_vconnection.h"
#include "vc/trace.h"

namespace netvc {

struct NetVConnection::Extras {
  explicit Extras(NetVConnection* vc) : oob_timer(&on_oob_timer, vc) {}

  std::string oob;  // what the kernel has not taken; empty: nothing is under way
  Notice* oob_told = nullptr;
  int64_t oob_behind = 0;  // of a message that has begun: these bytes leave first
  Timer oob_timer;         // armed while something is under way and the connection is attached
  TracedTransport trace;
};

}  // namespace netvc
