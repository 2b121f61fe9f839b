#include "vc/tunnel_watch.h"

#include <algorithm>

#include "vc/timeouts.h"

namespace netvc {

void TunnelWatch::start(const TunnelLimits& limits, Nanos now) {
  limits_ = limits;
  started_ = now;
  for (Seen& s : seen_)
    s = {0, now};
}

void TunnelWatch::set_limits(const TunnelLimits& limits, Nanos now) {
  if (limits_.stall == 0) {  // nobody has looked until now
    for (Seen& s : seen_)
      s.at = now;
  }
  if (started_ == 0) started_ = now;
  limits_ = limits;
}

TunnelWatch::Finding TunnelWatch::check(const Look& look, Nanos now) {
  Finding f;
  const auto over = [&](TunnelEnd end, Nanos since, Nanos limit) {
    if (limit == 0 || f.end != TunnelEnd{}) return;
    if (now > since + limit) {
      f.end = end;
    } else {
      const Nanos at = check_time(since + limit, limit);
      if (f.next == 0 || at < f.next) f.next = at;
    }
  };
  const Nanos last = std::max(look.last_activity, started_);
  if (limits_.stall != 0) {
    for (int i : {0, 1}) {
      Seen& seen = seen_[i];
      const Direction& d = look.direction[i];
      if (!d.waiting || d.taken != seen.taken) seen = {d.taken, now};
      over(TunnelEnd::kStall, seen.at, limits_.stall);
      if (f.end != TunnelEnd{}) {
        f.side = 1 - i;
        return f;
      }
    }
    const Nanos again = check_time(now + limits_.stall / 4, limits_.stall / 4);
    if (f.next == 0 || again < f.next) f.next = again;
  }
  over(TunnelEnd::kActive, started_, limits_.active);
  if (look.half_closed_at != 0)
    over(TunnelEnd::kHalfClose, std::max(last, look.half_closed_at), limits_.half_close);
  over(TunnelEnd::kInactivity, last, limits_.inactivity);
  return f;
}

}  // namespace netvc
