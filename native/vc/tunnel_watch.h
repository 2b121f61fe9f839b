// vc/tunnel_watch.h - internal to native/vc.
//
// TunnelWatch: when a tunnel has to end although nobody ends it. It decides from what it is shown,
// and touches nothing, so it is tested with any clock.
//
//   inactivity   no byte has moved, anywhere, for so long
//   active       the tunnel is so old
//   half_close   one direction has ended, and since then nothing has moved for so long
//   stall        bytes for one side wait, and that side has taken none for so long, although the
//                other direction may be busy
//
// 0 is no limit. Never early; stalls are looked at four times per limit, so up to a quarter late.
// Owner: the tunnel. Threads: the tunnel's.
#pragma once

#include "base/clock.h"

namespace netvc {

enum class TunnelEnd : uint8_t {
  kEos = 1,     // both directions came to their end
  kError = 2,   // error_number and side say which
  kClosed = 3,  // a connection was closed by its user, or its reactor
  kFailed = 4,  // could not start: a connection was gone
  kInactivity = 5,
  kActive = 6,
  kHalfClose = 7,
  kStall = 8,  // side takes nothing
};

struct TunnelLimits {
  Nanos inactivity = 0;
  Nanos active = 0;
  Nanos half_close = 0;
  Nanos stall = 0;

  bool any() const { return inactivity || active || half_close || stall; }
};

class TunnelWatch {
 public:
  struct Direction {
    bool waiting = false;  // bytes are there that the destination has not taken
    int64_t taken = 0;     // bytes that it has taken
  };
  struct Look {
    Nanos last_activity = 0;   // of both connections
    Nanos half_closed_at = 0;  // 0: both directions go on
    Direction direction[2];    // 0: towards side 1
  };
  struct Finding {
    TunnelEnd end{};  // 0: it goes on
    int side = 0;
    Nanos next = 0;  // when to look again; 0: never
  };

  void start(const TunnelLimits& limits, Nanos now);
  /// From now on these; what was seen before counts.
  void set_limits(const TunnelLimits& limits, Nanos now);
  Finding check(const Look& look, Nanos now);

 private:
  TunnelLimits limits_;
  Nanos started_ = 0;
  struct Seen {
    int64_t taken = 0;
    Nanos at = 0;
  };
  Seen seen_[2];
};

}  // namespace netvc
