// soak/raw.h - for the soak.
//
// RawClient: a plain socket that the main thread drives. It talks to something that echoes, fast or
// slow, and leaves as its plan says: in order, with a reset, without a word, or never, when the
// limits of a tunnel have to end it. What it gets back is a prefix of what it sent, and all of it
// when it left in order.
#pragma once

#include "soak/world.h"
#include "support/accept_log.h"

namespace netvc::soak {

class RawClient final : public Actor {
 public:
  RawClient(World& w, Random dice) : w_(w), dice_(std::move(dice)) {
    leave_ = static_cast<Leave>(dice_.below(4));
    limited_ = leave_ == kNever || dice_.one_in(5);
    to_ = limited_ ? w.to_limited : w.echoing(dice_);
    total_ = static_cast<size_t>(length(dice_, 300'000));
    leave_at_ = static_cast<size_t>(dice_.below(static_cast<int64_t>(total_) + 1));
    most_ = dice_.one_in(3) ? dice_.size(2000) : 100'000;  // the slow ones
    most_ = std::max<int64_t>(most_, static_cast<int64_t>(total_) / 500);
    small_ = dice_.one_in(3);
  }

  void start() override {
    peer_ = dial(to_);
    if (small_) shrink_buffers(peer_.fd());
  }
  void drive() override {
    if (sent_ < total_ && !end_told_) {
      const auto n = std::min<size_t>(static_cast<size_t>(dice_.size(most_)), total_ - sent_);
      sent_ += peer_.send_some(pattern(sent_, n));
      if (sent_ == total_ && leave_ == kInOrder) {
        peer_.shutdown(SHUT_WR);
        w_.totals.half_closes += 1;
      }
    }
    take();
    if (leave_ == kReset && sent_ >= leave_at_) {
      peer_.reset();
      w_.totals.resets += 1;
      done_ = true;
    } else if ((leave_ == kAbruptly && sent_ >= leave_at_) || end_told_) {
      peer_.close();
      done_ = true;
    }
  }
  void check() override {
    CHECK_MESSAGE(!wrong_, what());
    if (leave_ == kInOrder && !limited_) {
      CHECK_MESSAGE(got_ == total_, what());
      CHECK_MESSAGE(peer_.last() == 0, what(), ": ", peer_.last());
    }
    w_.totals.bytes += static_cast<int64_t>(got_);
  }
  bool done() const override { return done_; }
  std::string what() const override {
    return "raw client of " + to_.url() + ", " + std::to_string(total_) + " bytes, sent " +
           std::to_string(sent_) + ", got " + std::to_string(got_) + ", leaves " +
           std::to_string(leave_) + " at " + std::to_string(leave_at_) +
           (limited_ ? ", limited" : "");
  }

 private:
  enum Leave { kInOrder, kReset, kAbruptly, kNever };

  void take() {
    const std::string piece = peer_.take(static_cast<size_t>(dice_.size(most_)));
    wrong_ = wrong_ || matching_pattern(piece.data(), got_, piece.size()) != piece.size();
    got_ += piece.size();
    end_told_ = peer_.last() <= 0 && peer_.last() != -EAGAIN;
  }

  World& w_;
  Random dice_;
  Leave leave_;
  Address to_;
  bool limited_, small_;
  size_t total_, leave_at_, sent_ = 0, got_ = 0;
  int64_t most_;
  RawPeer peer_;
  bool wrong_ = false, end_told_ = false, done_ = false;
};

}  // namespace netvc::soak
