// NetVCOptions of outgoing connections: binding, socket options, fast open.
#include <netinet/ip.h>

#include <fstream>

#include <doctest/doctest.h>

#include "support/accept_log.h"
#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/refusal.h"

namespace netvc::test {

namespace {

struct Fixture {
  LeakCheck leaks;
  Loop loop;
  Server server{loop};
  ~Fixture() { Acceptor::cancel(server.acceptor); }

  // Connects with options; the errno of a failure, or 0 and the connection in `log`.
  int dial_with(const NetVCOptions& o) {
    log = ConnectLog();
    connect_s(loop.h, server.address(), o, &log, kSecond);
    REQUIRE(loop.until([&] { return log.told(); }));
    return log.opened ? 0 : log.error.error_number;
  }
  Address ip(const char* text) {
    Address a;
    REQUIRE(Address::from_ip(text, 0, &a));
    return a;
  }
  uint16_t free_port() {
    Ref<ListenSocket> s;
    REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &s), 0);
    return s->address().port();
  }

  ConnectLog log;
};

/// Where clients may not use it, nothing that is said of it here could be seen to be false.
void require_fast_open() {
  int value = 0;
  std::ifstream("/proc/sys/net/ipv4/tcp_fastopen") >> value;
  REQUIRE_MESSAGE((value & 1) != 0, "fast open is off; to test it: sysctl net.ipv4.tcp_fastopen=1");
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "CN-3 F-085: reset() is TCP defaults: no delay, nothing else") {
  NetVCOptions o;
  o.sock_flags = 15;
  o.local_port = 9;
  o.packet_tos = 3;
  o.congestion_control = "reno";
  o.reset();
  CHECK_EQ(o.sock_flags, NetVCOptions::kNoDelay);
  CHECK_EQ(o.local_port, 0);
  CHECK_EQ(o.packet_tos, 0);
  CHECK_EQ(o.congestion_control, "");
  CHECK(o.addr_binding == AddrBinding::kAny);
}

