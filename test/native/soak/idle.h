// soak/idle.h - for the soak.
//
//   Dead  a peer that never reads or writes; only timeouts end the connection. Some change their
//         thread with the clocks running.
//   Drip  a peer that sends a byte now and then; the inactivity timeout counts from the last one,
//         the active one does not care.
#pragma once

#include <array>

#include "soak/world.h"

namespace netvc::soak {

class Dead final : public Actor, private ConnectHandler, public Recorder, public VcObserver {
 public:
  Dead(World& w, Random dice) : w_(w), home_(w.any(dice)), dice_(std::move(dice)) {
    const int64_t which = dice_.below(3);
    if (which != 0) inactivity_ = (1 + dice_.below(250)) * kMillisecond;
    if (which != 1) active_ = (1 + dice_.below(250)) * kMillisecond;
    again_ = dice_.below(3);
    // More than the kernels take, so that the write operation stays armed.
    options_.send_buffer_size = 4096;
    if (dice_.one_in(2)) out_ = MIOBuffer::create_empty(kIndexLarge);
    moves_ = !out_ && inactivity_ == 0 && dice_.one_in(2);
  }
  ~Dead() override = default;

  void start() override {
    home_.post([this](NetHandler& h) { connect_s(h, w_.mute, options_, this); });
  }
  void drive() override {
    if (!moves_ || id_ == 0 || moving_.exchange(true)) return;
    NetHandler& to = w_.any(dice_);
    if (!remote::post(id_, [this, &to](NetVConnection& vc) { move(vc, to); })) moving_ = false;
  }
  bool done() const override { return done_; }
  void check() override { CHECK_MESSAGE(fired_ > 0, "INV-14: never told a timeout; ", what()); }
  std::string what() const override {
    return "dead peer, inactivity " + std::to_string(inactivity_) + ", active " +
           std::to_string(active_) + ", again " + std::to_string(again_) + ", fired " +
           std::to_string(fired_) + (out_ ? ", writing" : "") + (moves_ ? ", moving" : "");
  }

 private:
  void on_open(NetVConnection& vc) override {
    w_.totals.connections += 1;
    vc_ = &vc;
    vc.observer = this;
    in_ = MIOBuffer::create_empty(kIndex32K);
    in_->alloc_reader();
    arm(TimeoutKind::kInactivity);
    arm(TimeoutKind::kActive);
    read();
    if (out_) {
      const std::string s(512 << 10, 'x');
      IOBufferReader* r = out_->alloc_reader();
      out_->write(s.data(), static_cast<int64_t>(s.size()));
      vc.do_io_write(this, VIO::kUnlimited, r);
    }
    id_ = vc.id();
  }
  void on_open_failed(ConnectError e) override {
    FAIL_CHECK("a connect to a listener failed: ", e.code, " ", e.error_number);
    done_ = true;
  }
  void on_vc_closed(NetVConnection&, bool) override {
    expect_silence();
    done_ = true;
  }
  void read() { vc_->do_io_read(this, VIO::kUnlimited, in_); }
  void arm(TimeoutKind kind) {
    const Nanos value = kind == TimeoutKind::kActive ? active_ : inactivity_;
    armed_at_[static_cast<int>(kind)] = monotonic_now();
    vc_->set_timeout(kind, value);
  }
  int handle_event(Event e, VIO* vio) override {
    Recorder::handle_event(e, vio);
    if (e == Event::kWriteReady) return 0;  // the kernel took it all: nothing more to say
    if (e != Event::kInactivityTimeout && e != Event::kActiveTimeout) {
      // The round may be over before (its listener has gone), and that is all that ends it.
      vc_->do_io_close();
      return 0;
    }
    const auto kind = e == Event::kActiveTimeout ? TimeoutKind::kActive : TimeoutKind::kInactivity;
    const Nanos value = kind == TimeoutKind::kActive ? active_ : inactivity_;
    Nanos since = armed_at_[static_cast<int>(kind)];
    if (kind == TimeoutKind::kInactivity) since = std::max(since, vc_->last_activity());
    const Nanos late = monotonic_now() - since - value;
    CHECK_MESSAGE(value > 0, "a timeout that was not set");
    CHECK_MESSAGE(late >= 0, "INV-14: early by ", -late, " ns; ", what());
    w_.totals.late(late);
    (kind == TimeoutKind::kActive ? w_.totals.active : w_.totals.inactivity) += 1;
    if (++fired_ > again_) {
      expect_silence();
      vc_->do_io_close(ETIMEDOUT);
      w_.totals.closes += 1;
    } else {
      arm(kind);
    }
    return 0;
  }
  void move(NetVConnection& vc, NetHandler& to) {
    if (vc.closed_now()) return;
    vc.do_io_read(nullptr, 0, nullptr);
    vc.move_to(to, [this](NetVConnection* moved) {
      if (!moved) {
        FAIL_CHECK("MG-1: not attached");
        done_ = true;
        return;
      }
      w_.totals.migrations += 1;
      read();
      moving_ = false;
    });
  }

