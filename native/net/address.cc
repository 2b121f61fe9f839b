#include "net/address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace netvc {

bool Address::from_ip(std::string_view ip, uint16_t port, Address* out) {
  std::string text(ip);
  Address a;
  if (::inet_pton(AF_INET, text.c_str(), &a.u_.in.sin_addr) == 1) {
    a.u_.in.sin_family = AF_INET;
    a.len_ = sizeof(sockaddr_in);
  } else {
    std::string zone;
    if (const size_t percent = text.find('%'); percent != std::string::npos) {
      zone = text.substr(percent + 1);
      text.resize(percent);
    }
    if (::inet_pton(AF_INET6, text.c_str(), &a.u_.in6.sin6_addr) != 1) return false;
    a.u_.in6.sin6_family = AF_INET6;
    a.len_ = sizeof(sockaddr_in6);
    if (!zone.empty()) {
      const unsigned index = ::if_nametoindex(zone.c_str());
      a.u_.in6.sin6_scope_id =
          index ? index : static_cast<uint32_t>(std::strtoul(zone.c_str(), nullptr, 10));
    }
  }
  a.set_port(port);
  *out = a;
  return true;
}

bool Address::from_unix(std::string_view path, Address* out) {
  sockaddr_un un{};
  const bool abstract = !path.empty() && path[0] == '@';
  // A path needs its terminating zero; an abstract name is exactly as long as it is.
  if (path.empty() || path.size() > sizeof(un.sun_path) - (abstract ? 0 : 1)) return false;
  un.sun_family = AF_UNIX;
  std::memcpy(un.sun_path, path.data(), path.size());
  if (abstract) un.sun_path[0] = '\0';
  const size_t length = offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1);
  *out = from_sockaddr(reinterpret_cast<const sockaddr*>(&un), static_cast<socklen_t>(length));
  return true;
}

Address Address::any(int family, uint16_t port) {
  Address a;
  if (family == AF_INET6) {
    a.u_.in6.sin6_family = AF_INET6;
    a.len_ = sizeof(sockaddr_in6);
  } else {
    a.u_.in.sin_family = AF_INET;
    a.len_ = sizeof(sockaddr_in);
  }
  a.set_port(port);
  return a;
}

Address Address::from_sockaddr(const sockaddr* sa, socklen_t len) {
  Address a;
  if (sa->sa_family == AF_UNIX && len > offsetof(sockaddr_un, sun_path)) {
    sockaddr_un un{};
    a.len_ = std::min<socklen_t>(len, sizeof un);
    std::memcpy(&un, sa, a.len_);
    a.un_ = std::make_shared<const sockaddr_un>(un);
    a.u_.sa.sa_family = AF_UNIX;
    return a;
  }
  a.len_ = std::min<socklen_t>(len, sizeof a.u_);
  std::memcpy(static_cast<void*>(&a.u_), sa, a.len_);
  return a;
}

bool Address::local_of(int fd, Address* out) {
  sockaddr_storage ss{};
  socklen_t len = sizeof ss;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&ss), &len) != 0) return false;
  *out = from_sockaddr(reinterpret_cast<sockaddr*>(&ss), len);
  return true;
}

bool Address::peer_of(int fd, Address* out) {
  sockaddr_storage ss{};
  socklen_t len = sizeof ss;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&ss), &len) != 0) return false;
  *out = from_sockaddr(reinterpret_cast<sockaddr*>(&ss), len);
  return true;
}

uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(u_.in.sin_port);
  if (family() == AF_INET6) return ntohs(u_.in6.sin6_port);
  return 0;
}

void Address::set_port(uint16_t port) {
  if (family() == AF_INET) u_.in.sin_port = htons(port);
  if (family() == AF_INET6) u_.in6.sin6_port = htons(port);
}

std::string Address::host() const {
  char text[INET6_ADDRSTRLEN];
  if (family() == AF_INET) return ::inet_ntop(AF_INET, &u_.in.sin_addr, text, sizeof text);
  if (family() == AF_INET6) {
    std::string host = ::inet_ntop(AF_INET6, &u_.in6.sin6_addr, text, sizeof text);
    if (u_.in6.sin6_scope_id == 0) return host;
    char name[IF_NAMESIZE];
    const char* zone = ::if_indextoname(u_.in6.sin6_scope_id, name);
    return host + '%' + (zone ? zone : std::to_string(u_.in6.sin6_scope_id));
  }
  if (!un_) return "";
  const size_t length = len_ - offsetof(sockaddr_un, sun_path);
  if (un_->sun_path[0] == '\0') return '@' + std::string(un_->sun_path + 1, length - 1);
  return std::string(un_->sun_path, ::strnlen(un_->sun_path, length));
}

std::string Address::url() const {
  if (is_unix()) return "unix://" + host();
  if (!is_ip()) return "";
  const std::string h = host();
  return "tcp://" + (family() == AF_INET6 ? '[' + h + ']' : h) + ':' + std::to_string(port());
}

}  // namespace netvc
