#include "net/connection.h"

#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <utility>

#include "net/socket_ops.h"
#include "net/socket_options.h"

namespace netvc {

int set_buffer_size(int fd, int option, int bytes) {
  if (bytes <= 0) return 0;
  if (sock::set_int_option(fd, SOL_SOCKET, option, bytes) == 0) return bytes;
  for (int size = (bytes + 1023) / 1024 * 1024; size > 0; size -= 1024) {
    if (sock::set_int_option(fd, SOL_SOCKET, option, size) == 0) return size;
  }
  return 0;
}

namespace {

constexpr int kIpLocalPortRange = 51;  // IP_LOCAL_PORT_RANGE, newer than many headers

// The port is then one of the range, still picked at connect. Also for v6 at the level of IP.
int set_port_range(int fd, const NetVCOptions& o) {
#ifdef __linux__
  const uint32_t range = uint32_t{o.local_port_high} << 16 | o.local_port_low;
  return sock::set_int_option(fd, IPPROTO_IP, kIpLocalPortRange, static_cast<int>(range));
#else
  (void)fd, (void)o, (void)kIpLocalPortRange;
  return -EOPNOTSUPP;
#endif
}

}  // namespace

int apply_options(int fd, int family, const NetVCOptions& o) {
  const bool ip = family == AF_INET || family == AF_INET6;
  if (ip)
    set_socket_option(fd, family, SocketOption::kNoDelay,
                      (o.sock_flags & NetVCOptions::kNoDelay) ? 1 : 0);
  if (o.sock_flags & NetVCOptions::kKeepAlive)
    set_socket_option(fd, family, SocketOption::kKeepAlive, 1);
  if (o.sock_flags & NetVCOptions::kLingerOn) {
    const linger reset{1, 0};  // RST on close
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
#ifdef SO_MARK
  if (o.packet_mark) {
    const int r =
        set_socket_option(fd, family, SocketOption::kMark, static_cast<int>(o.packet_mark));
    if (r < 0) return r;
  }
#endif
  if (!ip) return 0;
  if (o.packet_tos)
    set_socket_option(fd, family, SocketOption::kTos, static_cast<int>(o.packet_tos));
#ifdef TCP_CONGESTION
  if (!o.congestion_control.empty()) {
    if (const int r = set_congestion_control(fd, o.congestion_control); r < 0) return r;
  }
#endif
  for (const auto& [option, value] : {std::pair{SocketOption::kKeepAliveIdle, o.keep_alive_idle},
                                      {SocketOption::kKeepAliveInterval, o.keep_alive_interval},
                                      {SocketOption::kKeepAliveCount, o.keep_alive_count},
                                      {SocketOption::kNotSentLowat, o.not_sent_lowat},
                                      {SocketOption::kUserTimeout, o.user_timeout}}) {
    if (value == 0) continue;
    if (const int r = set_socket_option(fd, family, option, value); r < 0) return r;
  }
  return 0;
}

int Connection::change_options(const NetVCOptions& o) {
  if (!is_socket) return 0;
  const int family = remote.family();
  const auto off = [&](SocketOption option) {
    int value = 0;
    if (get_socket_option(fd(), family, option, &value) == 0 && value != 0)
      set_socket_option(fd(), family, option, 0);
  };
  if (!(o.sock_flags & NetVCOptions::kKeepAlive)) off(SocketOption::kKeepAlive);
  if (!(o.sock_flags & NetVCOptions::kLingerOn)) {
    const linger none{0, 0};
    ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
  }
  if (o.packet_mark == 0) off(SocketOption::kMark);
  if (remote.is_ip()) {
    if (o.packet_tos == 0) off(SocketOption::kTos);
    if (o.not_sent_lowat == 0) off(SocketOption::kNotSentLowat);
    if (o.user_timeout == 0) off(SocketOption::kUserTimeout);
  }
  return apply_options(o);
}

int set_transparent(int fd, int family) {
#ifdef IP_TRANSPARENT
  const bool v6 = family == AF_INET6;
  return sock::set_int_option(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                              v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1);
#else
  (void)fd, (void)family;
  return -EOPNOTSUPP;
#endif
}

int set_device(int fd, int family, const NetVCOptions& o) {
  if (o.device.empty()) return 0;
  if (family != AF_INET && family != AF_INET6) return -EOPNOTSUPP;
  return bind_to_device(fd, o.device);
}

int set_max_segment_size(int fd, int family, const NetVCOptions& o) {
  if (o.max_segment_size == 0 || (family != AF_INET && family != AF_INET6)) return 0;
  return set_socket_option(fd, family, SocketOption::kMaxSegmentSize, o.max_segment_size);
}

int Connection::open(const Address& target, const NetVCOptions& options) {
  const int fd = sock::stream_socket(target.family());
  if (fd < 0) return fd;
  UniqueFd owned(fd);
  const bool ip = target.is_ip();
  if (ip) sock::set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (const int r = set_device(fd, target.family(), options); r < 0) return r;

  Address local;
  if (options.addr_binding == AddrBinding::kAny) {
    if (options.local_port != 0 && ip) local = Address::any(target.family(), options.local_port);
  } else {
    if (!ip || options.local_ip.family() != target.family()) return -EAFNOSUPPORT;
    local = options.local_ip;
    local.set_port(options.local_port);
    if (options.addr_binding == AddrBinding::kForeign) {
      if (const int r = set_transparent(fd, target.family()); r < 0) return r;
    }
#ifdef IP_BIND_ADDRESS_NO_PORT
    // The port is picked at connect, by the four-tuple: many more connections per local address.
    else if (options.local_port == 0) {
      sock::set_int_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    }
#endif
  }
  if (ip && options.local_port_high != 0) {
    if (const int r = set_port_range(fd, options); r < 0) return r;
  }
  // Buffer sizes before connect, since they decide the window scale.
  set_buffer_size(fd, SO_RCVBUF, options.recv_buffer_size);
  set_buffer_size(fd, SO_SNDBUF, options.send_buffer_size);
  if (const int r = set_max_segment_size(fd, target.family(), options); r < 0) return r;
  if (local.valid() && ::bind(fd, local.sa(), local.len()) != 0) return -errno;

  fd_.reset(owned.release());
  remote = target;
  is_socket = is_stream = true;
  is_bound = local.valid();
  is_connected = false;
  return apply_options(options);
}

int Connection::connect(const NetVCOptions& options) {
  if ((options.sock_flags & NetVCOptions::kFastOpen) && remote.is_ip()) {
    fast_open_pending = true;
    is_connected = true;
    return 0;
  }
  const int r = sock::connect(fd(), remote);
  if (r < 0 && r != -EINPROGRESS && r != -EWOULDBLOCK) return r;
  // A unix socket whose backlog is full answers EAGAIN and will never become connected.
  if (r == -EWOULDBLOCK && remote.is_unix()) return r;
  is_connected = true;
  return 0;
}

int Connection::adopt(int fd) {
  const int r = sock::set_nonblocking(fd);
  if (r < 0) return r;
  const int type = sock::socket_type(fd);
  if (type != 0 && sock::is_listening(fd)) return -EINVAL;  // bytes never come from it
  is_socket = type != 0;
  is_stream = type == SOCK_STREAM;
  if (is_socket) Address::peer_of(fd, &remote);
  is_bound = is_connected = true;
  fd_.reset(fd);
  return 0;
}

}  // namespace netvc
