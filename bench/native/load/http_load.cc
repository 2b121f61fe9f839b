// The http mode: keep-alive connections that ask for a path of their own each time. The body of the
// answer must repeat the path, so that a lost, doubled or foreign answer is noticed.

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cinttypes>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "load/loads.h"
#include "support/clock.h"
#include "support/fatal.h"
#include "support/sockets.h"

namespace netvc::bench {
namespace {

constexpr int kMaxEvents = 16;
constexpr size_t kReceiveBuffer = 64 * 1024;
constexpr uint64_t kDrainLimit = 10 * kSecond;
constexpr uint64_t kLingerForExtraBytes = 20 * kMillisecond;
constexpr std::string_view kStatus = "HTTP/1.1 200 OK\r\n";
constexpr std::string_view kLength = "\r\nContent-Length: ";
constexpr std::string_view kEndOfHead = "\r\n\r\n";

class HttpLoad {
 public:
  explicit HttpLoad(LoadContext& context)
      : context_(context),
        options_(context.options),
        recorder_(options_.Windows(context.meter.Exact()), context.meter, options_.server_cpu),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        buffer_(kReceiveBuffer) {}

  void Run() {
    Connect();
    recorder_.Start(Now());
    for (Connection& connection : connections_) {
      for (uint32_t i = 0; i < options_.outstanding; ++i)
        Ask(connection, Now());
      Send(connection);
    }
    while (recorder_.Running())
      Turn();
    Drain();
    Report();
  }

 private:
  struct Connection {
    int fd;
    uint32_t index;
    uint64_t asked = 0;
    uint64_t answered = 0;
    std::string out;                  // requests that the socket has not taken
    std::string in;                   // an answer that is not complete
    std::vector<uint64_t> queued_at;  // of request k at [k % outstanding]
  };

  void Connect() {
    connections_.reserve(options_.connections);
    for (uint32_t i = 0; i < options_.connections; ++i) {
      connections_.push_back({.fd = ConnectNow(options_.target),
                              .index = i,
                              .out = {},
                              .in = {},
                              .queued_at = std::vector<uint64_t>(options_.outstanding)});
      epoll_event event{};
      event.events = EPOLLIN | EPOLLOUT | EPOLLET;
      event.data.u32 = i;
      epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_[i].fd, &event);
    }
  }

  void Turn() {
    epoll_event events[kMaxEvents];
    const int count = epoll_wait(epoll_, events, kMaxEvents, 0);
    recorder_.Tick(Now());
    for (int i = 0; i < count; ++i) {
      Connection& connection = connections_[events[i].data.u32];
      Send(connection);
      while (Receive(connection)) {
      }
    }
  }

  // The path of request `k`: always of one length, never the same twice.
  std::string_view Path(const Connection& connection, uint64_t k) {
    const int n = std::snprintf(path_.data(), path_.size(), "/%08" PRIx32 "/%012" PRIx64,
                                connection.index, k);
    return {path_.data(), static_cast<size_t>(n)};
  }

  void Ask(Connection& connection, uint64_t now) {
    connection.queued_at[connection.asked % options_.outstanding] = now;
    connection.out.append("GET ")
        .append(Path(connection, connection.asked++))
        .append(" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
  }

  void Send(Connection& connection) {
    while (!connection.out.empty()) {
      const ssize_t n =
          send(connection.fd, connection.out.data(), connection.out.size(), MSG_NOSIGNAL);
      if (n > 0) {
        connection.out.erase(0, static_cast<size_t>(n));
      } else if (errno == EAGAIN) {
        return;
      } else if (errno != EINTR) {
        Broken(connection, std::strerror(errno));
      }
    }
  }

  // One read; false when there is nothing more for now.
  bool Receive(Connection& connection) {
    const ssize_t n = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    if (n == 0) Broken(connection, "closed by the server too early");
    if (n < 0) {
      if (errno != EAGAIN && errno != EINTR) Broken(connection, std::strerror(errno));
      return false;
    }
    const uint64_t now = Now();
    recorder_.Tick(now);
    std::string_view bytes(buffer_.data(), static_cast<size_t>(n));
    if (!connection.in.empty()) bytes = connection.in.append(bytes);
    size_t used = 0;
    const uint64_t before = connection.answered;
    while (const size_t length = CheckAnswer(connection, bytes.substr(used))) {
      used += length;
      recorder_.Latency(now - connection.queued_at[connection.answered % options_.outstanding]);
      ++connection.answered;
    }
    const std::string rest(bytes.substr(used));
    connection.in = rest;
    if (const uint64_t fresh = connection.answered - before; fresh > 0) {
      recorder_.Finished(now, fresh);
      for (uint64_t i = 0; i < fresh && recorder_.Running(); ++i)
        Ask(connection, now);
      Send(connection);
    }
    return static_cast<size_t>(n) == buffer_.size();
  }

  // The length of the answer that `bytes` begins with, 0 when it is not complete yet.
  size_t CheckAnswer(Connection& connection, std::string_view bytes) {
    const size_t end = bytes.find(kEndOfHead);
    if (end == std::string_view::npos) return 0;
    const std::string_view head = bytes.substr(0, end);
    if (connection.answered == connection.asked) Broken(connection, "an answer to nothing");
    if (!head.starts_with(kStatus)) Broken(connection, "not a 200");
    const size_t field = head.find(kLength);
    if (field == std::string_view::npos) Broken(connection, "no Content-Length");
    size_t length = 0;
    const char* digits = head.data() + field + kLength.size();
    std::from_chars(digits, head.data() + head.size(), length);
    const size_t begin = end + kEndOfHead.size();
    if (bytes.size() - begin < length) return 0;
    if (bytes.substr(begin, length) != Path(connection, connection.answered)) {
      Broken(connection, "wrong body");
    }
    bytes_ += begin + length;
    return begin + length;
  }

  // Every request must be answered, and nothing else come.
  void Drain() {
    const uint64_t limit = Now() + kDrainLimit;
    for (const Connection& connection : connections_) {
      while (connection.answered < connection.asked) {
        Turn();
        if (Now() > limit) Broken(connection, "the rest of the answers never came");
      }
    }
    for (const uint64_t end = Now() + kLingerForExtraBytes; Now() < end;)
      Turn();
    for (const Connection& connection : connections_) {
      if (!connection.in.empty()) Broken(connection, "bytes after the last answer");
    }
  }

  [[noreturn]] static void Broken(const Connection& connection, const char* what) {
    Fatal("connection %u: %s (%" PRIu64 " asked, %" PRIu64 " answered)", connection.index, what,
          connection.asked, connection.answered);
  }

  void Report() {
    for (const Connection& connection : connections_)
      close(connection.fd);
    close(epoll_);
    context_.json.Field("unit", "request")
        .Field("connections", options_.connections)
        .Field("outstanding", options_.outstanding)
        .Field("bytesVerified", bytes_);
    recorder_.Report(context_.json, 1.0);
  }

  LoadContext& context_;
  const Options& options_;
  WindowRecorder recorder_;
  const int epoll_;
  std::vector<char> buffer_;
  std::array<char, 32> path_{};
  std::vector<Connection> connections_;
  uint64_t bytes_ = 0;
};

}  // namespace

void RunHttp(LoadContext& context) { HttpLoad(context).Run(); }

}  // namespace netvc::bench
