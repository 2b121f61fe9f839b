// The failure of a connection: once, with a reason, told to everybody who wants to know.
#include <doctest/doctest.h>

#include <thread>

#include "support/accept_log.h"
#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/net_threads.h"
#include "support/notices.h"
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

  bool set_failed(int error, std::string text = "") {
    return NetVConnection::set_failed(held.again(), error, std::move(text));
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "SK-3: a handle gives another one, whatever has become of it") {
  VcPool::Handle second = held.again();
  CHECK_EQ(second.get(), c.vc);
  CHECK(set_failed(EIO));
  VcPool::Handle of_failed = second.again();
  CHECK_EQ(of_failed.get(), c.vc);
  loop.turn();
  CHECK_FALSE(c.alive());
  VcPool::Handle of_closed = of_failed.again();
  CHECK_EQ(of_closed.get(), c.vc);
  const int64_t live = NetVConnection::pool().live();
  held = VcPool::Handle();
  second = VcPool::Handle();
  of_failed = VcPool::Handle();
  CHECK_EQ(NetVConnection::pool().live(), live);
  CHECK_EQ(of_closed->failure(), EIO);
  of_closed = VcPool::Handle();
  CHECK_EQ(NetVConnection::pool().live(), live - 1);
  CHECK_FALSE(VcPool::Handle().again());
}

TEST_CASE_FIXTURE(Fixture, "SK-4: the first caller makes it fail, with its code and text") {
  CHECK_EQ(c->failure(), 0);
  CHECK_EQ(c->failure_text(), "");
  CHECK(set_failed(EHOSTDOWN, "the switch burns"));
  CHECK_FALSE(set_failed(EIO, "too late"));
  CHECK(c->failed());
  CHECK_EQ(c->failure(), EHOSTDOWN);
  CHECK_EQ(c->failure_text(), "the switch burns");
  loop.turn();
  CHECK_FALSE(set_failed(EIO, "too late"));
  CHECK_EQ(held->failure(), EHOSTDOWN);
  CHECK_EQ(held->failure_text(), "the switch burns");
}

TEST_CASE_FIXTURE(Fixture, "SK-4: code 0 becomes EFAILEDSOCKET") {
  held->on_failed(told.notice());
  CHECK(set_failed(0));
  CHECK_EQ(c->failure(), EFAILEDSOCKET);
  CHECK_EQ(told.codes, Codes{EFAILEDSOCKET});
  CHECK_EQ(write(c.id, "x", 1), EFAILEDSOCKET);
}

TEST_CASE_FIXTURE(Fixture, "SK-7: who gives up before gets its notice back, and is not told") {
  Notices other;
  Notice* mine = told.notice();
  held->on_failed(other.notice());
  const uint64_t ticket = held->on_failed(mine);
  const uint64_t last = held->on_failed(other.notice());
  CHECK_NE(ticket, 0);
  CHECK_EQ(held->give_up_on_failed(ticket), mine);
  CHECK_EQ(held->give_up_on_failed(ticket), nullptr);
  CHECK_EQ(held->give_up_on_failed(last + 1), nullptr);
  const uint32_t before = NetVConnection::failures().load();
  CHECK(set_failed(EIO));
  CHECK_EQ(NetVConnection::failures().load(), before + 1);
  CHECK_EQ(other.codes, Codes{EIO, EIO});
  CHECK_EQ(held->give_up_on_failed(last), nullptr);  // told
  CHECK(told.codes.empty());
  CHECK_EQ(held->on_failed(mine), 0);  // has failed: told at once
  CHECK_EQ(told.codes, Codes{EIO});
}

