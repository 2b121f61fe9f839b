// connect_up: descriptors of any pollable kind, made by somebody else.
#include <sys/eventfd.h>

#include <fstream>

#include <doctest/doctest.h>

#include "support/accept_log.h"
#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/temp_dir.h"

namespace netvc::test {

namespace {

NetVConnection* up(Loop& loop, int fd) {
  ConnectLog log;
  connect_up(loop.h, fd, &log);
  CHECK_EQ(log.opened, 1);
  return log.vc();
}

}  // namespace

TEST_CASE("CN-8 F-083: a socket; it is ours after on_open, non-blocking and close-on-exec") {
  LeakCheck leaks;
  Loop loop;
  int fds[2];
  REQUIRE_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
  RawPeer peer{UniqueFd(fds[1])};
  NetVConnection* vc = up(loop, fds[0]);
  CHECK_EQ(vc->get_socket(), fds[0]);
  CHECK((::fcntl(fds[0], F_GETFL) & O_NONBLOCK) != 0);
  CHECK_EQ(::fcntl(fds[0], F_GETFD), FD_CLOEXEC);
  Recorder rec;
  Buf in, out("pong");
  peer.send("ping");
  vc->do_io_read(&rec, 4, in.m);
  vc->do_io_write(&rec, 4, out.r);
  loop.settle();
  CHECK_EQ(in.take(), "ping");
  CHECK_EQ(peer.receive(4), "pong");
  vc->do_io_close();
  CHECK(peer.at_end());
}

TEST_CASE("CN-8: both ends of a pipe") {
  LeakCheck leaks;
  Loop loop;
  int fds[2];
  REQUIRE_EQ(::pipe2(fds, O_CLOEXEC), 0);
  NetVConnection* from = up(loop, fds[1]);
  NetVConnection* to = up(loop, fds[0]);
  Recorder sender, receiver;
  Buf in(kIndexLarge, 65'536), out(kIndexMax);
  out.put(std::string(200'000, 'p'));  // more than a pipe holds
  size_t got = 0;
  receiver.react = [&](Event, VIO* vio) {
    got += in.take().size();
    vio->reenable();
  };
  from->do_io_write(&sender, 200'000, out.r);
  to->do_io_read(&receiver, VIO::kUnlimited, in.m);
  REQUIRE(loop.until([&] { return sender.has(Event::kWriteComplete); }));
  from->do_io_close();
  REQUIRE(loop.until([&] { return receiver.has(Event::kEos); }));
  CHECK_EQ(got, 200'000);
  CHECK_FALSE(to->remote_addr().valid());
  CHECK_EQ(to->local_addr().url(), "");
}

TEST_CASE("CN-8: a pipe whose reader is gone is EPIPE, not a signal; a wrong direction is EBADF") {
  LeakCheck leaks;
  Loop loop;
  int fds[2];
  REQUIRE_EQ(::pipe2(fds, O_CLOEXEC), 0);
  NetVConnection* from = up(loop, fds[1]);
  ::close(fds[0]);
  Recorder rec;
  Buf in, out("x");
  from->do_io_write(&rec, 1, out.r);
  loop.settle();
  CHECK_EQ(rec.story(), "ERROR");
  CHECK_EQ(from->lerrno, EPIPE);
  from->do_io_read(&rec, 1, in.m);
  loop.settle();
  CHECK_EQ(rec.story(), "ERROR ERROR");
  CHECK_EQ(from->lerrno, EBADF);
}

TEST_CASE("CN-8: an eventfd") {
  LeakCheck leaks;
  Loop loop;
  const int fd = ::eventfd(0, EFD_CLOEXEC);
  NetVConnection* vc = up(loop, fd);
  Recorder rec;
  Buf in;
  vc->do_io_read(&rec, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_EQ(rec.story(), "");
  const uint64_t five = 5;
  REQUIRE_EQ(::write(fd, &five, sizeof five), 8);
  loop.see(fd, POLLIN);
  CHECK_EQ(rec.story(), "RR");
  uint64_t value = 0;
  CHECK_EQ(in.r->read(&value, 8), 8);
  CHECK_EQ(value, 5);
}

TEST_CASE("CN-8 B-53 AC-4: what cannot be polled stays its owner's, open, with the errno told") {
  LeakCheck leaks;
  TempDir dir;
  Loop loop;
  std::ofstream(dir.path("file")) << "data";
  const UniqueFd file(::open(dir.path("file").c_str(), O_RDONLY | O_CLOEXEC));
  ConnectLog log;
  connect_up(loop.h, file.get(), &log);
  CHECK_EQ(log.failed, 1);
  CHECK_EQ(log.error.code, EPERM);
  CHECK_EQ(log.error.error_number, EPERM);
  char c = 0;
  CHECK_EQ(::read(file.get(), &c, 1), 1);  // still open, still theirs
  CHECK_EQ(leaks.connections(), 0);
  CHECK_EQ(loop.h.open_count(), 0);
}

TEST_CASE("CN-8: no descriptor at all") {
  LeakCheck leaks;
  Loop loop;
  ConnectLog log;
  connect_up(loop.h, 1'000'000, &log);
  CHECK_EQ(log.failed, 1);
  CHECK_EQ(log.error.code, EBADF);
}

TEST_CASE("F-089: Connection moves its descriptor and closes it once") {
  LeakCheck leaks;
  FdPair p = fd_pair(Family::kTcp4);
  RawPeer peer(std::move(p.b));
  {
    Connection a;
    CHECK_EQ(a.adopt(p.a.get()), 0);
    const int fd = p.a.release();
    CHECK(a.is_socket);
    CHECK(a.is_connected);
    CHECK(a.is_bound);
    Connection b(std::move(a));
    CHECK_EQ(b.fd(), fd);
    CHECK_EQ(a.fd(), -1);
    CHECK_EQ(b.remote.family(), AF_INET);
  }
  CHECK(peer.at_end());
}

}  // namespace netvc::test
