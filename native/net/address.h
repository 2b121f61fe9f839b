// net/address.h - public to the next layers.
//
// A socket address: IPv4, IPv6 or unix (path or abstract). A value; thread-compatible. Kept in
// every connection, so the large kind, a named unix address, is on the heap and the others are
// inside.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace netvc {

class Address {
 public:
  Address() = default;

  /// ip is a literal ("127.0.0.1", "::1", "fe80::1%eth0"). False when it is neither v4 nor v6.
  static bool from_ip(std::string_view ip, uint16_t port, Address* out);
  /// A path, or "@name" for the abstract namespace. False when empty or longer than sun_path.
  static bool from_unix(std::string_view path, Address* out);
  static Address any(int family, uint16_t port);
  static Address from_sockaddr(const sockaddr* sa, socklen_t len);
  static bool local_of(int fd, Address* out);
  static bool peer_of(int fd, Address* out);

  int family() const { return u_.sa.sa_family; }
  bool is_ip() const { return family() == AF_INET || family() == AF_INET6; }
  bool is_unix() const { return family() == AF_UNIX; }
  bool valid() const { return family() != AF_UNSPEC; }
  uint16_t port() const;
  void set_port(uint16_t port);
  /// "127.0.0.1", "::1"; for unix the path, "@name" when abstract, "" when unnamed.
  std::string host() const;
  /// tcp://127.0.0.1:80, tcp://[::1]:80, unix:///path, unix://@name.
  std::string url() const;

  const sockaddr* sa() const { return un_ ? reinterpret_cast<const sockaddr*>(un_.get()) : &u_.sa; }
  socklen_t len() const { return len_; }

 private:
  union {
    sockaddr sa;
    sockaddr_in in;
    sockaddr_in6 in6;
  } u_{};
  socklen_t len_ = 0;
  std::shared_ptr<const sockaddr_un> un_;  // of a unix address with a name; never changed
};

}  // namespace netvc