TEST_CASE_FIXTURE(Fixture, "SK-4: of many threads one is the first") {
  std::atomic<int> first{0};
  std::vector<std::thread> threads;
  for (int t = 1; t <= 8; ++t) {
    threads.emplace_back([&, t] {
      VcPool::Handle h = NetVConnection::pool().address(c.id);
      if (NetVConnection::set_failed(std::move(h), t, std::to_string(t))) first += t;
    });
  }
  for (auto& t : threads)
    t.join();
  CHECK_EQ(c->failure(), first);
  CHECK_EQ(c->failure_text(), std::to_string(first));
}

TEST_CASE_FIXTURE(Fixture, "SK-4: closed before, it does not fail any more") {
  c->do_io_close();
  CHECK_FALSE(set_failed(EIO));
  CHECK_EQ(held->failure(), ENET_CLOSED);
  CHECK_FALSE(held->failed());
}

TEST_CASE_FIXTURE(Fixture, "INV-2: every armed operation ends with ERROR, once") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  rec.forget();
  CHECK(set_failed(EHOSTDOWN));
  CHECK_EQ(rec.story(), "");  // on the connection's thread, not here
  c.peer.send("too late");
  loop.settle();
  CHECK_EQ(rec.story(Side::kRead), "ERROR");
  CHECK_EQ(rec.story(Side::kWrite), "ERROR");
  for (const Told& t : rec.told)
    CHECK_EQ(t.lerrno, EHOSTDOWN);
  CHECK(c.alive());  // its user closes it
  c->reenable(&c->read_vio);
  c->reenable(&c->write_vio);
  loop.settle();
  CHECK_EQ(rec.told.size(), 2);
  CHECK_FALSE(c->can_send());
  c.peer.take();
  CHECK_LE(c.peer.last(), 0);
}

TEST_CASE_FIXTURE(Fixture, "INV-2: with one side armed that one is told") {
  out.put("x");
  c->do_io_write(&rec, VIO::kUnlimited, out.r);
  loop.settle();
  rec.forget();
  set_failed(EIO);
  loop.settle();
  CHECK_EQ(rec.story(), "ERROR");
  CHECK(c.alive());
}

TEST_CASE_FIXTURE(Fixture, "INV-2: closed in the first ERROR, there is no second") {
  rec.react = [&](Event, VIO*) {
    rec.expect_silence();
    c->do_io_close();
  };
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  out.put("x");
  faults.always(SocketOp::kWrite, c->get_socket(), fail(EAGAIN));
  c->do_io_write(&rec, 1, out.r);
  set_failed(EIO);
  loop.settle();
  CHECK_EQ(rec.story(), "ERROR");
  CHECK_FALSE(c.alive());
}

TEST_CASE_FIXTURE(Fixture, "who arms a failed connection again hears it again") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  set_failed(EHOSTDOWN);
  loop.settle();
  CHECK_EQ(rec.story(), "ERROR");
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  out.put("x");
  c->do_io_write(&rec, 1, out.r);
  loop.settle();
  CHECK_EQ(rec.story(Side::kRead), "ERROR ERROR");
  CHECK_EQ(rec.story(Side::kWrite), "ERROR");
  for (const Told& t : rec.told)
    CHECK_EQ(t.lerrno, EHOSTDOWN);
}

TEST_CASE_FIXTURE(Fixture, "SIG-2: with nobody armed it closes by itself") {
  set_failed(EIO);
  loop.turn();
  CHECK_FALSE(c.alive());
  CHECK_EQ(loop.h.open_count(), 0);
  CHECK_EQ(held->failure(), EIO);
  CHECK(c.peer.at_end());
}

// --- SK-7 ---------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fixture, "SK-7: registered before, told when it fails; later, at once") {
  held->on_failed(told.notice());
  held->on_failed(told.notice());
  CHECK(told.codes.empty());
  set_failed(EIO);
  CHECK_EQ(told.codes, Codes{EIO, EIO});
  held->on_failed(told.notice());
  CHECK_EQ(told.codes, Codes{EIO, EIO, EIO});
  loop.turn();
  held->on_failed(told.notice());
  CHECK_EQ(told.codes, Codes{EIO, EIO, EIO, EIO});
}

