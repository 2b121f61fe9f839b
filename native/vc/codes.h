// vc/codes.h - public to the next layers.
//
// What can be wrong besides the system's errno values, as positive numbers beyond them. The names
// are Apache Traffic Server's and brpc's where they have one. lib/errors.ts has the same list.
#pragma once

namespace netvc {

inline constexpr int ENET_THROTTLING = 20101;
inline constexpr int ENET_CONNECT_TIMEOUT = 20102;
inline constexpr int ENET_CONNECT_FAILED = 20103;

/// Too many bytes wait for a peer that does not read (SW-1).
inline constexpr int EOVERCROWDED = 20110;
/// Failed by set_failed(0): somebody said so and gave no reason (SK-4).
inline constexpr int EFAILEDSOCKET = 20111;
/// Closed by its user.
inline constexpr int ENET_CLOSED = 20112;
/// It belongs to a tunnel.
inline constexpr int ENET_TUNNELED = 20113;
/// Its writing side was shut down.
inline constexpr int ENET_SHUT = 20114;
/// Nothing was read or written for longer than its listener allows (AP-5).
inline constexpr int EUNUSED = 20115;
/// Urgent bytes of before have not left yet (OB-1).
inline constexpr int ENET_OOB_PENDING = 20121;
/// Its user has called cancel_oob (OB-2).
inline constexpr int ENET_OOB_CANCELLED = 20122;

}  // namespace netvc
