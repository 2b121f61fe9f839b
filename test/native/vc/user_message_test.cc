// Messages that become bytes when their turn has come (vc/write.h, SW-16).
#include <doctest/doctest.h>

#include <thread>

#include "support/leak_check.h"
#include "support/loop.h"
#include "support/notices.h"
#include "vc/write.h"

namespace netvc::test {

namespace {

using Codes = std::vector<int>;

struct Fixture {
  LeakCheck leaks;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  Notices told;

  int send(std::string_view s) { return write(c.id, s.data(), s.size()); }
};

struct Late final : UserMessage {
  Late(std::string t, int e, int* c) : text(std::move(t)), error(e), calls(c) {}
  int append_to(BlockChain* to) override {
    ++*calls;
    CHECK(to->append(text.data(), text.size()));
    return error;
  }
  std::string text;
  int error;
  int* calls;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture,
                  "SW-16 F-137: a user message is serialised when its turn has come, once") {
  int calls = 0;
  std::thread([&] {
    CHECK_EQ(send("first "), 0);
    std::unique_ptr<UserMessage> late = std::make_unique<Late>("second ", 0, &calls);
    CHECK_EQ(write(c.id, late, {.told = told.notice()}), 0);
    CHECK_FALSE(late);
    CHECK_EQ(send("third"), 0);
  }).join();
  CHECK_EQ(calls, 0);
  CHECK_EQ(c->unsent(), 11);  // not yet the second
  loop.settle();
  CHECK_EQ(calls, 1);
  CHECK_EQ(told.codes, Codes{0});
  CHECK_EQ(c.peer.receive(18), "first second third");
  CHECK_EQ(c->unsent(), 0);
}

TEST_CASE_FIXTURE(Fixture, "SW-16: one that fails there fails alone, and none of its bytes leave") {
  int calls = 0;
  std::thread([&] {
    CHECK_EQ(send("a"), 0);
    for (const int error : {EIO, 0}) {
      std::unique_ptr<UserMessage> late =
          std::make_unique<Late>(error ? "broken" : "", error, &calls);
      CHECK_EQ(write(c.id, late, {.told = told.notice()}), 0);
    }
    CHECK_EQ(send("b"), 0);
  }).join();
  loop.settle();
  CHECK_EQ(calls, 2);
  CHECK_EQ(told.codes, Codes{EIO, EINVAL});  // the second one had no bytes
  CHECK_EQ(c->unsent(), 0);
  CHECK_FALSE(c->failed());
  CHECK_EQ(c.peer.receive(2), "ab");
}

TEST_CASE_FIXTURE(
    Fixture, "SW-1 SW-11: a refused user message stays its maker's; a lost one is not serialised") {
  int calls = 0;
  std::unique_ptr<UserMessage> none;
  CHECK_EQ(write(c.id, none, {}), EINVAL);
  std::unique_ptr<UserMessage> late = std::make_unique<Late>("x", 0, &calls);
  CHECK_EQ(write(c.id + 2, late, {}), ENET_CLOSED);
  CHECK(late);
  std::thread([&] { CHECK_EQ(write(c.id, late, {.told = told.notice()}), 0); }).join();
  NetVConnection::set_failed(NetVConnection::pool().address(c.id), EPROTO, "");
  loop.settle();
  CHECK_EQ(told.codes, Codes{EPROTO});
  CHECK_EQ(calls, 0);
}

}  // namespace netvc::test