  World& w_;
  NetHandler& home_;
  Random dice_;
  NetVCOptions options_;
  Nanos inactivity_ = 0, active_ = 0, armed_at_[2] = {0, 0};
  int64_t again_ = 0;
  bool moves_ = false;
  int fired_ = 0;
  NetVConnection* vc_ = nullptr;
  Ref<MIOBuffer> in_, out_;
  std::atomic<VersionedId> id_{0};
  std::atomic<bool> moving_{false}, done_{false};
};

class Drip final : public Actor, public Recorder, public VcObserver {
 public:
  Drip(World& w, Random dice)
      : w_(w),
        home_(w.any(dice)),
        dice_(std::move(dice)),
        family_(dice_.one_in(2) ? Family::kTcp4 : Family::kUnix),
        drops_(dice_.below(static_cast<int64_t>(sent_at_.size()))) {
    inactivity_ = (1 + dice_.below(60)) * kMillisecond;
    if (dice_.one_in(2)) active_ = (1 + dice_.below(400)) * kMillisecond;
  }
  ~Drip() override = default;

  void start() override {
    FdPair p = fd_pair(family_);
    peer_ = RawPeer(std::move(p.b));
    const int fd = p.a.release();
    next_ = monotonic_now();
    home_.post([this, fd](NetHandler& h) { begin(*adopt(h, UniqueFd(fd))); });
  }
  void drive() override {
    const Nanos now = monotonic_now();
    if (sent_ == drops_ || now < next_) return;
    next_ = now + dice_.below(inactivity_);
    sent_at_[static_cast<size_t>(sent_++)] = monotonic_now();  // before it can have any effect
    peer_.send_some("x");
  }
  bool done() const override { return done_; }
  void check() override {
    CHECK_MESSAGE(fired_ == 1, "INV-14: a drip that was told ", fired_.load(), " timeouts");
  }
  std::string what() const override {
    return "drip of " + std::to_string(drops_) + ", inactivity " + std::to_string(inactivity_) +
           ", active " + std::to_string(active_);
  }

 private:
  void begin(NetVConnection& vc) {
    w_.totals.connections += 1;
    vc_ = &vc;
    vc.observer = this;
    buf_ = MIOBuffer::create_empty(0);
    reader_ = buf_->alloc_reader();
    armed_at_ = monotonic_now();
    vc.set_inactivity_timeout(inactivity_);
    vc.set_active_timeout(active_);
    vc.do_io_read(this, VIO::kUnlimited, buf_);
  }
  int handle_event(Event e, VIO* vio) override {
    Recorder::handle_event(e, vio);
    reader_->reset();
    if (e == Event::kReadReady) return vio->reenable(), 0;
    const bool idle = e == Event::kInactivityTimeout;
    CHECK((idle || e == Event::kActiveTimeout));
    const auto got = static_cast<size_t>(vc_->bytes_in());
    const Nanos since = idle && got > 0 ? sent_at_[got - 1].load() : armed_at_;
    const Nanos late = monotonic_now() - since - (idle ? inactivity_ : active_);
    CHECK_MESSAGE(late >= 0, "INV-14: early by ", -late, " ns; ", what());
    (idle ? w_.totals.inactivity : w_.totals.active) += 1;
    fired_ += 1;
    expect_silence();
    vc_->do_io_close();
    return 0;
  }
  void on_vc_closed(NetVConnection&, bool) override { done_ = true; }

  World& w_;
  NetHandler& home_;
  Random dice_;
  const Family family_;
  std::array<std::atomic<Nanos>, 32> sent_at_{};
  const int64_t drops_;
  int64_t sent_ = 0;
  Nanos inactivity_ = 0, active_ = 0, armed_at_ = 0, next_ = 0;
  RawPeer peer_;
  NetVConnection* vc_ = nullptr;
  Ref<MIOBuffer> buf_;
  IOBufferReader* reader_ = nullptr;
  std::atomic<int> fired_{0};
  std::atomic<bool> done_{false};
};

}  // namespace netvc::soak
