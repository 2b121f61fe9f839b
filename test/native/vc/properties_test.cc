// What a connection knows about itself, and options at run time.
#include <netinet/ip.h>

#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/loop.h"
#include "support/refusal.h"

namespace netvc::test {

namespace {

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t len = sizeof value;
  ::getsockopt(fd, level, name, &value, &len);
  return value;
}

}  // namespace

TEST_CASE("VC-7: get_data knows the VIOs and CLOSED; anything else is refused untouched") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  VIO* vio = nullptr;
  CHECK(c->get_data(kDataReadVio, &vio));
  CHECK_EQ(vio, &c->read_vio);
  CHECK(c->get_data(kDataWriteVio, &vio));
  CHECK_EQ(vio, &c->write_vio);
  int closed = 7;
  CHECK_FALSE(c->get_data(99, &closed));
  CHECK_EQ(closed, 7);
  CHECK(c->get_data(kDataClosed, &closed));
  CHECK_EQ(closed, 0);
  CHECK_FALSE(c->set_data(kDataClosed, &closed));
  c->do_io_close();
  CHECK(c->get_data(kDataClosed, &closed));
  CHECK_EQ(closed, 1);
}

TEST_CASE("VC-7 CL-1: CLOSED is -1 after an abort") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  c->do_io_close(ECONNABORTED);
  int closed = 7;
  CHECK(c->get_data(kDataClosed, &closed));
  CHECK_EQ(closed, -1);
  CHECK_EQ(c->lerrno, ECONNABORTED);
}

TEST_CASE("VC-8 F-023: addresses of both ends, v4, v6 and unix") {
  LeakCheck leaks;
  Loop loop;
  for (Family f : {Family::kTcp4, Family::kTcp6, Family::kUnix}) {
    CAPTURE(name_of(f));
    VcAndPeer c(loop, f);
    Address far_local, far_remote;
    REQUIRE(Address::local_of(c.peer.fd(), &far_local));
    REQUIRE(Address::peer_of(c.peer.fd(), &far_remote));
    CHECK_EQ(c->remote_addr().url(), far_local.url());
    CHECK_EQ(c->local_addr().url(), far_remote.url());
    CHECK_EQ(c->remote_addr().port(), far_local.port());
    CHECK_EQ(c->remote_addr().family(), far_local.family());
    CHECK_EQ(&c->local_addr(), &c->local_addr());  // asked once
    c->do_io_close();
  }
}

TEST_CASE(
    "VC-8: get_socket is the descriptor, -1 when closed; sequence numbers grow and are never 0") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer a(loop, Family::kUnix), b(loop, Family::kUnix);
  CHECK_GE(a->get_socket(), 0);
  CHECK_NE(a->sequence(), 0);
  CHECK_GT(b->sequence(), a->sequence());
  CHECK_NE(a->id(), b->id());
  CHECK_LE(a->submit_time(), monotonic_now());
  CHECK_GT(a->submit_time(), monotonic_now() - 60 * kSecond);
  CHECK_EQ(a->context(), VcContext::kInbound);
  VcPool::Handle held = NetVConnection::pool().address(a.id);
  a->do_io_close();
  CHECK_EQ(a->get_socket(), -1);
}

TEST_CASE("VC-9: outstanding is what the peer has not acknowledged; -1 when unknown") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  CHECK_EQ(c->outstanding(), 0);
  Recorder rec;
  Buf out(kIndexMax);
  out.put(std::string(2'000'000, 'x'));
  shrink_buffers(c.peer.fd());
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  CHECK_GT(c->outstanding(), 0);
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  c->do_io_close();
  CHECK_EQ(c->outstanding(), -1);
}

