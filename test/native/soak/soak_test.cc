// The soak: rounds of random things done to everything at once, for as long as one likes.
// npm run soak runs it; alone, it reads from the environment
//   NETVC_SEED          of the first round; the next one's is one more
//   NETVC_SOAK_ROUNDS   stop after so many (3)
//   NETVC_SOAK_SECONDS  start none after so long
// One round is named by its seed, which decides what is done; in which order the threads do it is
// up to the system, so a failure that needs an order may take more than one replay.
#include <doctest/doctest.h>

#include "soak/clients.h"
#include "soak/idle.h"
#include "soak/messages.h"
#include "soak/raw.h"
#include "support/leak_check.h"

namespace netvc::soak {

namespace {

constexpr size_t kActors = 200;
constexpr Nanos kRoundPatience = 120 * kSecond;

std::atomic<int> failures{0};

// doctest keeps the number of failed checks to itself.
struct FailureCount final : doctest::IReporter {
  explicit FailureCount(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override { ++failures; }
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& a) override { failures += a.m_failed; }
  void log_message(const doctest::MessageData& m) override {
    failures += m.m_severity != doctest::assertType::is_warn;
  }
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

using Actors = std::vector<std::unique_ptr<Actor>>;

std::unique_ptr<Actor> choose(World& w, size_t index, Random& dice) {
  const Random own(static_cast<uint64_t>(dice.below(INT64_MAX)));
  switch (dice.below(16)) {
    case 0:
    case 1:
    case 2:
      return std::make_unique<Stream>(w, own);
    case 3:
    case 4:
    case 5:
    case 6:
      return std::make_unique<Talker>(w, own);
    case 7:
      return std::make_unique<Caller>(w, own);
    case 8:
    case 9:
      return std::make_unique<Dead>(w, own);
    case 10:
      return std::make_unique<Drip>(w, own);
    case 11:
    case 12:
      return std::make_unique<Messenger>(w, index, own);
    default:
      return std::make_unique<RawClient>(w, own);
  }
}

// Writes, closes and requests from threads that own no connection.
class Strangers {
 public:
  Strangers(const Actors& actors, uint64_t seed) {
    for (int t = 0; t < 2; ++t) {
      threads_.emplace_back(
          [this, &actors, t, dice = Random(seed + static_cast<uint64_t>(t))]() mutable {
            while (!stop_) {
              const auto known = static_cast<int64_t>(started.load(std::memory_order_acquire));
              if (known > 0) actors[static_cast<size_t>(dice.below(known))]->disturb(t, dice);
              std::this_thread::sleep_for(std::chrono::microseconds(20));  // leave the others a CPU
            }
          });
    }
  }
  ~Strangers() {
    stop_ = true;
    for (std::thread& t : threads_)
      t.join();
  }
  std::atomic<size_t> started{0};

 private:
  std::atomic<bool> stop_{false};
  std::vector<std::thread> threads_;
};

// Starts them in bursts, drives them until all are done. Names those who are not in time.
void play(const Actors& actors, Strangers& strangers, Random& dice) {
  const Nanos give_up = monotonic_now() + kRoundPatience;
  for (size_t open = 1; open > 0;) {
    size_t started = strangers.started;
    for (int64_t n = dice.one_in(3) ? dice.size(60) : 0; n > 0 && started < actors.size(); --n)
      actors[started++]->start();
    strangers.started.store(started, std::memory_order_release);
    open = actors.size() - started;
    for (size_t i = 0; i < started; ++i) {
      if (actors[i]->done()) continue;
      actors[i]->drive();
      ++open;
    }
    if (monotonic_now() > give_up) break;
    std::this_thread::sleep_for(std::chrono::microseconds(200));  // between polls
  }
  for (const auto& a : actors) {
    if (!a->done()) FAIL_CHECK("not done in time: ", a->what());
  }
}

void one_round(uint64_t seed, Totals& totals) {
  LeakCheck leaks;
  Random dice(seed);
  Actors actors;
  World w(2 + static_cast<int>(dice.below(2)), kActors, seed, totals);
  for (size_t i = 0; i < kActors; ++i)
    actors.push_back(choose(w, i, dice));
  {
    Strangers strangers(actors, seed);
    play(actors, strangers, dice);
  }
  w.wind_down();
  w.threads.stop();
  for (const auto& a : actors)
    a->check();
  CHECK_MESSAGE(w.sink.wrong() == 0, "INV-9: torn, twice, or out of order");
  actors.clear();  // they know the world
  totals.rounds += 1;
}

int64_t number_from(const char* name, int64_t otherwise) {
  const char* given = std::getenv(name);
  return given ? std::strtoll(given, nullptr, 10) : otherwise;
}

}  // namespace

REGISTER_LISTENER("failures", 1, FailureCount);

TEST_CASE("soak: connections with random fates on net threads") {
  const uint64_t first = take_seed("soak");
  const int64_t seconds = number_from("NETVC_SOAK_SECONDS", 0);
  const int64_t rounds = number_from("NETVC_SOAK_ROUNDS", seconds > 0 ? INT64_MAX : 3);
  const Nanos end = seconds > 0 ? monotonic_now() + seconds * kSecond : INT64_MAX;
  static Totals totals;
  for (int64_t i = 0; i < rounds && monotonic_now() < end && failures == 0; ++i) {
    const uint64_t seed = first + static_cast<uint64_t>(i);
    std::printf("round %llu\n", static_cast<unsigned long long>(seed));
    std::fflush(stdout);
    one_round(seed, totals);
    totals.print("sofar");
  }
}

}  // namespace netvc::soak
