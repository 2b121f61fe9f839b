// Acceptor on one handler: delivery, cancel, fairness.
#include <doctest/doctest.h>

#include <fstream>

#include "support/accept_log.h"
#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/temp_dir.h"

namespace netvc::test {

TEST_CASE("AC-3 AC-4 F-072 F-076: a connection is attached, known and ready when it is delivered") {
  LeakCheck leaks;
  Loop loop;
  for (Family f : {Family::kTcp4, Family::kTcp6}) {
    Server s(loop, f);
    RawPeer client = dial(s.address());
    Address local;
    REQUIRE(Address::local_of(client.fd(), &local));
    s.log.react = [&](NetVConnection& vc) {
      CHECK_EQ(vc.handler, &loop.h);
      CHECK_EQ(vc.home(), &loop.h);
      CHECK_EQ(vc.context(), VcContext::kInbound);
      CHECK_EQ(vc.remote_addr().url(), local.url());
      CHECK_EQ(vc.local_addr().url(), s.address().url());
      CHECK(vc.read.triggered);
      CHECK(vc.write.triggered);
      CHECK_EQ(::fcntl(vc.get_socket(), F_GETFD), FD_CLOEXEC);
      CHECK((::fcntl(vc.get_socket(), F_GETFL) & O_NONBLOCK) != 0);
    };
    REQUIRE(loop.until([&] { return s.log.count() == 1; }));
    s.log.at(0)->do_io_close();
    Acceptor::cancel(s.acceptor);
  }
}

TEST_CASE("AC-4: bytes that came before the accept are read without another edge") {
  LeakCheck leaks;
  Loop loop;
  Server s(loop);
  Recorder rec;
  Buf in;
  s.log.react = [&](NetVConnection& vc) { vc.do_io_read(&rec, 5, in.m); };
  RawPeer client = dial(s.address());
  client.send("early");
  REQUIRE(loop.until([&] { return rec.has(Event::kReadComplete); }));
  CHECK_EQ(in.take(), "early");
  Acceptor::cancel(s.acceptor);
}

TEST_CASE("AC-3 F-077: options of accepted connections") {
  LeakCheck leaks;
  Loop loop;
  AcceptOptions o;
  o.connection.sock_flags = NetVCOptions::kNoDelay | NetVCOptions::kKeepAlive;
  o.connection.recv_buffer_size = 50'000;
  Server s(loop, loopback(Family::kTcp4), o);
  RawPeer client = dial(s.address());
  REQUIRE(loop.until([&] { return s.log.count() == 1; }));
  const int fd = s.log.at(0)->get_socket();
  CHECK_EQ(int_option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
  CHECK_EQ(int_option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
  CHECK_EQ(int_option(fd, SOL_SOCKET, SO_RCVBUF), 100'000);
  Acceptor::cancel(s.acceptor);
}

TEST_CASE("CL-7 AC-4: closing inside on_accept") {
  LeakCheck leaks;
  Loop loop;
  Server s(loop);
  s.log.react = [](NetVConnection& vc) { vc.do_io_close(); };
  RawPeer a = dial(s.address()), b = dial(s.address());
  REQUIRE(loop.until([&] { return s.log.count() == 2; }));
  CHECK(a.at_end());
  CHECK(b.at_end());
  CHECK_EQ(loop.h.open_count(), 1);  // the listener
  Acceptor::cancel(s.acceptor);
}

TEST_CASE("B-20 AC-4: a connection that cannot be registered is closed, and nobody is told") {
  LeakCheck leaks;
  Loop loop;
  AcceptLog log;
  TempDir dir;
  std::ofstream(dir.path("file")) << "x";
  const UniqueFd file(::open(dir.path("file").c_str(), O_RDONLY | O_CLOEXEC));
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
  RawPeer client = dial(socket->address());
  Address of_client;
  REQUIRE(Address::local_of(client.fd(), &of_client));
  // Between the accept and the registration the socket becomes a file, which cannot be polled.
  Ref<Acceptor> a(new Acceptor(socket, &log, [&]() -> NetHandler& {
    Address peer;
    for (int fd = 0; fd < 1000; ++fd) {
      if (Address::peer_of(fd, &peer) && peer.url() == of_client.url()) ::dup2(file.get(), fd);
    }
    return loop.h;
  }));
  a->start(loop.h, false);
  REQUIRE(loop.until([&] { return loop.h.counters.accepted.get() == 1; }));
  loop.settle();
  CHECK_EQ(log.count(), 0);
  CHECK_EQ(leaks.connections(), 0);
  CHECK(client.at_end());
  Acceptor::cancel(a);
}

TEST_CASE("AC-7: cancel closes the port at once; nobody is delivered afterwards") {
  LeakCheck leaks;
  Loop loop;
  Server s(loop);
  const Address at = s.address();
  RawPeer waiting = dial(at);
  Acceptor::cancel(s.acceptor);
  s.socket.reset();
  CHECK_EQ(s.log.stopped, 1);
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
  CHECK_EQ(::connect(fd.get(), at.sa(), at.len()), -1);
  CHECK_EQ(errno, ECONNREFUSED);
  loop.settle();
  CHECK_EQ(s.log.count(), 0);
  Acceptor::cancel(s.acceptor);
  CHECK_EQ(s.log.stopped, 1);
}

TEST_CASE("AC-7: cancel inside on_accept, with others waiting") {
  LeakCheck leaks;
  Loop loop;
  Server s(loop);
  s.log.react = [&](NetVConnection& vc) {
    Acceptor::cancel(s.acceptor);
    s.socket.reset();
    vc.do_io_close();
  };
  const Address at = s.address();
  RawPeer a = dial(at), b = dial(at), c = dial(at);
  loop.settle();
  CHECK_EQ(s.log.count(), 1);
  CHECK_EQ(s.log.stopped, 1);
}

TEST_CASE("AC-7: cancelled before it was started") {
  LeakCheck leaks;
  Loop loop;
  AcceptLog log;
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
  const Address at = socket->address();
  Ref<Acceptor> a(new Acceptor(std::move(socket), &log, [&]() -> NetHandler& { return loop.h; }));
  Acceptor::cancel(a);
  a->start(loop.h, false);
  RawPeer never(UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)));
  CHECK_EQ(::connect(never.fd(), at.sa(), at.len()), -1);
  loop.settle();
  CHECK_EQ(log.stopped, 1);
  CHECK_EQ(log.count(), 0);
  CHECK_EQ(loop.h.open_count(), 0);
}

TEST_CASE(
    "B-20 AC-5: cancelled while a connection is on its way to another thread: closed untold") {
  LeakCheck leaks;
  Loop here, there;
  AcceptLog log;
  Ref<ListenSocket> socket;
  REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), {}, &socket), 0);
  Ref<Acceptor> a(new Acceptor(socket, &log, [&]() -> NetHandler& { return there.h; }));
  a->start(here.h, false);
  RawPeer told = dial(socket->address());
  here.settle();
  there.settle();
  CHECK_EQ(log.count(), 1);
  RawPeer untold = dial(socket->address());
  here.settle();  // accepted, and in the mail
  CHECK_EQ(leaks.connections(), 2);
  Acceptor::cancel(a);
  CHECK_EQ(log.stopped, 0);  // somebody might still call
  there.settle();
  CHECK_EQ(log.count(), 1);
  CHECK_EQ(log.stopped, 1);
  CHECK(untold.at_end());
  CHECK_EQ(leaks.connections(), 1);
}

