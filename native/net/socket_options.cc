#include "net/socket_options.h"

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <limits>

#include "net/socket_ops.h"

namespace netvc {

namespace {

struct Name {
  int level;
  int option;  // -1: this system does not have it
};

constexpr Name kNone{0, -1};

Name name_of(SocketOption o, int family) {
  switch (o) {
    case SocketOption::kNoDelay:
      return {IPPROTO_TCP, TCP_NODELAY};
    case SocketOption::kKeepAlive:
      return {SOL_SOCKET, SO_KEEPALIVE};
    case SocketOption::kKeepAliveIdle:
#ifdef TCP_KEEPIDLE
      return {IPPROTO_TCP, TCP_KEEPIDLE};
#else
      return {IPPROTO_TCP, TCP_KEEPALIVE};
#endif
    case SocketOption::kKeepAliveInterval:
      return {IPPROTO_TCP, TCP_KEEPINTVL};
    case SocketOption::kKeepAliveCount:
      return {IPPROTO_TCP, TCP_KEEPCNT};
    case SocketOption::kReceiveBufferSize:
      return {SOL_SOCKET, SO_RCVBUF};
    case SocketOption::kSendBufferSize:
      return {SOL_SOCKET, SO_SNDBUF};
    case SocketOption::kTos:
      if (family == AF_INET6) return {IPPROTO_IPV6, IPV6_TCLASS};
      return {IPPROTO_IP, IP_TOS};
    case SocketOption::kOutOfBandInline:
      return {SOL_SOCKET, SO_OOBINLINE};
    case SocketOption::kMaxSegmentSize:
      return {IPPROTO_TCP, TCP_MAXSEG};
    case SocketOption::kMark:
#ifdef SO_MARK
      return {SOL_SOCKET, SO_MARK};
#else
      return kNone;
#endif
    case SocketOption::kNotSentLowat:
#ifdef TCP_NOTSENT_LOWAT
      return {IPPROTO_TCP, TCP_NOTSENT_LOWAT};
#else
      return kNone;
#endif
    case SocketOption::kUserTimeout:
#ifdef TCP_USER_TIMEOUT
      return {IPPROTO_TCP, TCP_USER_TIMEOUT};
#else
      return kNone;
#endif
  }
  return kNone;
}

}  // namespace

int set_socket_option(int fd, int family, SocketOption o, int value) {
  const Name n = name_of(o, family);
  return n.option < 0 ? -EOPNOTSUPP : sock::set_int_option(fd, n.level, n.option, value);
}

int get_socket_option(int fd, int family, SocketOption o, int* value) {
  const Name n = name_of(o, family);
  if (n.option < 0) return -EOPNOTSUPP;
  socklen_t len = sizeof *value;
  return ::getsockopt(fd, n.level, n.option, value, &len) == 0 ? 0 : -errno;
}

int bind_to_device(int fd, const std::string& name) {
#ifdef SO_BINDTODEVICE
  // A longer one cannot exist, and the kernel would take its beginning.
  if (name.size() >= IFNAMSIZ) return -ENODEV;
  const auto length = static_cast<socklen_t>(name.size());
  return ::setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name.data(), length) == 0 ? 0 : -errno;
#else
  (void)fd, (void)name;
  return -EOPNOTSUPP;
#endif
}

std::string bound_device(int fd) {
  char name[IFNAMSIZ] = {};
#ifdef SO_BINDTODEVICE
  socklen_t n = sizeof name;
  if (::getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &n) != 0) return {};
#else
  (void)fd;
#endif
  return {name, ::strnlen(name, sizeof name)};
}

int peer_credentials(int fd, PeerCredentials* out) {
#ifdef SO_PEERCRED
  int family = 0;
  socklen_t n = sizeof family;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n) != 0) return -errno;
  if (family != AF_UNIX) return -EOPNOTSUPP;
  ucred found{};
  n = sizeof found;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &found, &n) != 0) return -errno;
  *out = {found.pid, found.uid, found.gid};
  return 0;
