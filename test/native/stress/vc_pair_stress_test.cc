// Pairs whose ends live on different threads: they move, write, shut and close as the dice say
// (PV-29, B-61), and bytes are what they were.
#include <atomic>

#include <doctest/doctest.h>

#include "support/endpoint.h"
#include "support/ends.h"
#include "support/leak_check.h"

namespace netvc::test {

TEST_CASE("stress B-61 PV-23: both ends closed at the same moment, on two threads") {
  LeakCheck leaks;
  Random random(take_seed("pair close"));
  NetThreads threads(2);
  for (int round = 0; round < 20'000; ++round) {
    NetVConnection *a = nullptr, *p = nullptr;
    REQUIRE(PairEnd::create({}, &a, &p));
    const VersionedId ids[2] = {a->id(), p->id()};
    a->start_at(threads[0]);
    p->start_at(threads[1]);
    for (int side : {0, 1}) {
      const auto what = random.below(5);
      remote::post(ids[side], [what](NetVConnection& vc) {
        if (what == 0) vc.do_io_shutdown(Shutdown::kWrite);
        if (what == 1) vc.do_io_shutdown(Shutdown::kRead);
        if (what == 2) vc.queue_write("bytes", 5);
        if (what == 3) return vc.close_with_reset();
        vc.do_io_close();
      });
    }
    if (round % 64 == 0)
      REQUIRE(wait_for([&] { return !is_alive(ids[0]) && !is_alive(ids[1]); }, 30 * kSecond));
  }
  REQUIRE(wait_for([&] { return leaks.connections() == 0; }, 30 * kSecond));
}

TEST_CASE("stress INV-28 PV-29: messages both ways while both ends move between threads") {
  LeakCheck leaks;
  Random random(take_seed("pair move"));
  constexpr int kThreads = 3, kMessages = 400;
  NetThreads threads(kThreads);
  struct End final : Continuation {
    ~End() override = default;
    // On the end's thread, wherever that is.
    void arm(NetVConnection& vc) {
      buffer = MIOBuffer::create_empty(kIndexLarge, 4096);
      reader = buffer->alloc_reader();
      vc.do_io_read(this, VIO::kUnlimited, buffer);
    }
    void take() {
      std::string s(static_cast<size_t>(reader->read_avail()), '\0');
      reader->read(s.data(), static_cast<int64_t>(s.size()));
      const size_t ok = matching_pattern(s.data(), static_cast<uint64_t>(right.load()), s.size());
      right += static_cast<int64_t>(ok);
      if (ok != s.size()) wrong = true;
    }
    int handle_event(Event, VIO* vio) override {
      take();
      vio->reenable();
      return 0;
    }
    Ref<MIOBuffer> buffer;
    IOBufferReader* reader = nullptr;
    std::atomic<int64_t> right{0};
    std::atomic<bool> wrong{false};
    std::atomic<int> moves{0};
    int64_t sent = 0;
  };
  for (int round = 0; round < 10; ++round) {
    End ends[2];
    NetVConnection* vcs[2] = {};
    REQUIRE(PairEnd::create({}, &vcs[0], &vcs[1]));
    const VersionedId ids[2] = {vcs[0]->id(), vcs[1]->id()};
    for (int side : {0, 1}) {
      vcs[side]->start_at(threads[static_cast<size_t>(side)]);
      remote::post(ids[side], [&end = ends[side]](NetVConnection& vc) { end.arm(vc); });
    }
    int moves[2] = {};
    for (int i = 0; i < kMessages; ++i) {
      for (int side : {0, 1}) {
        const int64_t n = random.size(5000);
        auto text = std::make_shared<std::string>(
            pattern(static_cast<uint64_t>(ends[side].sent), static_cast<size_t>(n)));
        ends[side].sent += n;
        remote::post(ids[side],
                     [text](NetVConnection& vc) { vc.queue_write(text->data(), text->size()); });
        if (!random.one_in(20)) continue;
        ++moves[side];
        NetHandler& to = threads[static_cast<size_t>(random.below(kThreads))];
        remote::post(ids[side], [&end = ends[side], &to](NetVConnection& vc) {
          end.take();
          vc.do_io_read(nullptr, 0, nullptr);
          vc.move_to(to, [&end](NetVConnection* moved) {
            end.arm(*moved);
            ++end.moves;
          });
        });
        // As its user would: the next one when this one has arrived.
        REQUIRE(wait_for([&] { return ends[side].moves == moves[side]; }, 30 * kSecond));
      }
    }
    REQUIRE(wait_for([&] { return ends[0].right == ends[1].sent && ends[1].right == ends[0].sent; },
                     60 * kSecond));
    CHECK_FALSE(ends[0].wrong);
    CHECK_FALSE(ends[1].wrong);
    for (const VersionedId id : ids)
      remote::close(id);
    REQUIRE(wait_for([&] { return !is_alive(ids[0]) && !is_alive(ids[1]); }, 30 * kSecond));
  }
}

}  // namespace netvc::test