TEST_CASE_FIXTURE(Fixture, "CN-3 F-085: socket options are set before on_open") {
  NetVCOptions o;
  o.sock_flags = NetVCOptions::kKeepAlive | NetVCOptions::kLingerOn;
  o.recv_buffer_size = 40'000;
  o.send_buffer_size = 50'000;
  o.packet_tos = 0x10;
  o.congestion_control = "reno";
  REQUIRE_EQ(dial_with(o), 0);
  const int fd = log.vc()->get_socket();
  CHECK_EQ(int_option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
  CHECK_EQ(int_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
  CHECK_EQ(int_option(fd, SOL_SOCKET, SO_RCVBUF), 80'000);
  CHECK_EQ(int_option(fd, SOL_SOCKET, SO_SNDBUF), 100'000);
  CHECK_EQ(int_option(fd, IPPROTO_IP, IP_TOS), 0x10);
  linger l{};
  socklen_t len = sizeof l;
  ::getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &len);
  CHECK_EQ(l.l_onoff, 1);
  CHECK_EQ(l.l_linger, 0);
}

TEST_CASE_FIXTURE(Fixture,
                  "CN-3 F-085: options of TCP are set before on_open; 0 leaves them alone") {
  NetVCOptions o;
  REQUIRE_EQ(dial_with(o), 0);
  const int plain = log.vc()->get_socket();
  const int idle = int_option(plain, IPPROTO_TCP, TCP_KEEPIDLE);
  CHECK_EQ(int_option(plain, IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
  o.sock_flags |= NetVCOptions::kKeepAlive;
  o.keep_alive_idle = idle + 1;
  o.keep_alive_interval = 11;
  o.keep_alive_count = 4;
  o.not_sent_lowat = 20'000;
  o.user_timeout = 1234;
  o.max_segment_size = 600;
  REQUIRE_EQ(dial_with(o), 0);
  const int fd = log.vc()->get_socket();
  CHECK_EQ(int_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), idle + 1);
  CHECK_EQ(int_option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 11);
  CHECK_EQ(int_option(fd, IPPROTO_TCP, TCP_KEEPCNT), 4);
  CHECK_EQ(int_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 20'000);
  CHECK_EQ(int_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 1234);
  CHECK_LE(int_option(fd, IPPROTO_TCP, TCP_MAXSEG), 600);
  o.max_segment_size = 50;  // less than any kernel takes
  CHECK_EQ(dial_with(o), EINVAL);
}

TEST_CASE_FIXTURE(
    Fixture, "CN-4: the local port is chosen late: connections to two peers share the only one") {
  Server second(loop);
  NetVCOptions o;
  o.addr_binding = AddrBinding::kIntf;
  o.local_ip = ip("127.0.0.1");
  const auto dial_to = [&](const Address& to) {
    ConnectLog there;
    connect_s(loop.h, to, o, &there, kSecond);
    REQUIRE(loop.until([&] { return there.told(); }));
    return there;
  };
  ConnectLog first, other;
  constexpr int kIpLocalPortRange = 51;  // since Linux 6.3
  const int refused = refusal(AF_INET, IPPROTO_IP, kIpLocalPortRange, 0);
  // A port that was free may be taken by somebody else: then another one.
  for (int i = 0; i < 10 && !first.opened && (i == 0 || refused == 0); ++i) {
    o.local_port_low = o.local_port_high = free_port();
    first = dial_to(server.address());
  }
  if (refused != 0) {
    CHECK_EQ(first.error.error_number, refused);
  } else {
    REQUIRE_EQ(first.opened, 1);
    other = dial_to(second.address());
    REQUIRE_EQ(other.opened, 1);
    CHECK_EQ(first.vc()->local_addr().port(), o.local_port_low);
    CHECK_EQ(other.vc()->local_addr().port(), o.local_port_low);
    CHECK_EQ(dial_to(server.address()).error.error_number, EADDRNOTAVAIL);
  }
  Acceptor::cancel(second.acceptor);
}

TEST_CASE_FIXTURE(Fixture, "CN-4: a bound address without a port has none until it connects") {
  NetVCOptions o;
  o.addr_binding = AddrBinding::kIntf;
  o.local_ip = ip("127.0.0.1");
  Connection con;
  REQUIRE_EQ(con.open(server.address(), o), 0);
  CHECK_EQ(int_option(con.fd(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 1);
  Address local;
  REQUIRE(Address::local_of(con.fd(), &local));
  CHECK_EQ(local.url(), "tcp://127.0.0.1:0");
}

TEST_CASE_FIXTURE(Fixture,
                  "CN-3: the mark, where the process may set it; else the failure is told") {
  NetVCOptions o;
  o.packet_mark = 7;
  CHECK_EQ(dial_with(o), refusal(AF_INET, SOL_SOCKET, SO_MARK, 7));
  if (log.opened) CHECK_EQ(int_option(log.vc()->get_socket(), SOL_SOCKET, SO_MARK), 7);
}

TEST_CASE_FIXTURE(Fixture,
                  "CN-3: an unknown congestion control is a failure, told with its errno") {
  NetVCOptions o;
  o.congestion_control = "no-such-thing";
  CHECK_EQ(dial_with(o), ENOENT);
  CHECK_EQ(leaks.connections(), 0);
}

TEST_CASE_FIXTURE(Fixture, "CN-4 F-084: ANY_ADDR binds only for a local port") {
  NetVCOptions o;
  REQUIRE_EQ(dial_with(o), 0);
  o.local_port = free_port();
  REQUIRE_EQ(dial_with(o), 0);
  CHECK_EQ(log.vc()->local_addr().port(), o.local_port);
}

TEST_CASE_FIXTURE(Fixture, "CN-4: INTF_ADDR binds to the address, with and without a port") {
  NetVCOptions o;
  o.addr_binding = AddrBinding::kIntf;
  o.local_ip = ip("127.0.0.5");
  REQUIRE_EQ(dial_with(o), 0);
  CHECK_EQ(log.vc()->local_addr().host(), "127.0.0.5");
  o.local_port = free_port();
  REQUIRE_EQ(dial_with(o), 0);
  CHECK_EQ(log.vc()->local_addr().url(), "tcp://127.0.0.5:" + std::to_string(o.local_port));
}

TEST_CASE_FIXTURE(Fixture, "CN-4: an address that is not ours, or of another family") {
  NetVCOptions o;
  o.addr_binding = AddrBinding::kIntf;
  CHECK_EQ(dial_with(o), EAFNOSUPPORT);  // none given
  o.local_ip = ip("::1");
  CHECK_EQ(dial_with(o), EAFNOSUPPORT);
  o.local_ip = ip("192.0.2.1");
  CHECK_EQ(dial_with(o), EADDRNOTAVAIL);
  CHECK_EQ(leaks.connections(), 0);
}

TEST_CASE_FIXTURE(Fixture, "CN-4: FOREIGN_ADDR binds after IP_TRANSPARENT, or tells why not") {
  NetVCOptions o;
  o.addr_binding = AddrBinding::kForeign;
  o.local_ip = ip("127.0.0.6");
  CHECK_EQ(dial_with(o), refusal(AF_INET, IPPROTO_IP, IP_TRANSPARENT));
  if (!log.opened) return;
  CHECK_EQ(log.vc()->local_addr().host(), "127.0.0.6");
  CHECK_EQ(int_option(log.vc()->get_socket(), IPPROTO_IP, IP_TRANSPARENT), 1);
}

TEST_CASE_FIXTURE(Fixture, "CN-4: a local port in use is told with its errno") {
  NetVCOptions o;
  o.local_port = server.address().port();
  o.addr_binding = AddrBinding::kIntf;
  o.local_ip = ip("127.0.0.1");
  CHECK_EQ(dial_with(o), EADDRINUSE);
}

TEST_CASE_FIXTURE(Fixture,
                  "CN-9 F-086: fast open sends nothing before the first write, then both in one") {
  require_fast_open();
  NetVCOptions o;
  o.sock_flags |= NetVCOptions::kFastOpen;
  Recorder rec, far;
  Buf in, out("early data"), back;
  log.react = [&](NetVConnection& vc) {
    Address peer;
    CHECK_FALSE(Address::peer_of(vc.get_socket(), &peer));
    vc.do_io_read(&rec, 4, back.m);
  };
  server.log.react = [&](NetVConnection& vc) { vc.do_io_read(&far, 10, in.m); };
  connect_re(loop.h, server.address(), o, &log);
  loop.settle();
  CHECK_EQ(server.log.count(), 0);
  CHECK_EQ(rec.story(), "");
  log.vc()->do_io_write(&rec, 10, out.r);
  REQUIRE(loop.until([&] { return far.has(Event::kReadComplete); }));
  CHECK_EQ(in.take(), "early data");
  CHECK_EQ(rec.endings(Side::kWrite), "WC");
  Buf answer("back");
  server.log.at(0)->do_io_write(&far, 4, answer.r);
  REQUIRE(loop.until([&] { return rec.has(Event::kReadComplete); }));
  CHECK_EQ(back.take(), "back");
}

TEST_CASE_FIXTURE(Fixture, "CN-9 CN-6: fast open to where nobody listens is ECONNREFUSED") {
  require_fast_open();
  NetVCOptions o;
  o.sock_flags |= NetVCOptions::kFastOpen;
  Address nobody = loopback(Family::kTcp4, free_port());
  Recorder rec;
  Buf out("x");
  log.react = [&](NetVConnection& vc) { vc.do_io_write(&rec, 1, out.r); };
  connect_re(loop.h, nobody, o, &log);
  REQUIRE(loop.until([&] { return rec.has(Event::kError); }));
  CHECK_EQ(log.vc()->lerrno, ECONNREFUSED);
}

TEST_CASE_FIXTURE(Fixture,
                  "CN-9: ENOBUFS of the first fast-open write is tried again, connect included") {
  require_fast_open();
  loop.exact_lists = false;
  Faults faults;
  NetVCOptions o;
  o.sock_flags |= NetVCOptions::kFastOpen;
  Recorder rec, far;
  Buf in, out("early data");
  server.log.react = [&](NetVConnection& vc) { vc.do_io_read(&far, 10, in.m); };
  log.react = [&](NetVConnection& vc) {
    faults.script(SocketOp::kWrite, vc.get_socket(), {fail(ENOBUFS)});
    vc.do_io_write(&rec, 10, out.r);
  };
  connect_re(loop.h, server.address(), o, &log);
  REQUIRE(loop.until([&] { return rec.endings() != ""; }));
  CHECK_EQ(rec.endings(), "WC");
  REQUIRE(loop.until([&] { return far.has(Event::kReadComplete); }));
}

}  // namespace netvc::test
