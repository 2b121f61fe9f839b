// net/socket_options.h - public to the next layers.
//
// Options of an open socket, one at a time, as a system names and counts them: what is set by name
// (VC-10), what the kernel answers, and TCP_INFO. Stateless; each call is one system call. Thread:
// any that keeps the descriptor open. What the socket, or the system, does not have answers
// -EOPNOTSUPP, -ENOPROTOOPT or -ENOTSOCK.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace netvc {

/// lib/socket-options.ts has the same list, in this order.
enum class SocketOption : uint8_t {
  kNoDelay,            // TCP_NODELAY, 0 or 1
  kKeepAlive,          // SO_KEEPALIVE, 0 or 1
  kKeepAliveIdle,      // TCP_KEEPIDLE, seconds
  kKeepAliveInterval,  // TCP_KEEPINTVL, seconds
  kKeepAliveCount,     // TCP_KEEPCNT
  kReceiveBufferSize,  // SO_RCVBUF, bytes; the kernel doubles what it is given
  kSendBufferSize,     // SO_SNDBUF, the same
  kTos,                // IP_TOS, IPV6_TCLASS
  kMark,               // SO_MARK; needs CAP_NET_ADMIN
  kNotSentLowat,       // TCP_NOTSENT_LOWAT, bytes
  kUserTimeout,        // TCP_USER_TIMEOUT, ms
  kOutOfBandInline,    // SO_OOBINLINE, 0 or 1
  kMaxSegmentSize,     // TCP_MAXSEG, bytes; only before connect or listen
};
inline constexpr int kSocketOptions = 13;

/// 0 or -errno. `family` is the socket's.
int set_socket_option(int fd, int family, SocketOption o, int value);
/// 0 or -errno.
int get_socket_option(int fd, int family, SocketOption o, int* value);
/// TCP_CONGESTION: 0 or -errno (ENOENT: the kernel knows none of this name).
int set_congestion_control(int fd, const std::string& name);
/// Empty when the socket has none.
std::string congestion_control(int fd);

/// SO_BINDTODEVICE: 0 or -errno (ENODEV: there is no such interface).
int bind_to_device(int fd, const std::string& name);
/// Empty when it is bound to none.
std::string bound_device(int fd);

/// The process at the other end, as it was when it connected, listened, or made the socket pair.
struct PeerCredentials {
  int64_t pid = 0;  // 0: not visible from here, since it is in another namespace
  int64_t uid = 0;
  int64_t gid = 0;
};
/// 0 or -errno; -EOPNOTSUPP when it is not a unix socket.
int peer_credentials(int fd, PeerCredentials* out);

struct TcpInfoField {
  const char* name;
  double value;  // ~0 of 64 bits, which means "no limit", is infinite
};
/// TCP_INFO: the fields that this kernel has, under the names and in the units of lib/tcp-info.ts.
/// Empty when it is not TCP.
std::vector<TcpInfoField> tcp_info(int fd);

}  // namespace netvc
