// support/accept_log.h - for tests.
//
// AcceptLog: keeps what an acceptor delivers, on the test's own thread. ConnectLog: the same for
// outgoing connections.
#pragma once

#include <vector>

#include <doctest/doctest.h>

#include "server/acceptor.h"
#include "server/connect.h"
#include "support/loop.h"

namespace netvc::test {

struct AcceptLog final : AcceptHandler {
  void on_accept(NetVConnection& vc) override {
    CHECK_MESSAGE(stopped == 0, "AC-7: on_accept after on_accept_stopped");
    accepted.push_back(vc.id());
    if (react) react(vc);
  }
  void on_accept_error(int error) override { errors.push_back(error); }
  void on_accept_stopped() override { ++stopped; }
  size_t count() const { return accepted.size(); }
  NetVConnection* at(size_t i) { return NetVConnection::pool().address(accepted.at(i)).get(); }

  std::vector<VersionedId> accepted;
  std::vector<int> errors;
  int stopped = 0;
  std::function<void(NetVConnection&)> react;
};

struct ConnectLog final : ConnectHandler {
  void on_open(NetVConnection& vc) override {
    ++opened;
    id = vc.id();
    if (react) react(vc);
  }
  void on_open_failed(ConnectError e) override {
    ++failed;
    error = e;
  }
  bool told() const { return opened + failed > 0; }
  NetVConnection* vc() const { return NetVConnection::pool().address(id).get(); }

  int opened = 0;
  int failed = 0;
  ConnectError error{0, 0};
  VersionedId id = 0;
  std::function<void(NetVConnection&)> react;
};

/// A listener on the loop: tcp on port 0.
struct Server {
  Server(Loop& loop, const Address& at, const AcceptOptions& options = {}) {
    REQUIRE_EQ(ListenSocket::open(at, options, &socket), 0);
    acceptor =
        Ref<Acceptor>(new Acceptor(socket, &log, [&loop]() -> NetHandler& { return loop.h; }));
    acceptor->start(loop.h, false);
  }
  explicit Server(Loop& loop, Family f = Family::kTcp4) : Server(loop, loopback(f)) {}
  const Address& address() const { return socket->address(); }

  AcceptLog log;
  Ref<ListenSocket> socket;
  Ref<Acceptor> acceptor;
};

/// A plain, connected client socket.
inline RawPeer dial(const Address& to) {
  UniqueFd fd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  REQUIRE_EQ(::connect(fd.get(), to.sa(), to.len()), 0);
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return RawPeer(std::move(fd));
}

inline int int_option(int fd, int level, int name) {
  int value = -1;
  socklen_t len = sizeof value;
  ::getsockopt(fd, level, name, &value, &len);
  return value;
}

}  // namespace netvc::test