TEST_CASE("SK-7: registering while it fails - each is told exactly once") {
  LeakCheck leaks;
  Loop loop;
  struct Count final : Notice {
    explicit Count(std::atomic<int>& to) : told(to) {}
    void tell(int error) override {
      if (error == EIO) told.fetch_add(1);
      delete this;
    }
    std::atomic<int>& told;
  };
  constexpr int kThreads = 3, kEach = 20;
  for (int round = 0; round < 100; ++round) {
    VcAndPeer c(loop, Family::kUnix);
    VcPool::Handle held = NetVConnection::pool().address(c.id);
    std::atomic<int> told{0}, started{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) {
          held->on_failed(new Count(told));
          if (i == 0) ++started;
        }
      });
    }
    while (started == 0)
      ::sched_yield();
    if (round % 2) {
      NetVConnection::set_failed(held.again(), EIO, "");
    } else {  // the system's way
      Faults faults;
      faults.script(SocketOp::kRead, c->get_socket(), {fail(EIO)});
      Recorder rec;
      Buf in;
      c->do_io_read(&rec, VIO::kUnlimited, in.m);
      loop.turn();
      CHECK_EQ(rec.story(), "ERROR");
      c->do_io_close();
    }
    for (auto& t : threads)
      t.join();
    CHECK_EQ(told, kThreads * kEach);
    loop.settle();
  }
}

TEST_CASE_FIXTURE(Fixture, "SK-7: an orderly close tells ENET_CLOSED, and is no failure") {
  held->on_failed(told.notice());
  c->do_io_close();
  CHECK_EQ(told.codes, Codes{ENET_CLOSED});
  CHECK_FALSE(held->failed());
  held->on_failed(told.notice());
  CHECK_EQ(told.codes, Codes{ENET_CLOSED, ENET_CLOSED});
}

TEST_CASE_FIXTURE(Fixture, "SK-6 F-121: a graceful end is no failure, and its users finish first") {
  held->on_failed(told.notice());
  c->close_gracefully();
  c->close_gracefully();  // once
  c.peer.shutdown(SHUT_WR);
  REQUIRE(loop.until([&] { return loop.h.open_count() == 0; }));
  CHECK_FALSE(c.alive());  // nobody new gets it
  CHECK_FALSE(held->failed());
  CHECK_EQ(held->failure(), ENET_CLOSED);
  CHECK_EQ(told.codes, Codes{ENET_CLOSED});
  CHECK_FALSE(set_failed(EIO));
  // Who has it keeps it: its slot is nobody else's until then.
  VcAndPeer during(loop, Family::kTcp4);
  CHECK_NE(slot_of(during.id), slot_of(c.id));
  CHECK_EQ(held->id(), c.id);
  held = {};
  VcAndPeer after(loop, Family::kTcp4);
  CHECK_EQ(slot_of(after.id), slot_of(c.id));
  CHECK_NE(after.id, c.id);
}

TEST_CASE_FIXTURE(Fixture, "SK-7: while it lingers it can still fail") {
  faults.always(SocketOp::kWrite, c->get_socket(), fail(EAGAIN));
  held->on_failed(told.notice());
  Notices message;
  CHECK_EQ(write(c.id, "x", 1, {.told = message.notice()}), 0);
  c->do_io_close();
  CHECK(c.alive());
  CHECK(told.codes.empty());
  CHECK(set_failed(EIO));
  loop.turn();
  CHECK_FALSE(c.alive());
  CHECK_EQ(told.codes, Codes{EIO});
  CHECK_EQ(message.codes, Codes{EIO});
  CHECK_EQ(loop.h.counters.lingering.get(), 0);
}

// --- the system's errors ------------------------------------------------------------------------

