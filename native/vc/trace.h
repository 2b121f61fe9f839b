// vc/trace.h - public to the next layers.
//
// What a connection does with its socket, as lines for people (OT-1). A transport in front of
// another one, so that a connection that is not traced pays nothing. One line per call:
//
//   netvc in 127.0.0.1:80 client 10.0.0.7:4312 bytes=5 "GET /"
//   netvc out 127.0.0.1:80 client - closed connection
//   netvc in 127.0.0.1:80 client - error=Connection reset by peer
//
// Direction (in, out, oob), the peer, the client that the connection works for, and what the call
// answered: the bytes that moved, from where they moved (B-22), at most so many of them; nothing;
// or the text of its errno. "Would block" is an error like the others.
//
// Owner: TracedTransport is part of its connection; a sink is shared by the connections that use
// it. Thread: the connection's, so a sink of several connections is called from several threads.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "base/fd.h"
#include "vc/transport.h"

namespace netvc {

class TraceSink {
 public:
  virtual ~TraceSink() = default;
  /// One line, with its newline. It must neither wait for long nor call the connection.
  virtual void line(std::string_view text) = 0;
};

/// Writes each line with one system call, so that lines of several threads do not mix. What a pipe
/// or a socket does not take is lost: a net thread waits for nobody.
class FdSink final : public TraceSink {
 public:
  explicit FdSink(UniqueFd fd);
  void line(std::string_view text) override;

 private:
  UniqueFd fd_;
  bool is_socket_ = false;
};

class TracedTransport final : public Transport {
 public:
  bool on() const { return sink_ != nullptr; }
  /// *place is where the connection keeps its transport: this one is put in front of it, or taken
  /// away again.
  void set(std::shared_ptr<TraceSink> sink, size_t max_bytes, Transport** place);
  /// The line of one call: r as it answered, bytes where it moved them.
  void note(const char* direction, const Connection& con, ssize_t r, const iovec* iov, int count);

  ssize_t read(Connection& con, const iovec* iov, int count, unsigned* needs) override;
  ssize_t write(Connection& con, const iovec* iov, int count, unsigned* needs) override;
  bool short_read_means_empty(const Connection& con) const override {
    return under_->short_read_means_empty(con);
  }

  std::string client_host;  // empty: not known
  int client_port = 0;

 private:
  std::shared_ptr<TraceSink> sink_;
  Transport* under_ = nullptr;
  size_t max_bytes_ = 0;
};

}  // namespace netvc
