// queue_write and write_now: whole messages beside the write VIO, and how they leave after close.
#include <doctest/doctest.h>

#include "support/pattern.h"
#include "support/vc_fixture.h"

namespace netvc::test {

namespace {

struct Fixture : VcFixture {
  bool queue(std::string_view s) { return c->queue_write(s.data(), s.size()); }
  bool send_now(std::string_view s) { return c->write_now(s.data(), s.size()); }
  // Queues more than the kernel takes; what is left waits.
  std::string jam() {
    shrink_buffers(fd(), 30'000);
    const std::string s = pattern(0, 1'000'000);
    CHECK(queue(s));
    loop.settle();
    CHECK_GT(c->queued_bytes(), 0);
    return s;
  }
  std::string drain_peer() {
    std::string got;
    REQUIRE(loop.until([&] {
      got += c.peer.take();
      return c.peer.last() == 0;
    }));
    return got;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "messages leave in order, several in one call") {
  CHECK(queue("one "));
  CHECK(queue("two "));
  CHECK(queue("three"));
  CHECK_EQ(c->queued_bytes(), 13);
  loop.turn();
  CHECK_EQ(loop.h.counters.write_calls.get(), 1);
  CHECK_EQ(c.peer.receive(13), "one two three");
  CHECK_EQ(c->queued_bytes(), 0);
  CHECK_EQ(c->bytes_out(), 13);
}

TEST_CASE_FIXTURE(Fixture, "a message goes before the bytes of the VIO that have not left") {
  out.put("vio");
  c->do_io_write(&rec, 3, out.r);
  CHECK(queue("message "));
  loop.settle();
  CHECK_EQ(c.peer.receive(11), "message vio");
  CHECK_EQ(rec.story(), "WC");
}

TEST_CASE_FIXTURE(Fixture, "the VIO waits behind a blocked message, and is not told of it") {
  const std::string s = jam();
  out.put("vio");
  c->do_io_write(&rec, 3, out.r);
  loop.settle();
  CHECK_EQ(rec.story(), "");
  std::string got;
  REQUIRE(loop.until([&] {
    got += c.peer.take();
    return got.size() == s.size() + 3;
  }));
  CHECK(got == s + "vio");
  CHECK_EQ(rec.story(), "WC");
}

TEST_CASE_FIXTURE(Fixture,
                  "write_now sends at once when nothing is in front; else it queues in order") {
  loop.settle();
  CHECK(send_now("first "));
  CHECK_EQ(c.peer.receive(6), "first ");
  CHECK(queue("second "));
  CHECK(send_now("third"));
  CHECK_EQ(c.peer.take(), "");
  loop.settle();
  CHECK_EQ(c.peer.receive(12), "second third");
}

TEST_CASE_FIXTURE(Fixture, "write_now: what the kernel does not take waits, in place") {
  faults.script(SocketOp::kWrite, fd(), {at_most(4)});
  CHECK(send_now("0123456789"));
  CHECK_EQ(c->queued_bytes(), 6);
  CHECK(send_now("abc"));
  loop.settle();
  CHECK_EQ(c.peer.receive(13), "0123456789abc");
}

TEST_CASE_FIXTURE(Fixture, "write_now: EAGAIN queues everything, an edge sends it") {
  faults.script(SocketOp::kWrite, fd(), {fail(EAGAIN)});
  CHECK(send_now("abc"));
  CHECK_FALSE(c->write.triggered);
  c->on_poll(kPollOut);
  loop.settle();
  CHECK_EQ(c.peer.receive(3), "abc");
}

TEST_CASE_FIXTURE(Fixture, "write_now inside a callback queues; nothing nests") {
  rec.react = [&](Event, VIO*) {
    CHECK(send_now("reply"));
    CHECK_EQ(c.peer.take(), "");
  };
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c.peer.send("x");
  loop.see(fd(), POLLIN);
  CHECK_EQ(c.peer.receive(5), "reply");
}

TEST_CASE_FIXTURE(Fixture, "a chain of blocks is queued by reference and left empty") {
  BlockChain chain;
  CHECK(chain.append("by ", 3));
  chain.append(block_of("reference"));
  CHECK(c->queue_write(chain));
  CHECK(chain.empty());
  loop.settle();
  CHECK_EQ(c.peer.receive(12), "by reference");
}

TEST_CASE_FIXTURE(Fixture, "nothing can be queued after SHUT_WR, failure or close") {
  VcPool::Handle held = NetVConnection::pool().address(c.id);
  c->do_io_shutdown(Shutdown::kWrite);
  CHECK_FALSE(c->can_send());
  CHECK_FALSE(queue("x"));
  CHECK_FALSE(send_now("x"));
  c->do_io_close();
  CHECK_FALSE(queue("x"));

  VcAndPeer d(loop, Family::kTcp4);
  Buf din;
  d->do_io_read(&rec, VIO::kUnlimited, din.m);
  faults.script(SocketOp::kWrite, d->get_socket(), {fail(EPIPE)});
  d->queue_write("x", 1);
  loop.turn();
  CHECK_FALSE(d->can_send());
  CHECK_EQ(d->queued_bytes(), 0);
}

TEST_CASE_FIXTURE(Fixture, "a failed message is told to the write VIO that is armed") {
  out.put("x");
  c->do_io_write(&rec, 1, out.r);
  faults.script(SocketOp::kWrite, fd(), {fail(ETIMEDOUT)});
  queue("message");
  loop.settle();
  CHECK_EQ(rec.story(), "ERROR");
  CHECK_EQ(c->lerrno, ETIMEDOUT);
}

TEST_CASE_FIXTURE(Fixture, "VC-5: SHUT_WR with messages queued - they go first, then the FIN") {
  const std::string s = jam();
  c->do_io_shutdown(Shutdown::kWrite);
  CHECK_FALSE(c->can_send());
  CHECK(drain_peer() == s);
  CHECK(c.alive());
  CHECK_EQ(loop.h.open_count(), 1);
}

TEST_CASE_FIXTURE(Fixture, "lingering: messages queued before do_io_close arrive, then the FIN") {
  const std::string s = jam();
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  rec.expect_silence();
  c->do_io_close();
  CHECK(c.alive());  // the descriptor lives until they are out
  CHECK_LE(loop.h.next_timer(), monotonic_now() + NetVConnection::kLingerLimit);
  CHECK(drain_peer() == s);
  CHECK_FALSE(c.alive());
  CHECK_EQ(loop.h.timers.size(), 0);
}

TEST_CASE_FIXTURE(Fixture, "lingering: SHUT_WR, then close, still sends what was queued") {
  const std::string s = jam();
  c->do_io_shutdown(Shutdown::kWrite);
  c->do_io_close();
  CHECK(drain_peer() == s);
  CHECK_FALSE(c.alive());
}

TEST_CASE_FIXTURE(Fixture, "lingering: an abort drops what is queued") {
  jam();
  c->do_io_close(ECONNABORTED);
  CHECK_FALSE(c.alive());
}

TEST_CASE_FIXTURE(Fixture, "lingering: the peer's reset ends it") {
  jam();
  c->do_io_close();
  CHECK(c.alive());
  c.peer.reset();
  REQUIRE(loop.until([&] { return !c.alive(); }));
}

TEST_CASE_FIXTURE(Fixture, "lingering: the bytes of the write VIO are not waited for") {
  out.put("not sent");
  c->do_io_write(&rec, 8, out.r);
  queue("sent");
  rec.expect_silence();
  c->do_io_close();
  CHECK(drain_peer() == "sent");
}

TEST_CASE_FIXTURE(Fixture, "lingering: the handler's shutdown ends it") {
  jam();
  c->do_io_close();
  loop.h.shut_down();
  CHECK_FALSE(c.alive());
}

TEST_CASE_FIXTURE(Fixture, "lingering B-17: ENOBUFS is tried again, not waited out") {
  faults.script(SocketOp::kWrite, fd(), {fail(ENOBUFS), fail(ENOBUFS)});
  loop.exact_lists = false;
  queue("message");
  c->do_io_close();
  const Nanos start = monotonic_now();
  CHECK(drain_peer() == "message");
  CHECK_LT(monotonic_now() - start, NetVConnection::kLingerLimit);
}

}  // namespace netvc::test
