// F-041: another byte transport under a connection, and the readiness it needs (WR-10, WR-13).
#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/loop.h"

namespace netvc::test {

namespace {

// Passes bytes through, each turned by one letter; can be told to block a write until it has read.
class Rot1 final : public Transport {
 public:
  ssize_t read(Connection& con, const iovec* iov, int count, unsigned* needs) override {
    const ssize_t r = plain().read(con, iov, 1, needs);
    (void)count;
    for (ssize_t i = 0; i < r; ++i)
      --static_cast<char*>(iov->iov_base)[i];
    if (r > 0) wants_read_first = false;
    return r;
  }
  ssize_t write(Connection& con, const iovec* iov, int, unsigned* needs) override {
    if (wants_read_first) {
      *needs |= kNeedsRead;
      return -EAGAIN;
    }
    std::string s(static_cast<const char*>(iov->iov_base), iov->iov_len);
    for (char& c : s)
      ++c;
    const iovec turned{s.data(), s.size()};
    return plain().write(con, &turned, 1, needs);
  }
  bool short_read_means_empty(const Connection&) const override { return false; }

  bool wants_read_first = false;
};

}  // namespace

TEST_CASE("F-041: a transport of one's own carries both directions and the messages") {
  LeakCheck leaks;
  Rot1 rot1;
  Loop loop;
  VcAndPeer c(loop, Family::kTcp4);
  c->transport = &rot1;
  Recorder rec;
  Buf in, out("HAL");
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c->do_io_write(&rec, 3, out.r);
  loop.settle();
  CHECK_EQ(c.peer.receive(3), "IBM");
  c.peer.send("JCN");
  loop.see(c->get_socket(), POLLIN);
  CHECK_EQ(in.take(), "IBM");
  c->queue_write("abc", 3);
  loop.settle();
  CHECK_EQ(c.peer.receive(3), "bcd");
}

TEST_CASE(
    "WR-10 WR-13: a write that needs to read first waits for the read side, and goes on after it") {
  LeakCheck leaks;
  Rot1 rot1;
  rot1.wants_read_first = true;
  Loop loop;
  loop.exact_lists = false;  // the write is ready for the kernel, and waits for the read side
  VcAndPeer c(loop, Family::kTcp4);
  c->transport = &rot1;
  Recorder rec;
  Buf in, out("HAL");
  c->do_io_read(&rec, VIO::kUnlimited, in.m);
  c->do_io_write(&rec, 3, out.r);
  for (int i = 0; i < 10; ++i)
    loop.turn();
  CHECK_EQ(rec.story(), "");
  CHECK_EQ(c.peer.take(), "");
  c.peer.send("x");
  REQUIRE(wait_fd(c->get_socket(), POLLIN));
  loop.turn(3);
  CHECK_EQ(rec.endings(), "WC");
  CHECK_EQ(c.peer.receive(3), "IBM");
}

}  // namespace netvc::test
