// netvc_proxy_epoll --to 127.0.0.1:PORT [--port N] - the hand-written C++ tunnel that
// netvc is held against: edge-triggered epoll, one thread, copies through 64 KiB.
//
// The end of one direction is passed on as a half-close; the pair dies when both
// directions have ended or either socket fails. Ends on SIGTERM.

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "support/fatal.h"
#include "support/sockets.h"

namespace netvc::bench {
namespace {

constexpr size_t kBufferSize = 64 * 1024;
constexpr int kMaxEvents = 256;
constexpr int kReadsPerTurn = 16;  // then the others have their turn

struct Pair;

// One socket of a pair, and what it still has to be sent.
struct Side {
  Pair* pair = nullptr;
  int fd = -1;
  bool ended = false;  // its peer has closed: nothing more to read here
  bool again = false;  // stopped by kReadsPerTurn, no new edge will come
  std::string kept;    // bytes from the other side that this socket did not take
};

struct Pair {
  Side client;
  Side upstream;
  bool connected = false;
  bool dead = false;

  Side& OtherOf(Side& side) { return &side == &client ? upstream : client; }
};

class Proxy {
 public:
  Proxy(uint16_t port, const sockaddr_in& upstream)
      : upstream_(upstream),
        listener_(ListenLoopback(port)),
        epoll_(epoll_create1(EPOLL_CLOEXEC)),
        buffer_(kBufferSize) {
    Watch(listener_, EPOLLIN | EPOLLET, nullptr);
  }

  int listener() const { return listener_; }

  void Turn() {
    epoll_event events[kMaxEvents];
    const int count = epoll_wait(epoll_, events, kMaxEvents, again_.empty() ? -1 : 0);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.ptr == nullptr) {
        AcceptAll();
      } else {
        OnEvent(*static_cast<Side*>(events[i].data.ptr), events[i].events);
      }
    }
    ResumeInterrupted();
    BuryDead();
  }

 private:
  void Watch(int fd, uint32_t events, Side* side) {
    epoll_event event{};
    event.events = events;
    event.data.ptr = side;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
      Fatal("epoll_ctl: %s", std::strerror(errno));
    }
  }

  void AcceptAll() {
    for (int fd; (fd = AcceptOne(listener_)) >= 0;) {
      Pair* pair = new Pair;
      pair->client = {pair, fd, false, false, {}};
      pair->upstream = {pair, Dial(), false, false, {}};
      constexpr uint32_t kEdges = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
      Watch(pair->upstream.fd, kEdges, &pair->upstream);
      Watch(pair->client.fd, kEdges, &pair->client);
    }
  }

  int Dial() {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) Fatal("socket: %s", std::strerror(errno));
    SetNoDelay(fd);
    // A failure arrives as an EPOLLERR or EPOLLHUP edge.
    (void)connect(fd, reinterpret_cast<const sockaddr*>(&upstream_), sizeof upstream_);
    return fd;
  }

  void OnEvent(Side& side, uint32_t events) {
    Pair& pair = *side.pair;
    if (pair.dead) return;
    if (events & EPOLLERR) return Kill(pair);
    if (!pair.connected) {
      if (&side != &pair.upstream || !(events & EPOLLOUT)) return;
      pair.connected = true;
      // The client's edge may have come earlier.
      return Forward(pair.client, pair.upstream, true);
    }
    Side& other = pair.OtherOf(side);
    const bool ending = (events & (EPOLLRDHUP | EPOLLHUP)) != 0;
    if ((events & EPOLLOUT) && !side.kept.empty()) Forward(other, side, true);
    if ((events & EPOLLIN) || ending) Forward(side, other, ending);
  }

  // Moves bytes until the source is empty, the target full, or the turn over.
  // `ending`: the source may have ended, so read until that is certain.
  void Forward(Side& from, Side& to, bool ending) {
    if (from.pair->dead || !SendKept(to)) return;
    for (int reads = 0; !from.ended; ++reads) {
      if (reads == kReadsPerTurn) {
        if (!from.again) again_.push_back(&from);
        from.again = true;
        return;
      }
      const ssize_t n = recv(from.fd, buffer_.data(), kBufferSize, 0);
      if (n > 0) {
        if (!Send(to, buffer_.data(), static_cast<size_t>(n))) return;
        if (static_cast<size_t>(n) < kBufferSize && !ending) return;
      } else if (n == 0) {
        from.ended = true;
        shutdown(to.fd, SHUT_WR);
        if (to.ended) Kill(*from.pair);
      } else if (errno == EAGAIN) {
        return;
      } else if (errno != EINTR) {
        return Kill(*from.pair);
      }
    }
  }

  bool SendKept(Side& to) {
    if (to.kept.empty()) return true;
    const std::string rest = std::move(to.kept);
    to.kept.clear();
    return Send(to, rest.data(), rest.size());
  }

  // True when the target took everything.
  bool Send(Side& to, const char* data, size_t length) {
    while (length > 0) {
      const ssize_t n = send(to.fd, data, length, MSG_NOSIGNAL);
      if (n >= 0) {
        data += n;
        length -= static_cast<size_t>(n);
      } else if (errno == EAGAIN) {
        to.kept.assign(data, length);
        return false;
      } else if (errno != EINTR) {
        Kill(*to.pair);
        return false;
      }
    }
    return true;
  }

  void ResumeInterrupted() {
    const std::vector<Side*> interrupted = std::move(again_);
    again_.clear();
    for (Side* side : interrupted) {
      side->again = false;
      Forward(*side, side->pair->OtherOf(*side), true);
    }
  }

  void Kill(Pair& pair) {
    if (pair.dead) return;
    pair.dead = true;
    dead_.emplace_back(&pair);
  }

  // After the batch, so that no event in it can meet a freed pair or a reused number.
  void BuryDead() {
    std::erase_if(again_, [](const Side* side) { return side->pair->dead; });
    for (const auto& pair : dead_) {
      close(pair->client.fd);
      close(pair->upstream.fd);
    }
    dead_.clear();
  }

  const sockaddr_in upstream_;
  int listener_;
  int epoll_;
  std::vector<char> buffer_;
  std::vector<Side*> again_;
  std::vector<std::unique_ptr<Pair>> dead_;
};

}  // namespace
}  // namespace netvc::bench

int main(int argc, char** argv) {
  using namespace netvc::bench;
  int port = 0;
  std::string to;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::strcmp(argv[i], "--port") == 0) port = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--to") == 0) to = argv[i + 1];
  }
  if (to.empty()) Fatal("usage: %s --to 127.0.0.1:PORT [--port N]", argv[0]);
  Proxy proxy(static_cast<uint16_t>(port), ParseAddress(to));
  AnnounceListening(proxy.listener());
  for (;;)
    proxy.Turn();
}