#else
  (void)fd, (void)out;
  return -EOPNOTSUPP;
#endif
}

int set_congestion_control(int fd, const std::string& name) {
#ifdef TCP_CONGESTION
  const auto len = static_cast<socklen_t>(name.size());
  return ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), len) == 0 ? 0 : -errno;
#else
  (void)fd, (void)name;
  return -EOPNOTSUPP;
#endif
}

std::string congestion_control(int fd) {
#ifdef TCP_CONGESTION
  char name[64] = {};
  socklen_t len = sizeof name - 1;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) == 0) return name;
#else
  (void)fd;
#endif
  return {};
}

#ifdef __linux__

namespace {

// Where struct tcp_info has what. It only ever grows at its end, and the headers that this is built
// with may be older than the kernel that it runs on.
struct Field {
  const char* name;
  uint16_t at;
  uint8_t size;
};

constexpr Field kFields[] = {
    {"state", 0, 1},
    {"congestionState", 1, 1},
    {"retransmits", 2, 1},
    {"probes", 3, 1},
    {"backoff", 4, 1},
    {"options", 5, 1},
    {"rtoUs", 8, 4},
    {"delayedAckUs", 12, 4},
    {"mss", 16, 4},
    {"receiveMss", 20, 4},
    {"unacked", 24, 4},
    {"sacked", 28, 4},
    {"lost", 32, 4},
    {"retransmitting", 36, 4},
    {"lastDataSentMs", 44, 4},
    {"lastDataReceivedMs", 52, 4},
    {"lastAckReceivedMs", 56, 4},
    {"pathMtu", 60, 4},
    {"receiveSlowStartThreshold", 64, 4},
    {"rttUs", 68, 4},
    {"rttVarUs", 72, 4},
    {"slowStartThreshold", 76, 4},
    {"congestionWindow", 80, 4},
    {"advertisedMss", 84, 4},
    {"reordering", 88, 4},
    {"receiveRttUs", 92, 4},
    {"receiveSpace", 96, 4},
    {"totalRetransmits", 100, 4},
    {"pacingRate", 104, 8},
    {"maxPacingRate", 112, 8},
    {"bytesAcked", 120, 8},
    {"bytesReceived", 128, 8},
    {"segmentsOut", 136, 4},
    {"segmentsIn", 140, 4},
    {"notSentBytes", 144, 4},
    {"minRttUs", 148, 4},
    {"dataSegmentsIn", 152, 4},
    {"dataSegmentsOut", 156, 4},
    {"deliveryRate", 160, 8},
    {"busyUs", 168, 8},
    {"receiveWindowLimitedUs", 176, 8},
    {"sendBufferLimitedUs", 184, 8},
    {"delivered", 192, 4},
    {"deliveredCe", 196, 4},
    {"bytesSent", 200, 8},
    {"bytesRetransmitted", 208, 8},
    {"duplicateSacks", 216, 4},
    {"reorderSeen", 220, 4},
    {"outOfOrderPackets", 224, 4},
    {"sendWindow", 228, 4},
    {"receiveWindow", 232, 4},
};

double number_at(const char* p, size_t size) {
  switch (size) {
    case 1:
      return static_cast<uint8_t>(*p);
    case 4: {
      uint32_t v;
      __builtin_memcpy(&v, p, sizeof v);
      return v;
    }
    default: {
      uint64_t v;
      __builtin_memcpy(&v, p, sizeof v);
      return v == UINT64_MAX ? std::numeric_limits<double>::infinity() : static_cast<double>(v);
    }
  }
}

}  // namespace

std::vector<TcpInfoField> tcp_info(int fd) {
  char raw[512];
  socklen_t len = sizeof raw;
  std::vector<TcpInfoField> found;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, raw, &len) != 0) return found;
  for (const Field& f : kFields) {
    if (f.at + f.size <= len) found.push_back({f.name, number_at(raw + f.at, f.size)});
  }
  return found;
}

#else

std::vector<TcpInfoField> tcp_info(int) { return {}; }

#endif

}  // namespace netvc
