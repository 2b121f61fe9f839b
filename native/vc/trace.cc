#include "vc/trace.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "net/connection.h"
#include "vc/extras.h"

namespace netvc {

namespace {

// Printable ASCII as it is, the rest as in a C string.
void append_escaped(std::string* to, const char* p, size_t n) {
  static constexpr char kHex[] = "0123456789abcdef";
  for (const char c : std::string_view(p, n)) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\n') {
      *to += "\\n";
    } else if (c == '\r') {
      *to += "\\r";
    } else if (c == '\t') {
      *to += "\\t";
    } else if (c == '"' || c == '\\') {
      *to += '\\';
      *to += c;
    } else if (byte >= 0x20 && byte < 0x7f) {
      *to += c;
    } else {
      *to += "\\x";
      *to += kHex[byte >> 4];
      *to += kHex[byte & 15];
    }
  }
}

void append_place(std::string* to, const std::string& host, int port) {
  const bool v6 = host.find(':') != std::string::npos;
  if (v6) *to += '[';
  append_escaped(to, host.data(), host.size());
  if (v6) *to += ']';
  *to += ':';
  *to += std::to_string(port);
}

}  // namespace

FdSink::FdSink(UniqueFd fd) : fd_(std::move(fd)) {
  struct stat st {};
  ::fstat(fd_.get(), &st);
  is_socket_ = S_ISSOCK(st.st_mode);
#ifdef __linux__
  // O_NONBLOCK belongs to all who share what was opened, so a pipe is opened once more.
  if (S_ISFIFO(st.st_mode)) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd_.get());
    const int own = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (own >= 0) fd_.reset(own);
  }
#endif
}

void FdSink::line(std::string_view text) {
  ssize_t r;
  do {
    r = is_socket_ ? ::send(fd_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                   : ::write(fd_.get(), text.data(), text.size());
  } while (r < 0 && errno == EINTR);
}

void TracedTransport::set(std::shared_ptr<TraceSink> sink, size_t max_bytes, Transport** place) {
  sink_ = std::move(sink);
  max_bytes_ = max_bytes;
  if (sink_ && *place != this) {
    under_ = std::exchange(*place, this);
  } else if (!sink_ && *place == this) {
    *place = under_;
  }
}

ssize_t TracedTransport::read(Connection& con, const iovec* iov, int count, unsigned* needs) {
  const ssize_t r = under_->read(con, iov, count, needs);
  note("in", con, r, iov, count);
  return r;
}

ssize_t TracedTransport::write(Connection& con, const iovec* iov, int count, unsigned* needs) {
  const ssize_t r = under_->write(con, iov, count, needs);
  note("out", con, r, iov, count);
  return r;
}

void TracedTransport::note(const char* direction, const Connection& con, ssize_t r,
                           const iovec* iov, int count) {
  if (!sink_) return;
  std::string s = "netvc ";
  s += direction;
  s += ' ';
  if (con.remote.is_ip()) {
    append_place(&s, con.remote.host(), con.remote.port());
  } else {
    const std::string url = con.remote.url();
    append_escaped(&s, url.data(), url.size());
  }
  s += " client ";
  if (client_host.empty()) {
    s += '-';
  } else {
    append_place(&s, client_host, client_port);
  }
  if (r > 0) {
    const auto moved = static_cast<size_t>(r);
    s += " bytes=" + std::to_string(moved) + " \"";
    size_t left = std::min(moved, max_bytes_);
    for (int i = 0; i < count && left > 0; ++i) {
      const size_t n = std::min(left, iov[i].iov_len);
      append_escaped(&s, static_cast<const char*>(iov[i].iov_base), n);
      left -= n;
    }
    s += moved > max_bytes_ ? "\"...\n" : "\"\n";
  } else if (r == 0) {
    s += " closed connection\n";
  } else {
    s += " error=" + std::generic_category().message(static_cast<int>(-r)) + "\n";
  }
  sink_->line(s);
}

// --- of a connection ----------------------------------------------------------------------------

void NetVConnection::set_origin_trace(std::shared_ptr<TraceSink> sink, size_t max_bytes) {
  if (sink || extras_) extras().trace.set(std::move(sink), max_bytes, &transport);
}
void NetVConnection::set_origin_trace_addr(std::string client) {
  extras().trace.client_host = std::move(client);
}
void NetVConnection::set_origin_trace_port(int port) { extras().trace.client_port = port; }

}  // namespace netvc
