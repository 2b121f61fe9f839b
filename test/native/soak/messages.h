// soak/messages.h - for the soak.
//
// Messenger: a connection to the sink that two foreign threads write numbered messages to, by id.
// Every accepted message is told once; told 0 on a connection that nobody disturbs, it arrives;
// taken back or refused, it does not (INV-9, INV-10).
#pragma once

#include <array>

#include "soak/world.h"
#include "vc/write.h"

namespace netvc::soak {

class Messenger final : public Actor, private ConnectHandler, private VcObserver {
 public:
  Messenger(World& w, size_t index, Random dice)
      : w_(w),
        index_(index),
        home_(w.any(dice)),
        each_(1 + static_cast<int>(dice.below(kMessagesEach))) {
    if (dice.one_in(3)) kill_at_ = dice.below(2 * each_);
    if (dice.one_in(3)) crowd_ = dice.size(100'000);
    deadlines_ = dice.one_in(4);
  }

  void start() override {
    home_.post([this](NetHandler& h) { connect_s(h, w_.to_sink, {}, this); });
  }
  void disturb(int thread, Random& dice) override {
    Producer& p = producers_[static_cast<size_t>(thread)];
    if (id_ == 0) return;
    for (int64_t burst = dice.size(8); burst > 0 && p.next < each_; --burst)
      if (!send(p, static_cast<uint32_t>(thread), dice)) return;
    if (p.next == each_) p.finished = true;
  }
  void drive() override {
    const auto now = [](const Producer& p) { return p.finished && p.told == p.accepted; };
    if (id_ == 0 || closing_ || !now(producers_[0]) || !now(producers_[1])) return;
    closing_ = true;
    remote::post(id_, [](NetVConnection& vc) { vc.close_gracefully(); });
  }
  bool done() const override {
    const auto& [a, b] = producers_;
    return closed_ &&
           (id_ == 0 || (a.finished && b.finished && a.told == a.accepted && b.told == b.accepted));
  }
  void check() override {
    for (size_t t = 0; t < 2; ++t) {
      for (size_t n = 0; n < kMessagesEach; ++n) {
        const int state = producers_[t].state[n];
        const bool arrived = w_.sink.arrived(2 * index_ + t, n);
        if (state == kSent && !killed_) CHECK_MESSAGE(arrived, "INV-9: told 0 and lost; ", what());
        if (state == kNone) CHECK_MESSAGE(!arrived, "refused, and arrived; ", what());
        if (state == kTakenBack) CHECK_MESSAGE(!arrived, "taken back, and arrived; ", what());
        CHECK_MESSAGE(state != kAccepted, "INV-10: never told; ", what());
      }
    }
    w_.totals.messages += producers_[0].accepted + producers_[1].accepted;
  }
  std::string what() const override {
    std::string s = "2 x " + std::to_string(each_) + " messages, killed at " +
                    std::to_string(kill_at_) + ", crowded at " + std::to_string(crowd_);
    for (const Producer& p : producers_)
      s += ", accepted " + std::to_string(p.accepted) + " told " + std::to_string(p.told);
    return s;
  }

 private:
  enum State { kNone, kAccepted, kSent, kLost, kTakenBack };
  struct Producer {
    int next = 0;  // of its thread
    std::atomic<bool> finished{false};
    std::atomic<int> accepted{0}, told{0};
    std::array<std::atomic<int>, kMessagesEach> state{};
  };
  struct Told final : Notice {
    Told(Producer& producer, int number) : p(producer), n(static_cast<size_t>(number)) {}
    void tell(int error) override {
      const int now = error == 0 ? kSent : error == ETIMEDOUT ? kTakenBack : kLost;
      CHECK_MESSAGE(p.state[n].exchange(now) == kAccepted, "INV-10: told twice");
      p.told += 1;
      delete this;
    }
    Producer& p;
    const size_t n;
  };

  bool send(Producer& p, uint32_t thread, Random& dice) {
    const auto number = static_cast<uint32_t>(p.next);
    const std::string s = numbered_message(static_cast<uint32_t>(2 * index_) + thread, number,
                                           static_cast<size_t>(dice.size(20'000)));
    auto told = std::make_unique<Told>(p, p.next);
    WriteOptions options;
    options.told = told.get();
    if (deadlines_ && dice.one_in(4)) options.deadline = monotonic_now() + dice.below(2'000'000);
    p.state[number] = kAccepted;  // it may be told before write() is back
    p.accepted += 1;
    const int refused = write(id_, s.data(), s.size(), options);
    if (refused == 0) {
      static_cast<void>(told.release());
      ++p.next;
      if (sent_.fetch_add(1) == kill_at_) kill(dice);
      return true;
    }
    p.accepted -= 1;
    p.state[number] = kNone;
    w_.totals.refused_messages += 1;
    if (refused != EOVERCROWDED) {
      CHECK_MESSAGE(killed_, "refused with ", refused, "; ", what());
      p.finished = true;
    }
    return false;
  }
  void kill(Random& dice) {
    killed_ = true;
    w_.totals.closes += 1;
    if (dice.one_in(2)) {
      remote::close(id_, dice.one_in(2) ? ECONNABORTED : -1);
    } else {
      w_.totals.resets += 1;
      remote::post(id_, [](NetVConnection& vc) { vc.close_with_reset(); });
    }
  }
  void on_open(NetVConnection& vc) override {
    w_.totals.connections += 1;
    vc.observer = this;
    if (crowd_ > 0) vc.set_max_unwritten(crowd_);
    id_ = vc.id();
  }
  void on_open_failed(ConnectError e) override {
    FAIL_CHECK("a connect to a listener failed: ", e.code, " ", e.error_number);
    closed_ = true;
  }
  void on_vc_closed(NetVConnection&, bool) override { closed_ = true; }

  World& w_;
  const size_t index_;
  NetHandler& home_;
  const int each_;
  int64_t kill_at_ = -1, crowd_ = 0;
  bool deadlines_ = false;
  std::array<Producer, 2> producers_{};
  bool closing_ = false;
  std::atomic<int64_t> sent_{0};
  std::atomic<VersionedId> id_{0};
  std::atomic<bool> killed_{false}, closed_{false};
};

}  // namespace netvc::soak
