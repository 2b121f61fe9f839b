#include "net/connection.h"

#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <cerrno>

#include "net/socket_ops.h"

namespace netvc {

int set_buffer_size(int fd, int option, int bytes) {
  if (bytes <= 0) return 0;
  if (sock::set_int_option(fd, SOL_SOCKET, option, bytes) == 0) return bytes;
  for (int size = (bytes + 1023) / 1024 * 1024; size > 0; size -= 1024) {
    if (sock::set_int_option(fd, SOL_SOCKET, option, size) == 0) return size;
  }
  return 0;
}

int Connection::open(const Address& target, const NetVCOptions& options) {
  const int fd = sock::stream_socket(target.family());
  if (fd < 0) return fd;
  UniqueFd owned(fd);
  const bool ip = target.is_ip();
  if (ip) sock::set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);

  Address local;
  if (options.addr_binding == AddrBinding::kAny) {
    if (options.local_port != 0 && ip) local = Address::any(target.family(), options.local_port);
  } else {
    if (!ip || options.local_ip.family() != target.family()) return -EAFNOSUPPORT;
    local = options.local_ip;
    local.set_port(options.local_port);
    if (options.addr_binding == AddrBinding::kForeign) {
#ifdef IP_TRANSPARENT
      const bool v6 = target.family() == AF_INET6;
      const int r = sock::set_int_option(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                                         v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, 1);
      if (r < 0) return r;
#else
      return -EOPNOTSUPP;
#endif
    }
#ifdef IP_BIND_ADDRESS_NO_PORT
    // The port is picked at connect, by the four-tuple: many more connections per local address.
    else if (options.local_port == 0) {
      sock::set_int_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    }
#endif
  }
  // Buffer sizes before connect, since they decide the window scale.
  set_buffer_size(fd, SO_RCVBUF, options.recv_buffer_size);
  set_buffer_size(fd, SO_SNDBUF, options.send_buffer_size);
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
  is_socket = type != 0;
  is_stream = type == SOCK_STREAM;
  if (is_socket) Address::peer_of(fd, &remote);
  is_bound = is_connected = true;
  fd_.reset(fd);
  return 0;
}

int Connection::apply_options(const NetVCOptions& options) {
  if (!is_socket) return 0;
  const bool ip = remote.is_ip();
  if (ip)
    sock::set_int_option(fd(), IPPROTO_TCP, TCP_NODELAY,
                         (options.sock_flags & NetVCOptions::kNoDelay) ? 1 : 0);
  if (options.sock_flags & NetVCOptions::kKeepAlive)
    sock::set_int_option(fd(), SOL_SOCKET, SO_KEEPALIVE, 1);
  if (options.sock_flags & NetVCOptions::kLingerOn) {
    const linger reset{1, 0};  // RST on close
    ::setsockopt(fd(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
#ifdef SO_MARK
  if (options.packet_mark) {
    const int r =
        sock::set_int_option(fd(), SOL_SOCKET, SO_MARK, static_cast<int>(options.packet_mark));
    if (r < 0) return r;
  }
#endif
  if (options.packet_tos && ip) {
    const bool v6 = remote.family() == AF_INET6;
    sock::set_int_option(fd(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS,
                         static_cast<int>(options.packet_tos));
  }
#ifdef TCP_CONGESTION
  if (ip && !options.congestion_control.empty()) {
    const std::string& name = options.congestion_control;
    if (::setsockopt(fd(), IPPROTO_TCP, TCP_CONGESTION, name.data(),
                     static_cast<socklen_t>(name.size())) != 0) {
      return -errno;
    }
  }
#endif
  return 0;
}

}  // namespace netvc
