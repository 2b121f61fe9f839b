#include "base/fd.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

using namespace netvc;

namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
int open_null() { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); }

}  // namespace

TEST_CASE("INV-12 UniqueFd closes its descriptor once") {
  const int fd = open_null();
  REQUIRE(fd >= 0);
  {
    UniqueFd u(fd);
    CHECK(u.valid());
    CHECK(u.get() == fd);
    u.reset();
    CHECK_FALSE(u.valid());
    CHECK_FALSE(is_open(fd));
    const int again = open_null();  // the same number, somebody else's
    REQUIRE(again == fd);
    u.reset();
  }
  CHECK(is_open(fd));
  ::close(fd);
}

TEST_CASE("UniqueFd closes in its destructor and on reset to another") {
  const int first = open_null();
  const int second = open_null();
  {
    UniqueFd u(first);
    u.reset(second);
    CHECK_FALSE(is_open(first));
    CHECK(is_open(second));
  }
  CHECK_FALSE(is_open(second));
}

TEST_CASE("UniqueFd moves, the source is empty, the old target is closed") {
  const int first = open_null();
  const int second = open_null();
  UniqueFd a(first);
  UniqueFd b(std::move(a));
  CHECK_FALSE(a.valid());
  CHECK(b.get() == first);
  UniqueFd c(second);
  c = std::move(b);
  CHECK(c.get() == first);
  CHECK_FALSE(is_open(second));
  UniqueFd& same = c;
  c = std::move(same);
  CHECK(c.get() == first);
  CHECK(is_open(first));
}

TEST_CASE("UniqueFd release gives the descriptor away") {
  const int fd = open_null();
  {
    UniqueFd u(fd);
    CHECK(u.release() == fd);
    CHECK(u.get() == -1);
  }
  CHECK(is_open(fd));
  ::close(fd);
}

TEST_CASE("CL-5 0 is a descriptor like any other") {
  const int saved = ::dup(0);
  ::close(0);
  const int fd = open_null();
  CHECK(fd == 0);
  {
    UniqueFd u(fd);
    CHECK(u.valid());
  }
  CHECK_FALSE(is_open(0));
  if (saved >= 0) {
    ::dup2(saved, 0);
    ::close(saved);
  }
}
