// support/sink_server.h - the far end of the one-way bulk test, behind a proxy.
//
// A stream is an 8-byte header {magic, phase} and then pattern bytes. The sink
// compares every one, and at the end of the stream (the half-close must come
// through the proxy) answers with the 8-byte number of pattern bytes it saw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "support/pattern.h"

namespace netvc::bench {

struct SinkHeader {
  static constexpr uint32_t kMagic = 0x4e56424b;
  uint32_t magic;
  uint32_t phase;
};
static_assert(sizeof(SinkHeader) == 8);

class SinkServer {
 public:
  SinkServer(uint16_t port, const Pattern& pattern);
  ~SinkServer();
  SinkServer(const SinkServer&) = delete;
  SinkServer& operator=(const SinkServer&) = delete;

  int listener() const { return listener_; }
  uint64_t bytes() const { return bytes_; }  // verified so far, over all connections
  void Turn(int timeout_ms);

 private:
  struct Stream {
    SinkHeader header{};
    size_t header_bytes = 0;
    uint64_t position = 0;
  };
  void AcceptAll();
  void Serve(int fd);
  void Consume(Stream& stream, const uint8_t* data, size_t length);
  void Finish(int fd, const Stream& stream);

  const Pattern& pattern_;
  int listener_;
  int epoll_;
  uint64_t bytes_ = 0;
  std::vector<uint8_t> buffer_;
  std::unordered_map<int, Stream> streams_;
};

}  // namespace netvc::bench
