// The seam of system calls: EINTR, shortened transfers, no SIGPIPE.
#include <signal.h>

#include <doctest/doctest.h>

#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/raw_peer.h"

namespace netvc::test {

namespace {

iovec piece(std::string& s) { return {s.data(), s.size()}; }

}  // namespace

TEST_CASE("every call answers a count or -errno") {
  LeakCheck leaks;
  std::string s = "x";
  iovec v = piece(s);
  Address peer;
  CHECK_EQ(sock::read(-1, &v, 1), -EBADF);
  CHECK_EQ(sock::write(-1, &v, 1, true), -EBADF);
  CHECK_EQ(sock::write(-1, &v, 1, false), -EBADF);
  CHECK_EQ(sock::accept(-1, &peer), -EBADF);
  CHECK_EQ(sock::connect(-1, loopback(Family::kTcp4, 1)), -EBADF);
  CHECK_EQ(sock::stream_socket(-1), -EAFNOSUPPORT);
  CHECK_EQ(sock::set_nonblocking(-1), -EBADF);
  CHECK_EQ(sock::socket_type(-1), 0);
  CHECK_EQ(sock::take_error(-1), 0);
}

TEST_CASE("B-17: EINTR is retried inside, nothing else is") {
  LeakCheck leaks;
  Faults faults;
  FdPair p = fd_pair(Family::kUnix);
  std::string s = "hello", back(5, '\0');
  iovec v = piece(s), w = piece(back);
  faults.script(SocketOp::kWrite, p.a.get(), {fail(EINTR), fail(EINTR)});
  CHECK_EQ(sock::write(p.a.get(), &v, 1, true), 5);
  faults.script(SocketOp::kRead, p.b.get(), {fail(EINTR)});
  CHECK_EQ(sock::read(p.b.get(), &w, 1), 5);
  CHECK_EQ(back, s);
  for (int error : {EAGAIN, ENOBUFS, ENOMEM, ECONNRESET}) {
    faults.script(SocketOp::kRead, p.b.get(), {fail(error)});
    CHECK_EQ(sock::read(p.b.get(), &w, 1), -error);
  }
  CHECK_EQ(faults.left(), 0);
}

TEST_CASE("a shortened transfer moves the first bytes of the pieces") {
  LeakCheck leaks;
  Faults faults;
  FdPair p = fd_pair(Family::kUnix);
  std::string a = "abc", b = "def", c = "ghi";
  iovec v[] = {piece(a), piece(b), piece(c)};
  faults.script(SocketOp::kWrite, p.a.get(), {at_most(5)});
  CHECK_EQ(sock::write(p.a.get(), v, 3, true), 5);
  std::string x(4, '\0'), y(4, '\0');
  iovec w[] = {piece(x), piece(y)};
  faults.script(SocketOp::kRead, p.b.get(), {at_most(2)});
  CHECK_EQ(sock::read(p.b.get(), w, 2), 2);
  CHECK_EQ(x, std::string("ab\0\0", 4));
  CHECK_EQ(sock::read(p.b.get(), w, 2), 3);
  CHECK_EQ(x.substr(0, 3), "cde");
}

TEST_CASE("the seam is off when nothing is installed") {
  CHECK_FALSE(sock::has_fault_injector());
  {
    Faults faults;
    CHECK(sock::has_fault_injector());
  }
  CHECK_FALSE(sock::has_fault_injector());
}

TEST_CASE("AD-9: writing to a socket without a reader is EPIPE, with the signal's default action") {
  LeakCheck leaks;
  struct sigaction now {
  }, before{};
  now.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &now, &before);
  FdPair p = fd_pair(Family::kUnix);
  p.b.reset();
  std::string a = "abc", b = "def";
  iovec v[] = {piece(a), piece(b)};
  CHECK_EQ(sock::write(p.a.get(), v, 1, true), -EPIPE);
  CHECK_EQ(sock::write(p.a.get(), v, 2, true), -EPIPE);
  ::sigaction(SIGPIPE, &before, nullptr);
}

TEST_CASE("AD-9: sockets are made close-on-exec and non-blocking") {
  LeakCheck leaks;
  const UniqueFd fd(sock::stream_socket(AF_INET));
  CHECK_EQ(::fcntl(fd.get(), F_GETFD), FD_CLOEXEC);
  CHECK((::fcntl(fd.get(), F_GETFL) & O_NONBLOCK) != 0);
  CHECK_EQ(sock::socket_type(fd.get()), SOCK_STREAM);
}

TEST_CASE("connect: already under way is in progress, already there is success") {
  LeakCheck leaks;
  const Address any = loopback(Family::kTcp4);
  UniqueFd listener(sock::stream_socket(AF_INET));
  REQUIRE_EQ(::bind(listener.get(), any.sa(), any.len()), 0);
  REQUIRE_EQ(::listen(listener.get(), 1), 0);
  Address at;
  REQUIRE(Address::local_of(listener.get(), &at));
  UniqueFd fd(sock::stream_socket(AF_INET));
  const int first = sock::connect(fd.get(), at);
  CHECK((first == 0 || first == -EINPROGRESS));
  REQUIRE(wait_fd(fd.get(), POLLOUT));
  CHECK_EQ(sock::connect(fd.get(), at), 0);
  CHECK_EQ(sock::take_error(fd.get()), 0);
}

}  // namespace netvc::test