TEST_CASE_FIXTURE(Fixture, "B-13: an error of reading is the failure") {
  for (int error : {ECONNRESET, ETIMEDOUT, EHOSTUNREACH}) {
    CAPTURE(error);
    VcAndPeer d(loop, Family::kTcp4);
    VcPool::Handle h = NetVConnection::pool().address(d.id);
    Notices mine;
    h->on_failed(mine.notice());
    faults.script(SocketOp::kRead, d->get_socket(), {fail(error)});
    Recorder r;
    d->do_io_read(&r, VIO::kUnlimited, in.m);
    loop.settle();
    CHECK_EQ(r.story(), error == ECONNRESET ? "EOS" : "ERROR");
    CHECK_EQ(h->failure(), error);
    CHECK(h->failed());
    CHECK_EQ(h->failure_text(), "");
    CHECK_EQ(mine.codes, Codes{error});
    CHECK_EQ(write(d.id, "x", 1), error);
    CHECK_FALSE(NetVConnection::set_failed(h.again(), EIO, "later"));
    d->do_io_close();
    CHECK_EQ(h->failure(), error);
  }
}

TEST_CASE_FIXTURE(Fixture, "B-13: an error of writing is the failure, of the VIO and of messages") {
  for (bool message : {false, true}) {
    CAPTURE(message);
    VcAndPeer d(loop, Family::kTcp4);
    VcPool::Handle h = NetVConnection::pool().address(d.id);
    faults.script(SocketOp::kWrite, d->get_socket(), {fail(EHOSTUNREACH)});
    Recorder r;
    Buf bytes("x");
    if (message) {
      CHECK_EQ(write(d.id, "x", 1), 0);
    } else {
      d->do_io_write(&r, 1, bytes.r);
    }
    loop.turn();
    CHECK_EQ(h->failure(), EHOSTUNREACH);
    if (d.alive()) d->do_io_close();
  }
}

TEST_CASE_FIXTURE(Fixture, "the peer's orderly end is no failure") {
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.shutdown(SHUT_WR);
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(rec.story(), "EOS");
  CHECK_EQ(c->failure(), 0);
  CHECK_EQ(write(c.id, "still", 5), 0);
  loop.settle();
  CHECK_EQ(c.peer.receive(5), "still");
}

TEST_CASE("SK-4 CN-7: failed while it connects, the connect ends with that code, once") {
  LeakCheck leaks;
  Loop loop;
  Server server(loop);
  ConnectLog log;
  Notices told, message;
  const VersionedId id = connect_s(loop.h, server.address(), {}, &log).id();
  VcPool::Handle held = NetVConnection::pool().address(id);
  REQUIRE(held);
  held->on_failed(told.notice());
  CHECK_EQ(write(id, "x", 1, {.told = message.notice()}), 0);
  CHECK(NetVConnection::set_failed(held.again(), EHOSTDOWN, ""));
  loop.settle();
  CHECK_EQ(log.opened, 0);
  CHECK_EQ(log.failed, 1);
  CHECK_EQ(log.error.code, EHOSTDOWN);
  CHECK_EQ(told.codes, Codes{EHOSTDOWN});
  CHECK_EQ(message.codes, Codes{EHOSTDOWN});
  CHECK_FALSE(NetVConnection::pool().address(id));
  Acceptor::cancel(server.acceptor);
}

TEST_CASE_FIXTURE(Fixture, "SK-9 F-124: logged off it is not available, and goes on") {
  CHECK(c->available());
  c->set_log_off();
  c->set_log_off();
  CHECK_FALSE(c->available());
  CHECK_FALSE(c->failed());
  CHECK(static_cast<bool>(NetVConnection::pool().address(c.id)));
  CHECK_EQ(write(c.id, "hello", 5), 0);
  loop.settle();
  CHECK_EQ(c.peer.receive(5), "hello");
}

TEST_CASE_FIXTURE(Fixture, "SK-9: what has failed is not available either") {
  CHECK(set_failed(EIO));
  CHECK_FALSE(held->available());
}

}  // namespace netvc::test
