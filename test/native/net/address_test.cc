// Socket addresses: parsing, printing, round trips through the kernel.
#include <unistd.h>

#include <string>

#include <doctest/doctest.h>

#include "net/address.h"

namespace netvc::test {

namespace {

std::string url_of_ip(const char* ip, uint16_t port) {
  Address a;
  return Address::from_ip(ip, port, &a) ? a.url() : "refused";
}

}  // namespace

TEST_CASE("VC-8 F-023: literals of both families") {
  CHECK_EQ(url_of_ip("127.0.0.1", 80), "tcp://127.0.0.1:80");
  CHECK_EQ(url_of_ip("::1", 65535), "tcp://[::1]:65535");
  CHECK_EQ(url_of_ip("2001:DB8:0:0::1", 1), "tcp://[2001:db8::1]:1");
  CHECK_EQ(url_of_ip("fe80::1%lo", 1), "tcp://[fe80::1%lo]:1");
  CHECK_EQ(url_of_ip("fe80::1%77", 1), "tcp://[fe80::1%77]:1");
  for (const char* bad :
       {"", "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "::1::", "[::1]", "1.2.3.4 "}) {
    CAPTURE(std::string(bad));
    CHECK_EQ(url_of_ip(bad, 1), "refused");
  }
}

TEST_CASE("unix: a path, an abstract name, and their limits") {
  Address a;
  REQUIRE(Address::from_unix("/run/x", &a));
  CHECK(a.is_unix());
  CHECK_FALSE(a.is_ip());
  CHECK_EQ(a.host(), "/run/x");
  CHECK_EQ(a.url(), "unix:///run/x");
  CHECK_EQ(a.port(), 0);
  REQUIRE(Address::from_unix("@name", &a));
  CHECK_EQ(a.host(), "@name");
  CHECK_EQ(a.url(), "unix://@name");
  CHECK_FALSE(Address::from_unix("", &a));
  CHECK(Address::from_unix(std::string(107, 'p'), &a));
  CHECK_EQ(a.host(), std::string(107, 'p'));
  CHECK_FALSE(Address::from_unix(std::string(108, 'p'), &a));
  CHECK(Address::from_unix("@" + std::string(107, 'n'), &a));
  CHECK_EQ(a.host(), "@" + std::string(107, 'n'));
  CHECK_FALSE(Address::from_unix("@" + std::string(108, 'n'), &a));
}

TEST_CASE("a copy is independent, an unset address is invalid") {
  Address a;
  CHECK_FALSE(a.valid());
  CHECK_EQ(a.url(), "");
  CHECK_EQ(a.host(), "");
  REQUIRE(Address::from_ip("127.0.0.1", 1, &a));
  Address b = a;
  b.set_port(2);
  CHECK_EQ(a.port(), 1);
  CHECK_EQ(b.port(), 2);
}

TEST_CASE("the wildcard of each family") {
  CHECK_EQ(Address::any(AF_INET, 5).url(), "tcp://0.0.0.0:5");
  CHECK_EQ(Address::any(AF_INET6, 5).url(), "tcp://[::]:5");
}

TEST_CASE("through the kernel and back") {
  for (const char* ip : {"127.0.0.1", "::1"}) {
    Address a, back;
    REQUIRE(Address::from_ip(ip, 0, &a));
    const int fd = ::socket(a.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE_EQ(::bind(fd, a.sa(), a.len()), 0);
    REQUIRE(Address::local_of(fd, &back));
    CHECK_EQ(back.host(), ip);
    CHECK_NE(back.port(), 0);
    CHECK_FALSE(Address::peer_of(fd, &back));
    ::close(fd);
  }
  int fds[2];
  REQUIRE_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  Address unnamed;
  REQUIRE(Address::peer_of(fds[0], &unnamed));
  CHECK(unnamed.is_unix());
  CHECK_EQ(unnamed.host(), "");
  ::close(fds[0]);
  ::close(fds[1]);
  CHECK_FALSE(Address::local_of(fds[0], &unnamed));
}

}  // namespace netvc::test
