// ListenSocket: options of listening sockets, unix socket files, adopted descriptors.
#include <sys/stat.h>

#include <fstream>

#include <doctest/doctest.h>

#include "net/socket_ops.h"
#include "support/accept_log.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/refusal.h"
#include "support/temp_dir.h"

namespace netvc::test {

namespace {

Address unix_at(const std::string& path) {
  Address a;
  REQUIRE(Address::from_unix(path, &a));
  return a;
}

}  // namespace

TEST_CASE("AC-1: close-on-exec, non-blocking, SO_REUSEADDR, and the real port after port 0") {
  LeakCheck leaks;
  for (Family f : {Family::kTcp4, Family::kTcp6}) {
    Ref<ListenSocket> s;
    REQUIRE_EQ(ListenSocket::open(loopback(f), {}, &s), 0);
    CHECK_NE(s->address().port(), 0);
    CHECK_EQ(::fcntl(s->fd(), F_GETFD), FD_CLOEXEC);
    CHECK((::fcntl(s->fd(), F_GETFL) & O_NONBLOCK) != 0);
    CHECK_EQ(int_option(s->fd(), SOL_SOCKET, SO_REUSEADDR), 1);
    CHECK_EQ(int_option(s->fd(), SOL_SOCKET, SO_ACCEPTCONN), 1);
    if (f == Family::kTcp6) CHECK_EQ(int_option(s->fd(), IPPROTO_IPV6, IPV6_V6ONLY), 1);
    dial(s->address());
  }
}

TEST_CASE("AC-1 F-078: dual stack, reuse port, defer accept, fast open, buffer sizes") {
  LeakCheck leaks;
  AcceptOptions o;
  o.ipv6_only = false;
  o.reuse_port = true;
  o.defer_accept_s = 3;
  o.fast_open_queue = 7;
  o.connection.recv_buffer_size = 50'000;
  o.connection.send_buffer_size = 60'000;
  Address any = Address::any(AF_INET6, 0);
  Ref<ListenSocket> s;
  REQUIRE_EQ(ListenSocket::open(any, o, &s), 0);
  CHECK_EQ(int_option(s->fd(), IPPROTO_IPV6, IPV6_V6ONLY), 0);
  CHECK_EQ(int_option(s->fd(), SOL_SOCKET, SO_REUSEPORT), 1);
  CHECK_GT(int_option(s->fd(), IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
  CHECK_EQ(int_option(s->fd(), IPPROTO_TCP, TCP_FASTOPEN), 7);
  CHECK_EQ(int_option(s->fd(), SOL_SOCKET, SO_RCVBUF), 100'000);  // the kernel doubles it
  CHECK_EQ(int_option(s->fd(), SOL_SOCKET, SO_SNDBUF), 120'000);
  dial(loopback(Family::kTcp4, s->address().port()));
}

TEST_CASE("AC-1 F-078: transparent, where the process may; else the system's error") {
  LeakCheck leaks;
  AcceptOptions o;
  o.transparent = true;
  for (Family f : {Family::kTcp4, Family::kTcp6}) {
    const bool v6 = f == Family::kTcp6;
    const int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP;
    const int option = v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT;
    Ref<ListenSocket> s;
    CHECK_EQ(ListenSocket::open(loopback(f), o, &s), refusal(loopback(f).family(), level, option));
    if (s) CHECK_EQ(int_option(s->fd(), level, option), 1);
  }
}

TEST_CASE("AC-1: accepted connections have the options of TCP and the segment size") {
  LeakCheck leaks;
  Loop loop;
  AcceptOptions o;
  o.connection.sock_flags |= NetVCOptions::kKeepAlive;
  o.connection.keep_alive_idle = 77;
  o.connection.user_timeout = 4321;
  o.connection.not_sent_lowat = 30'000;
  o.connection.congestion_control = "reno";
  o.connection.max_segment_size = 700;
  Server server(loop, loopback(Family::kTcp4), o);
  RawPeer peer = dial(server.address());
  REQUIRE(loop.until([&] { return server.log.count() == 1; }));
  const int fd = server.log.at(0)->get_socket();
  CHECK_EQ(int_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
  CHECK_EQ(int_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
  CHECK_EQ(int_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 4321);
  CHECK_EQ(int_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 30'000);
  CHECK_LE(int_option(peer.fd(), IPPROTO_TCP, TCP_MAXSEG), 700);
  Acceptor::cancel(server.acceptor);
}

TEST_CASE("AC-1: an option that the system refuses is told by open, and nothing leaks") {
  LeakCheck leaks;
  AcceptOptions o;
  Ref<ListenSocket> s;
  o.connection.congestion_control = "no-such-thing";
  CHECK_EQ(ListenSocket::open(loopback(Family::kTcp4), o, &s), ENOENT);
  o.connection.congestion_control.clear();
  o.connection.max_segment_size = 50;
  CHECK_EQ(ListenSocket::open(loopback(Family::kTcp4), o, &s), EINVAL);
}

TEST_CASE("AC-2: a port in use is EADDRINUSE, and nothing leaks") {
  LeakCheck leaks;
  Ref<ListenSocket> first, second;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &first), 0);
  CHECK_EQ(ListenSocket::open(first->address(), {}, &second), EADDRINUSE);
  CHECK_FALSE(second);
}

TEST_CASE("AC-2: an address of another host is refused with its errno") {
  LeakCheck leaks;
  Address other;
  REQUIRE(Address::from_ip("192.0.2.1", 0, &other));
  Ref<ListenSocket> s;
  CHECK_EQ(ListenSocket::open(other, {}, &s), EADDRNOTAVAIL);
}

TEST_CASE("AC-2 F-075: a bound descriptor is used and owned; a failure leaves it to its owner") {
  LeakCheck leaks;
  const Address at = loopback(Family::kTcp4);
  UniqueFd bound(::socket(AF_INET, SOCK_STREAM, 0));
  REQUIRE_EQ(::bind(bound.get(), at.sa(), at.len()), 0);
  AcceptOptions o;
  o.fd = bound.get();
  {
    Ref<ListenSocket> s;
    REQUIRE_EQ(ListenSocket::open({}, o, &s), 0);
    CHECK_EQ(s->fd(), bound.release());
    CHECK_NE(s->address().port(), 0);
    dial(s->address());
  }
  CHECK_EQ(::fcntl(o.fd, F_GETFD), -1);

  UniqueFd datagram(::socket(AF_INET, SOCK_DGRAM, 0));
  o.fd = datagram.get();
  Ref<ListenSocket> s;
  CHECK_EQ(ListenSocket::open({}, o, &s), ENOTSOCK);
  CHECK_NE(::fcntl(datagram.get(), F_GETFD), -1);
}

TEST_CASE(
    "AC-2: one descriptor has one owner, and gets its buffer sizes; a listening one is no pipe") {
  LeakCheck leaks;
  const int given = sock::stream_socket(AF_INET);
  const Address at = loopback(Family::kTcp4);
  REQUIRE_EQ(::bind(given, at.sa(), at.len()), 0);
  AcceptOptions o;
  o.fd = given;
  o.connection.recv_buffer_size = 50'000;
  o.connection.send_buffer_size = 60'000;
  Ref<ListenSocket> first, second;
  REQUIRE_EQ(ListenSocket::open({}, o, &first), 0);
  CHECK_EQ(int_option(given, SOL_SOCKET, SO_RCVBUF), 100'000);
  CHECK_EQ(int_option(given, SOL_SOCKET, SO_SNDBUF), 120'000);
  CHECK(ListenSocket::is_taken(given));
  CHECK_EQ(ListenSocket::open({}, o, &second), EBUSY);
  Connection con;
  CHECK_EQ(con.adopt(given), -EINVAL);
  CHECK_EQ(int_option(given, SOL_SOCKET, SO_ACCEPTCONN), 1);  // it is still there
  first = {};
  CHECK_FALSE(ListenSocket::is_taken(given));
}

TEST_CASE("unix: the socket file is there while listening and gone afterwards") {
  LeakCheck leaks;
  TempDir dir;
  const std::string path = dir.path("s");
  struct stat st;
  {
    Ref<ListenSocket> s;
    REQUIRE_EQ(ListenSocket::open(unix_at(path), {}, &s), 0);
    CHECK_EQ(s->address().host(), path);
    CHECK_EQ(::lstat(path.c_str(), &st), 0);
    dial(s->address());
  }
  CHECK_EQ(::lstat(path.c_str(), &st), -1);
}

TEST_CASE("unix: a stale socket file is replaced") {
  LeakCheck leaks;
  TempDir dir;
  const Address at = unix_at(dir.path("s"));
  {
    UniqueFd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
    REQUIRE_EQ(::bind(dead.get(), at.sa(), at.len()), 0);
    REQUIRE_EQ(::listen(dead.get(), 1), 0);
  }
  Ref<ListenSocket> s;
  REQUIRE_EQ(ListenSocket::open(at, {}, &s), 0);
  dial(at);
}

TEST_CASE("unix: a live socket is EADDRINUSE and stays") {
  LeakCheck leaks;
  TempDir dir;
  const Address at = unix_at(dir.path("s"));
  Ref<ListenSocket> first, second;
  REQUIRE_EQ(ListenSocket::open(at, {}, &first), 0);
  CHECK_EQ(ListenSocket::open(at, {}, &second), EADDRINUSE);
  dial(at);
}

TEST_CASE("unix: a live socket with a full backlog is EADDRINUSE and stays") {
  LeakCheck leaks;
  TempDir dir;
  const Address at = unix_at(dir.path("s"));
  AcceptOptions o;
  o.backlog = 1;
  Ref<ListenSocket> first, second;
  REQUIRE_EQ(ListenSocket::open(at, o, &first), 0);
  std::vector<UniqueFd> waiting;
  for (;;) {
    waiting.emplace_back(sock::stream_socket(AF_UNIX));
    if (sock::connect(waiting.back().get(), at) == -EAGAIN) break;
  }
  CHECK_EQ(ListenSocket::open(at, {}, &second), EADDRINUSE);
  struct stat st;
  CHECK_EQ(::lstat(at.host().c_str(), &st), 0);
}

TEST_CASE("unix: a regular file is never deleted") {
  LeakCheck leaks;
  TempDir dir;
  const std::string path = dir.path("precious");
  std::ofstream(path) << "data";
  Ref<ListenSocket> s;
  CHECK_EQ(ListenSocket::open(unix_at(path), {}, &s), EADDRINUSE);
  std::string left;
  std::ifstream(path) >> left;
  CHECK_EQ(left, "data");
}

TEST_CASE("unix: a file that took the place of our socket is not deleted with it") {
  LeakCheck leaks;
  TempDir dir;
  const std::string path = dir.path("s");
  {
    Ref<ListenSocket> s;
    REQUIRE_EQ(ListenSocket::open(unix_at(path), {}, &s), 0);
    REQUIRE_EQ(::unlink(path.c_str()), 0);
    std::ofstream(path) << "data";
  }
  std::string left;
  std::ifstream(path) >> left;
  CHECK_EQ(left, "data");
}

TEST_CASE("unix: the socket of a successor at the same path is not deleted with ours") {
  LeakCheck leaks;
  TempDir dir;
  const Address at = unix_at(dir.path("s"));
  Ref<ListenSocket> first, second;
  REQUIRE_EQ(ListenSocket::open(at, {}, &first), 0);
  REQUIRE_EQ(::unlink(at.host().c_str()), 0);
  REQUIRE_EQ(ListenSocket::open(at, {}, &second), 0);
  first.reset();
  dial(at);
}

TEST_CASE("unix: an abstract name needs no file") {
  LeakCheck leaks;
  const Address at = unix_at("@netvc-test-" + std::to_string(::getpid()));
  Ref<ListenSocket> s;
  REQUIRE_EQ(ListenSocket::open(at, {}, &s), 0);
  CHECK_EQ(s->address().host(), at.host());
  dial(at);
}

TEST_CASE("AC-3 F-077: a buffer size that is refused is rounded up and lowered by 1024") {
  LeakCheck leaks;
  Faults faults;
  const UniqueFd fd(sock::stream_socket(AF_INET));
  const auto set = [&](int bytes, std::initializer_list<Fault> refused) {
    faults.script(SocketOp::kSetOption, fd.get(), refused);
    const int got = set_buffer_size(fd.get(), SO_RCVBUF, bytes);
    CHECK_EQ(faults.left(), 0);
    if (got > 0) CHECK_EQ(int_option(fd.get(), SOL_SOCKET, SO_RCVBUF), 2 * got);  // the kernel's
    return got;
  };
  const Fault no = fail(ENOBUFS);
  CHECK_EQ(set(10'000, {}), 10'000);
  CHECK_EQ(set(10'000, {no}), 10'240);
  CHECK_EQ(set(10'000, {no, no}), 9216);
  CHECK_EQ(set(10'240, {no, no, no, no}), 7168);
  CHECK_EQ(set(2000, {no, no, no}), 0);  // neither as asked, nor 2048, nor 1024
  CHECK_EQ(set(0, {}), 0);
  CHECK_EQ(int_option(fd.get(), SOL_SOCKET, SO_RCVBUF), 2 * 7168);
}

TEST_CASE("AC-3 F-077: a listener and a connect go on with the size that the system takes") {
  LeakCheck leaks;
  Faults faults;
  const Address at = loopback(Family::kTcp4);
  UniqueFd bound(sock::stream_socket(AF_INET));
  REQUIRE_EQ(::bind(bound.get(), at.sa(), at.len()), 0);
  AcceptOptions o;
  o.fd = bound.get();
  o.connection.recv_buffer_size = 50'000;
  faults.script(SocketOp::kSetOption, o.fd, {fail(ENOBUFS), fail(ENOBUFS)});
  Ref<ListenSocket> s;
  REQUIRE_EQ(ListenSocket::open({}, o, &s), 0);
  CHECK_EQ(s->fd(), bound.release());
  CHECK_EQ(int_option(s->fd(), SOL_SOCKET, SO_RCVBUF), 2 * 49'152);
  CHECK_EQ(faults.left(), 0);

  Connection con;
  NetVCOptions out;
  out.send_buffer_size = 50'000;  // after SO_REUSEADDR, which is asked for first
  faults.script(SocketOp::kSetOption, Faults::kAnyFd, {kPass, fail(ENOBUFS), fail(ENOBUFS)});
  REQUIRE_EQ(con.open(s->address(), out), 0);
  CHECK_EQ(int_option(con.fd(), SOL_SOCKET, SO_SNDBUF), 2 * 49'152);
  CHECK_EQ(faults.left(), 0);
}

}  // namespace netvc::test
