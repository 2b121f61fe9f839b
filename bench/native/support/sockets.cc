#include "support/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "support/fatal.h"

namespace netvc::bench {

namespace {

constexpr int kBacklog = 4096;
constexpr int kConnectTimeoutSeconds = 10;

void SetOption(int fd, int level, int option, int value) {
  setsockopt(fd, level, option, &value, sizeof value);
}

const sockaddr* Generic(const sockaddr_in* address) {
  return reinterpret_cast<const sockaddr*>(address);
}

}  // namespace

sockaddr_in ParseAddress(const std::string& text) {
  constexpr char kScheme[] = "tcp://";
  const std::string rest = text.rfind(kScheme, 0) == 0 ? text.substr(sizeof kScheme - 1) : text;
  const size_t colon = rest.rfind(':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  if (colon == std::string::npos ||
      inet_pton(AF_INET, rest.substr(0, colon).c_str(), &address.sin_addr) != 1) {
    Fatal("not an IPv4 address with a port: '%s'", text.c_str());
  }
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(rest.c_str() + colon + 1)));
  return address;
}

int ListenLoopback(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) Fatal("socket: %s", std::strerror(errno));
  SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (bind(fd, Generic(&address), sizeof address) != 0 || listen(fd, kBacklog) != 0) {
    Fatal("listen on port %u: %s", port, std::strerror(errno));
  }
  return fd;
}

uint16_t LocalPort(int fd) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin_port);
}

int AcceptOne(int listener) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      SetNoDelay(fd);
      return fd;
    }
    if (errno == EAGAIN) return -1;
    if (errno != EINTR && errno != ECONNABORTED) Fatal("accept: %s", std::strerror(errno));
  }
}

int ConnectNow(const sockaddr_in& address) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) Fatal("socket: %s", std::strerror(errno));
  const timeval timeout{kConnectTimeoutSeconds, 0};  // Linux applies it to connect as well
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
  if (connect(fd, Generic(&address), sizeof address) != 0) {
    Fatal("connect: %s", std::strerror(errno));
  }
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  SetNoDelay(fd);
  return fd;
}

int ConnectLater(const sockaddr_in& address, uint32_t source_index) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) Fatal("socket: %s", std::strerror(errno));
  SetNoDelay(fd);
  SetOption(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  sockaddr_in source{};
  source.sin_family = AF_INET;
  source.sin_addr.s_addr = htonl(0x7f000101u + source_index % 254);
  if (bind(fd, Generic(&source), sizeof source) != 0) Fatal("bind: %s", std::strerror(errno));
  if (connect(fd, Generic(&address), sizeof address) != 0 && errno != EINPROGRESS) {
    Fatal("connect: %s", std::strerror(errno));
  }
  return fd;
}

int PendingError(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

void ResetOnClose(int fd) {
  const linger hard{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

void SetNoDelay(int fd) { SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

void PinToCpu(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    Fatal("cannot run on cpu %d: %s", cpu, std::strerror(errno));
  }
}

void AnnounceListening(int listener) {
  std::printf("listening tcp://127.0.0.1:%u pid %d\n", LocalPort(listener), getpid());
  std::fflush(stdout);
}

}  // namespace netvc::bench
