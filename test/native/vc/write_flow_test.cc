// Messages on their way (vc/write.h): errors of the kernel, connecting, partial writes, and a
// connection's thread that does nothing for a while.
#include <doctest/doctest.h>

#include <future>
#include <thread>

#include "support/accept_log.h"
#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/net_threads.h"
#include "support/notices.h"
#include "support/numbered.h"
#include "vc/write.h"

namespace netvc::test {

namespace {

using Codes = std::vector<int>;

struct Fixture {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  Recorder rec;
  Notices told;
  Buf in, out;

  int send_told(std::string_view s) {
    return write(c.id, s.data(), s.size(), {.told = told.notice()});
  }
};

// Remembers whether the connection was known to have failed when it was told.
struct Witness final : Notice {
  Witness(NetVConnection& of, Codes& to) : vc(of), seen(to) {}
  void tell(int error) override {
    CHECK_EQ(vc.failure(), error);
    CHECK_EQ(vc.write_refusal(), error);
    seen.push_back(error);
    delete this;
  }
  NetVConnection& vc;
  Codes& seen;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "SW-11: an error of the kernel fails every message, after set_failed") {
  for (int error : {EPIPE, ECONNRESET, ETIMEDOUT}) {
    CAPTURE(error);
    VcAndPeer d(loop, Family::kTcp4);
    VcPool::Handle h = NetVConnection::pool().address(d.id);
    faults.script(SocketOp::kWrite, d->get_socket(), {fail(error)});
    d->do_io_read(&rec, VIO::kUnlimited, in.m);
    Codes seen;
    for (int i = 0; i < 3; ++i)
      CHECK_EQ(write(d.id, "x", 1, {.told = new Witness(*h, seen)}), 0);
    std::thread([&] { CHECK_EQ(write(d.id, "y", 1, {.told = new Witness(*h, seen)}), 0); }).join();
    loop.settle();
    CHECK_EQ(seen, Codes{error, error, error, error});
    CHECK_EQ(write(d.id, "z", 1), error);
    CHECK_EQ(h->unsent(), 0);
    CHECK(h->failed());
    d->do_io_close();
    CHECK_EQ(h->failure(), error);
  }
}

TEST_CASE_FIXTURE(Fixture, "INV-9: what had left before the error was told 0, the rest fails") {
  faults.script(SocketOp::kWrite, c->get_socket(), {at_most(5), fail(EPIPE)});
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  CHECK_EQ(send_told("one "), 0);
  CHECK_EQ(send_told("two "), 0);
  CHECK_EQ(send_told("three"), 0);
  loop.settle();
  CHECK_EQ(told.codes, Codes{0, EPIPE, EPIPE});
  CHECK_EQ(c.peer.receive(5), "one t");
}

TEST_CASE_FIXTURE(Fixture, "SW-11: messages of threads that had looked before it failed fail too") {
  // While one is told, another thread submits the next: the writer is not through yet.
  struct Last final : Notice {
    Last(VcPool::Handle of, Notice* next) : vc(std::move(of)), then(next) {}
    void tell(int error) override {
      std::thread([this] {
        WriteRequest* r = WriteRequest::make("y", 1);
        r->told = then;
        NetVConnection::submit(vc.again(), r);
      }).join();
      then = nullptr;
      seen = error;
    }
    VcPool::Handle vc;
    Notice* then;
    int seen = 0;
  } first(held.again(), told.notice());
  faults.script(SocketOp::kWrite, c->get_socket(), {fail(EIO)});
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  CHECK_EQ(send_told("w"), 0);
  loop.settle();
  CHECK_EQ(told.codes, Codes{EIO});
  CHECK_FALSE(c->write.triggered);  // no edge will come to its help
  std::thread([&] {
    WriteRequest* r = WriteRequest::make("x", 1);
    r->told = &first;
    NetVConnection::submit(held.again(), r);
  }).join();
  loop.settle();
  CHECK_EQ(first.seen, EIO);
  CHECK_EQ(told.codes, Codes{EIO, EIO});
  CHECK_EQ(held->unsent(), 0);
}

TEST_CASE_FIXTURE(Fixture, "SW-6: EAGAIN, ENOBUFS and EINTR are no errors") {
  loop.exact_lists = false;
  faults.script(SocketOp::kWrite, c->get_socket(),
                {fail(EINTR), fail(ENOBUFS), at_most(3), fail(EAGAIN)});
  CHECK_EQ(send_told("message"), 0);
  REQUIRE(loop.until([&] { return faults.left() == 0; }));
  c->on_poll(kPollOut);
  REQUIRE(loop.until([&] { return !told.codes.empty(); }));
  CHECK_EQ(told.codes, Codes{0});
  CHECK_EQ(c.peer.receive(7), "message");
}

TEST_CASE("SC-4: messages written while it connects go out in order after it") {
  LeakCheck leaks;
  Loop loop;
  Server server(loop);
  ConnectLog log;
  Notices told;
  const VersionedId id = connect_s(loop.h, server.address(), {}, &log).id();
  log.react = [&](NetVConnection& vc) {
    CHECK(told.codes.empty());
    CHECK(vc.queue_write("three", 5));
  };
  CHECK_EQ(write(id, "one ", 4, {.told = told.notice()}), 0);
  std::thread([&] { CHECK_EQ(write(id, "two ", 4, {.told = told.notice()}), 0); }).join();
  REQUIRE(loop.until([&] { return log.told() && server.log.count() == 1; }));
  NetVConnection* accepted = server.log.at(0);
  Recorder rec;
  Buf in;
  accepted->do_io_read(&rec, 13, in.m);
  REQUIRE(loop.until([&] { return rec.has(Event::kReadComplete); }));
  CHECK_EQ(in.take(), "one two three");
  CHECK_EQ(told.codes, Codes{0, 0});
  Acceptor::cancel(server.acceptor);
}

TEST_CASE("SC-4: or all fail with the error of the connect") {
  LeakCheck leaks;
  Loop loop;
  Address nobody;
  {
    Server server(loop);
    nobody = server.address();
    Acceptor::cancel(server.acceptor);
    loop.settle();
  }
  ConnectLog log;
  Notices told;
  const VersionedId id = connect_s(loop.h, nobody, {}, &log).id();
  CHECK_EQ(write(id, "one", 3, {.told = told.notice()}), 0);
  std::thread([&] { CHECK_EQ(write(id, "two", 3, {.told = told.notice()}), 0); }).join();
  REQUIRE(loop.until([&] { return log.told(); }));
  loop.settle();
  CHECK_EQ(log.error.error_number, ECONNREFUSED);
  CHECK_EQ(told.codes, Codes{ECONNREFUSED, ECONNREFUSED});
  CHECK_EQ(write(id, "x", 1), ENET_CLOSED);
}

TEST_CASE_FIXTURE(Fixture, "SW-9 INV-4: partial writes at every border keep the bytes exact") {
  // Small and large messages, with and without notices; the kernel takes 1, 2, 3... bytes.
  std::string all;
  for (int i = 0; i < 60; ++i) {
    const std::string s = pattern(all.size(), static_cast<size_t>(1 + (i * 37) % 900));
    all += s;
    if (i % 3 == 0) {
      CHECK_EQ(send_told(s), 0);
    } else {
      CHECK_EQ(write(c.id, s.data(), s.size()), 0);
    }
  }
  const std::string large = pattern(all.size(), 50'000);
  all += large;
  CHECK_EQ(send_told(large), 0);
  for (size_t n = 1; n < 400; ++n)
    faults.script(SocketOp::kWrite, c->get_socket(), {at_most(n)});
  std::string got;
  REQUIRE(loop.until([&] {
    got += c.peer.take();
    return got.size() == all.size();
  }));
  CHECK(got == all);
  CHECK_EQ(told.codes, Codes(21, 0));
  CHECK_EQ(c->unsent(), 0);
}

TEST_CASE_FIXTURE(Fixture, "SW-9: random faults over ten thousand messages") {
  faults.random(take_seed("write flow"), 3);
  loop.exact_lists = false;
  WireLog log(1, 10'000);
  Notices all;
  uint32_t sent = 0;
  Random random(take_seed("write flow sizes"));
  REQUIRE(loop.until(
      [&] {
        for (int i = 0; i < 100 && sent < 10'000; ++i, ++sent) {
          const std::string s = numbered_message(0, sent, static_cast<size_t>(random.size(3000)));
          if (write(c.id, s.data(), s.size(), {.told = all.notice()}) != 0) return true;
        }
        c->on_poll(kPollOut);
        log.feed(c.peer.take());
        return log.count == 10'000;
      },
      60 * kSecond));
  CHECK_EQ(log.count, 10'000);
  CHECK_EQ(log.wrong, 0);
  CHECK_EQ(all.codes, Codes(10'000, 0));
}

TEST_CASE("INV-8 F-126: 8 threads x 10^5 writes return while the connection's thread is paused") {
  LeakCheck leaks;
  constexpr uint32_t kProducers = 8, kEach = 100'000;
  NetThreads threads(1);
  FdPair p = fd_pair(Family::kUnix);
  RawPeer peer(std::move(p.b));
  const VersionedId id =
      on(threads[0], [&](NetHandler& h) { return adopt(h, std::move(p.a))->id(); });
  std::promise<void> paused, go_on;
  threads[0].post([&](NetHandler&) {
    paused.set_value();
    go_on.get_future().wait();
  });
  paused.get_future().wait();
  std::atomic<int> refused{0};
  std::vector<std::thread> producers;
  for (uint32_t t = 0; t < kProducers; ++t) {
    producers.emplace_back([&, t] {
      for (uint32_t i = 0; i < kEach; ++i) {
        const std::string s = numbered_message(t, i, 64);
        refused += write(id, s.data(), s.size(), {.ignore_overcrowded = true}) != 0;
      }
    });
  }
  for (auto& t : producers)
    t.join();
  CHECK_EQ(refused, 0);
  CHECK_EQ(NetVConnection::pool().address(id)->unsent(), int64_t{kProducers} * kEach * 64);
  go_on.set_value();
  WireLog log(kProducers, kEach);
  while (log.count < int64_t{kProducers} * kEach && log.wrong == 0) {
    REQUIRE(wait_fd(peer.fd(), POLLIN, 60'000));  // it takes all of them before it sends
    log.feed(peer.take());
  }
  CHECK_EQ(log.wrong, 0);
  CHECK(wait_for([&] { return NetVConnection::pool().address(id)->unsent() == 0; }));
}

TEST_CASE("INV-8: the same, and the connection fails before its thread goes on") {
  LeakCheck leaks;
  constexpr int kProducers = 8, kEach = 10'000;
  struct Count final : Notice {
    explicit Count(std::atomic<int>& to) : told(to) {}
    void tell(int error) override {
      if (error == EIO) told.fetch_add(1);
      delete this;
    }
    std::atomic<int>& told;
  };
  std::atomic<int> failed{0}, refused{0};
  NetThreads threads(1);
  FdPair p = fd_pair(Family::kUnix);
  const VersionedId id =
      on(threads[0], [&](NetHandler& h) { return adopt(h, std::move(p.a))->id(); });
  std::promise<void> paused, go_on;
  threads[0].post([&](NetHandler&) {
    paused.set_value();
    go_on.get_future().wait();
  });
  paused.get_future().wait();
  std::vector<std::thread> producers;
  for (int t = 0; t < kProducers; ++t) {
    producers.emplace_back([&] {
      for (int i = 0; i < kEach; ++i) {
        auto* n = new Count(failed);
        if (write(id, "0123456789", 10, {.told = n}) == 0) continue;
        n->tell(EIO);
        refused.fetch_add(1);
      }
    });
  }
  REQUIRE(wait_for([&] { return WriteRequest::live() > kEach; }));
  CHECK(NetVConnection::set_failed(NetVConnection::pool().address(id), EIO, ""));
  for (auto& t : producers)
    t.join();
  go_on.set_value();
  CHECK(wait_for([&] { return failed == kProducers * kEach; }));
  CHECK(wait_for([&] { return !NetVConnection::pool().address(id); }));
  CHECK_LT(refused, kProducers * kEach - kEach);
}

}  // namespace netvc::test
