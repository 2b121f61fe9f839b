// net/options.h - public to the next layers.
//
// What a connection is opened or accepted with (CN-3). A value; reset() is the default.
#pragma once

#include <cstdint>
#include <string>

#include "net/address.h"

namespace netvc {

enum class AddrBinding : uint8_t {
  kAny,      // bind only when local_port is set, to the wildcard of the family
  kIntf,     // bind to local_ip : local_port
  kForeign,  // the same after IP_TRANSPARENT
};

struct NetVCOptions {
  enum SockFlags : uint32_t { kNoDelay = 1, kKeepAlive = 2, kLingerOn = 4, kFastOpen = 8 };

  AddrBinding addr_binding = AddrBinding::kAny;
  Address local_ip;               // ignored with kAny
  uint16_t local_port = 0;        // 0: any
  bool blocking = false;          // carried; a reactor's descriptors are always non-blocking
  bool blocking_connect = false;  // carried, see above
  int recv_buffer_size = 0;       // bytes; 0: leave to the kernel
  int send_buffer_size = 0;
  uint32_t sock_flags = kNoDelay;
  uint32_t packet_mark = 0;
  uint32_t packet_tos = 0;
  std::string congestion_control;  // empty: leave to the kernel
  std::string device;              // of IP alone: the network interface to be bound to; empty: any
  // Of TCP alone; 0: leave to the kernel. See net/socket_options.h for the units.
  int keep_alive_idle = 0;
  int keep_alive_interval = 0;
  int keep_alive_count = 0;
  int not_sent_lowat = 0;
  int user_timeout = 0;
  int max_segment_size = 0;
  // Outgoing: the ports to choose the local one from, 0 and 0: the system's. local_port is 0.
  uint16_t local_port_low = 0;
  uint16_t local_port_high = 0;
  int thread = -1;  // which net thread of the pool; -1: round robin

  void reset() { *this = NetVCOptions(); }
};

}  // namespace netvc