TEST_CASE("VC-10 F-025: each option that can change at run time is pushed to the socket") {
  LeakCheck leaks;
  Loop loop;
  struct Property {
    const char* name;
    void (*give)(NetVCOptions&);
    int level, option, value;
    bool goes_off;  // when it is not given any more; else it stays
  };
  const auto tests = [](bool v6) {
    return std::vector<Property>{
        {"no delay", [](NetVCOptions& o) { o.sock_flags |= NetVCOptions::kNoDelay; }, IPPROTO_TCP,
         TCP_NODELAY, 1, true},
        {"keep alive", [](NetVCOptions& o) { o.sock_flags |= NetVCOptions::kKeepAlive; },
         SOL_SOCKET, SO_KEEPALIVE, 1, true},
        {"linger", [](NetVCOptions& o) { o.sock_flags |= NetVCOptions::kLingerOn; }, SOL_SOCKET,
         SO_LINGER, 1, true},
        {"mark", [](NetVCOptions& o) { o.packet_mark = 7; }, SOL_SOCKET, SO_MARK, 7, true},
        {"tos", [](NetVCOptions& o) { o.packet_tos = 0x10; }, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
         v6 ? IPV6_TCLASS : IP_TOS, 0x10, true},
        {"keep alive, idle", [](NetVCOptions& o) { o.keep_alive_idle = 77; }, IPPROTO_TCP,
         TCP_KEEPIDLE, 77, false},
        {"keep alive, interval", [](NetVCOptions& o) { o.keep_alive_interval = 11; }, IPPROTO_TCP,
         TCP_KEEPINTVL, 11, false},
        {"keep alive, count", [](NetVCOptions& o) { o.keep_alive_count = 4; }, IPPROTO_TCP,
         TCP_KEEPCNT, 4, false},
        {"not sent", [](NetVCOptions& o) { o.not_sent_lowat = 10'000; }, IPPROTO_TCP,
         TCP_NOTSENT_LOWAT, 10'000, true},
        {"user timeout", [](NetVCOptions& o) { o.user_timeout = 5000; }, IPPROTO_TCP,
         TCP_USER_TIMEOUT, 5000, true},
    };
  };
  for (const Family f : {Family::kTcp4, Family::kTcp6}) {
    for (const Property& p : tests(f == Family::kTcp6)) {
      CAPTURE(name_of(f));
      CAPTURE(std::string(p.name));
      VcAndPeer c(loop, f);
      const int fd = c->get_socket();
      NetVCOptions o;
      o.sock_flags = 0;
      REQUIRE_EQ(c->apply_options(o), 0);
      const int before = option(fd, p.level, p.option);
      REQUIRE_NE(before, p.value);
      p.give(o);
      const int refused = p.option == SO_MARK && p.level == SOL_SOCKET
                              ? refusal(loopback(f).family(), p.level, p.option, p.value)
                              : 0;
      REQUIRE_EQ(c->apply_options(o), -refused);
      CHECK_EQ(option(fd, p.level, p.option), refused ? before : p.value);
      o.reset();
      o.sock_flags = 0;
      REQUIRE_EQ(c->apply_options(o), 0);
      if (!refused) CHECK_EQ(option(fd, p.level, p.option), p.goes_off ? before : p.value);
      c->do_io_close();
    }
  }
}

TEST_CASE("VC-10 F-025: the congestion control is pushed too; the defaults are no delay alone") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  const int fd = c->get_socket();
  const auto name = [&] {
    char text[16] = {};
    socklen_t len = sizeof text;
    ::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &len);
    return std::string(text);
  };
  const std::string other = name() == "reno" ? "cubic" : "reno";
  NetVCOptions o;
  o.sock_flags = 0;
  o.congestion_control = other;
  CHECK_EQ(c->apply_options(o), 0);
  CHECK_EQ(name(), other);
  CHECK_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 0);
  o.reset();
  CHECK_EQ(c->apply_options(o), 0);
  CHECK_EQ(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
  CHECK_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
  o.congestion_control = "no-such-thing";
  CHECK_EQ(c->apply_options(o), -ENOENT);
}

TEST_CASE("VC-10 F-026: congestion control by name, -1 for an unknown one; no initial window") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  CHECK_EQ(c->set_tcp_congestion_control("reno"), 0);
  char name[16] = {};
  socklen_t len = sizeof name;
  ::getsockopt(c->get_socket(), IPPROTO_TCP, TCP_CONGESTION, name, &len);
  CHECK_EQ(std::string(name), "reno");
  CHECK_EQ(c->set_tcp_congestion_control("no-such-thing"), -1);
  CHECK_EQ(c->set_tcp_init_cwnd(10), -1);
}

TEST_CASE("VC-10: options are no error on a unix socket") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kUnix);
  NetVCOptions o;
  o.sock_flags = NetVCOptions::kNoDelay | NetVCOptions::kKeepAlive;
  o.packet_tos = 0x10;
  o.congestion_control = "reno";
  CHECK_EQ(c->apply_options(o), 0);
}

TEST_CASE("VC-12: flags are carried and mean nothing here") {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  CHECK_FALSE(c->is_internal_request);
  CHECK_FALSE(c->is_transparent);
  c->is_internal_request = c->is_transparent = true;
  c->attributes = 5;
  Recorder rec;
  Buf in;
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.send("x");
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(rec.story(), "RR");
  CHECK_EQ(c->attributes, 5);
}

}  // namespace netvc::test
