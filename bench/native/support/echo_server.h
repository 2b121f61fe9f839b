// support/echo_server.h - a minimal edge-triggered epoll echo, one thread.
//
// The yardstick of the echo suite, and the backend behind the proxies. It reads
// into one shared 64 KiB buffer and writes straight from it; only what the socket
// does not take is kept, per connection, until it does. While something is kept
// the connection is not read, so memory stays bounded by the peer's appetite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace netvc::bench {

class EchoServer {
 public:
  // Listens on 127.0.0.1; port 0 lets the kernel choose.
  explicit EchoServer(uint16_t port);
  ~EchoServer();
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  int listener() const { return listener_; }

  // One epoll_wait and its events; -1 waits for ever, 0 not at all.
  void Turn(int timeout_ms);

 private:
  void AcceptAll();
  void Serve(int fd, uint32_t events);
  bool SendKept(int fd);                               // true: nothing is kept any more
  bool Send(int fd, const char* data, size_t length);  // true: all of it was taken
  void Drop(int fd);

  int listener_;
  int epoll_;
  std::vector<char> buffer_;
  // Only connections whose reader is slow are in here; idle ones cost the kernel's
  // socket and nothing else.
  std::unordered_map<int, std::string> kept_;
};

}  // namespace netvc::bench