TEST_CASE("AC-7 F-080 INV-18: a burst is taken in portions; I/O goes on between them") {
  LeakCheck leaks;
  Loop loop;
  AcceptOptions o;
  o.accepts_per_wakeup = 4;
  Server s(loop, loopback(Family::kTcp4), o);
  VcAndPeer busy(loop, Family::kTcp4);
  Recorder rec;
  Buf in;
  busy->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  std::vector<RawPeer> clients;
  for (int i = 0; i < 10; ++i)
    clients.push_back(dial(s.address()));
  busy.peer.send("x");
  REQUIRE(wait_fd(busy->get_socket(), POLLIN));
  REQUIRE(wait_fd(s.socket->fd(), POLLIN));
  loop.turn();
  CHECK_EQ(s.log.count(), 4);
  CHECK_EQ(rec.story(), "RR");
  loop.turn();
  CHECK_EQ(s.log.count(), 8);
  loop.turn();
  CHECK_EQ(s.log.count(), 10);
  Acceptor::cancel(s.acceptor);
}

TEST_CASE("AC-7 F-080: while those who are there are busy, newcomers get a share of the turn") {
  LeakCheck leaks;
  Loop loop;
  constexpr size_t kBusy = 2 * Acceptor::kBusyPerAccept;
  Server s(loop);
  Recorder rec;
  std::vector<std::unique_ptr<VcAndPeer>> busy;
  std::vector<Buf> in(kBusy);
  for (size_t i = 0; i < kBusy; ++i) {
    busy.push_back(std::make_unique<VcAndPeer>(loop, Family::kUnix));
    (*busy[i])->do_io_read(&rec, VIO::kUnlimited, in[i].m);
  }
  const auto all_send = [&] {
    for (auto& b : busy) {
      b->peer.send("x");
      REQUIRE(wait_fd((*b)->get_socket(), POLLIN));
    }
  };
  const Nanos there = monotonic_now();
  REQUIRE(loop.until([&] { return loop.h.now() > there + NetVConnection::kNew; }));
  loop.settle();
  // Whether they were busy a moment ago is a question of time: of turns that follow each other
  // fast enough, as many as are needed.
  std::vector<RawPeer> clients;
  int checked = 0;
  for (int i = 0; i < 1000 && checked < 5; ++i) {
    while (clients.size() < s.log.count() + 10)
      clients.push_back(dial(s.address()));
    REQUIRE(wait_fd(s.socket->fd(), POLLIN));
    all_send();
    loop.turn();
    const Nanos before = loop.h.now();
    const size_t accepted = s.log.count();
    all_send();
    loop.turn();
    if (loop.h.now() - before > Acceptor::kQuiet) continue;
    CHECK_LE(s.log.count() - accepted, kBusy / Acceptor::kBusyPerAccept);
    ++checked;
  }
  CHECK_EQ(checked, 5);
  // Nobody is busy any more: as many as the options allow.
  const Nanos over = loop.h.now();
  REQUIRE(loop.until([&] { return loop.h.now() > over + Acceptor::kQuiet; }));
  REQUIRE(loop.until([&] { return s.log.count() == clients.size(); }));
  Acceptor::cancel(s.acceptor);
}

TEST_CASE("AC-3: sequence numbers follow the order of the accepts") {
  LeakCheck leaks;
  Loop loop;
  Server s(loop);
  std::vector<uint32_t> numbers;
  s.log.react = [&](NetVConnection& vc) { numbers.push_back(vc.sequence()); };
  std::vector<RawPeer> clients;
  for (int i = 0; i < 5; ++i)
    clients.push_back(dial(s.address()));
  REQUIRE(loop.until([&] { return numbers.size() == 5; }));
  CHECK(std::is_sorted(numbers.begin(), numbers.end()));
  Acceptor::cancel(s.acceptor);
}

TEST_CASE("INV-27: the handler's shutdown stops the acceptor and says so") {
  LeakCheck leaks;
  Loop loop;
  Server s(loop);
  RawPeer client = dial(s.address());
  REQUIRE(loop.until([&] { return s.log.count() == 1; }));
  loop.h.shut_down();
  CHECK_EQ(s.log.stopped, 1);
  CHECK(client.at_end());
}

}  // namespace netvc::test
