// soak/clients.h - for the soak.
//
//   Stream    connects, sends a pattern and gets it back, every byte, whatever the way (Endpoint)
//   Talker    the same, until it is closed, at an event of its plan or by a stranger, or is told a
//             timeout: what it got is a prefix, and nothing comes after the close (INV-1)
//   Caller    a connect that is refused, not answered, or cancelled
#pragma once

#include "soak/world.h"

namespace netvc::soak {

class Stream final : public Actor, private ConnectHandler {
 public:
  Stream(World& w, Random dice)
      : w_(w),
        total_(dice.one_in(30) ? 0 : length(dice, 600'000)),
        from_(static_cast<uint64_t>(dice.below(1 << 20))),
        end_(from_, total_, from_, shape_for(dice), static_cast<uint64_t>(dice.below(1 << 30))),
        to_(w.echoing(dice)),
        home_(w.any(dice)),
        timeouts_(dice.one_in(2)) {}

  void start() override {
    home_.post([this](NetHandler& h) { connect_s(h, to_, {}, this); });
  }
  void drive() override {
    if (id_ != 0) remote::post(id_, [this](NetVConnection&) { end_.tick(); });
  }
  bool done() const override { return end_.done || failed_ != 0; }
  void check() override {
    CHECK_MESSAGE(failed_ == 0, what());
    CHECK_MESSAGE(!end_.wrong, what());
    CHECK_MESSAGE(end_.error == 0, what(), ": error ", end_.error.load());
    CHECK_MESSAGE(end_.right == total_, what(), ": got ", end_.right.load());
    w_.totals.bytes += total_;
    w_.totals.half_closes += 1;
  }
  std::string what() const override {
    return "stream of " + std::to_string(total_) + " bytes to " + to_.url();
  }
  void disturb(int, Random&) override {
    if (id_ != 0 && remote::reenable(id_, Side::kRead)) w_.totals.reenables += 1;
  }

 private:
  // Neither a system call nor a turn per byte: that only takes time.
  static Shape shape_for(Random& dice) {
    Shape s = Shape::random(dice);
    s.in_index = std::max(s.in_index, 2);
    s.out_index = std::max(s.out_index, 2);
    s.chunk = std::max<int64_t>(s.chunk, 2000);
    return s;
  }
  void on_open(NetVConnection& vc) override {
    w_.totals.connections += 1;
    if (timeouts_) {  // armed, moved by every byte, and never due
      vc.set_inactivity_timeout(200 * kSecond);
      vc.set_active_timeout(300 * kSecond);
    }
    id_ = vc.id();
    end_.start(vc);
  }
  void on_open_failed(ConnectError e) override { failed_ = e.code; }

  World& w_;
  const int64_t total_;
  const uint64_t from_;
  Endpoint end_;
  const Address to_;
  NetHandler& home_;
  const bool timeouts_;
  std::atomic<VersionedId> id_{0};
  std::atomic<int> failed_{0};
};

class Talker final : public Actor, public ConnectHandler, public Recorder, public VcObserver {
 public:
  Talker(World& w, Random dice) : w_(w), home_(w.any(dice)) {
    const Address* all[] = {&w.to_echo, &w.to_migrant, &w.to_tunnel, &w.to_limited, &w.to_rude};
    to_ = *all[dice.below(5)];
    total_ = length(dice, 300'000);
    close_at_ = dice.one_in(6) ? -1 : dice.size(40) - 1;  // 0: in on_open
    how_ = dice.below(4);
    strangers_ = dice.one_in(3);
    if (dice.one_in(3)) inactivity_ = (1 + dice.below(100)) * kMillisecond;
    if (dice.one_in(3)) active_ = (1 + dice.below(200)) * kMillisecond;
    on_timeout_ = dice.below(3);
    const Shape s = Shape::random(dice);
    chunk_ = std::max<int64_t>(s.chunk, 500);
    in_ = MIOBuffer::create_empty(s.in_index, s.in_mark);
    reader_ = in_->alloc_reader();
    out_ = MIOBuffer::create_empty(s.out_index, s.out_mark);
    out_reader_ = out_->alloc_reader();
  }
  ~Talker() override = default;

  void start() override {
    home_.post([this](NetHandler& h) { connect_s(h, to_, {}, this); });
  }
  bool done() const override { return done_; }
  void check() override {
    CHECK_MESSAGE(!wrong_, what());
    CHECK_MESSAGE(right_ <= put_, what());
    w_.totals.bytes += right_;
  }
  std::string what() const override {
    return "talker to " + to_.url() + ", " + std::to_string(total_) + " bytes, closes at " +
           std::to_string(close_at_) + ", inactivity " + std::to_string(inactivity_) + ", active " +
           std::to_string(active_) + ", on timeout " + std::to_string(on_timeout_) + ": " +
           (id_ == 0 ? "not open" : story());
  }
  void disturb(int, Random& dice) override {
    if (!strangers_ || id_ == 0 || !dice.one_in(50)) return;
    if (remote::close(id_, dice.one_in(2) ? ECONNABORTED : -1)) w_.totals.closes += 1;
  }

 private:
  void on_open(NetVConnection& vc) override {
    w_.totals.connections += 1;
    vc_ = &vc;
    vc.observer = this;
    id_ = vc.id();
    if (close_at_ == 0) return close();
    armed_at_[0] = armed_at_[1] = monotonic_now();
    vc.set_inactivity_timeout(inactivity_);
    vc.set_active_timeout(active_);
    vc.do_io_read(this, VIO::kUnlimited, in_);
    vc.do_io_write(this, total_, out_reader_);
  }
  void on_open_failed(ConnectError e) override {
    // The rude one may be faster than the news of the handshake, and a tunnel that cannot deliver.
    const bool resets = to_.port() == w_.to_rude.port() || to_.port() == w_.to_tunnel.port() ||
                        to_.port() == w_.to_limited.port();
    CHECK_MESSAGE((resets && e.error_number == ECONNRESET), "connect: ", e.code, " ",
                  e.error_number, "; ", what());
    done_ = true;
  }
  void on_vc_closed(NetVConnection&, bool) override {
    expect_silence();
    done_ = true;
  }
  int handle_event(Event e, VIO* vio) override {
    Recorder::handle_event(e, vio);
    consume();
    if (++events_ == close_at_) return close(), 0;
    switch (e) {
      case Event::kReadReady:
        vio->reenable();
        break;
      case Event::kWriteReady:
        put();
        break;
      case Event::kWriteComplete:
        vc_->do_io_shutdown(Shutdown::kWrite);
        w_.totals.half_closes += 1;
        break;
      case Event::kInactivityTimeout:
      case Event::kActiveTimeout:
        timed_out(e);
        break;
      default:
        close();
    }
    return 0;
  }
  void timed_out(Event e) {
    const bool idle = e == Event::kInactivityTimeout;
    const Nanos value = idle ? inactivity_ : active_;
    Nanos& armed = armed_at_[idle ? 0 : 1];
    const Nanos since = idle ? std::max(armed, vc_->last_activity()) : armed;
    CHECK_MESSAGE(value > 0, "a timeout that was not set");
    CHECK_MESSAGE(monotonic_now() - since >= value, "INV-14: early; ", what());
    (idle ? w_.totals.inactivity : w_.totals.active) += 1;
    // One who ignores the active one could stay for ever with a peer who says nothing.
    if (on_timeout_ == 0 || ++timeouts_ > 3) return close();
    if (on_timeout_ == 2 && idle && inactivity_ > 0 && active_ > 0) return;
    armed = monotonic_now();
    vc_->set_timeout(idle ? TimeoutKind::kInactivity : TimeoutKind::kActive, value);
  }
  void put() {
    const int64_t n = std::min(total_ - put_, chunk_);
    if (n <= 0) return;
    const std::string s = pattern(static_cast<uint64_t>(put_), static_cast<size_t>(n));
    out_->write(s.data(), n);
    put_ += n;
    vc_->reenable(&vc_->write_vio);
    vc_->trap_write_buffer_empty(true);
  }
  void consume() {
    std::string s(static_cast<size_t>(reader_->read_avail()), '\0');
    reader_->read(s.data(), static_cast<int64_t>(s.size()));
    const size_t ok = matching_pattern(s.data(), static_cast<uint64_t>(right_), s.size());
    right_ += static_cast<int64_t>(ok);
    wrong_ = wrong_ || ok != s.size();
  }
  void close() {
    expect_silence();
    w_.totals.closes += 1;
    switch (how_) {
      case 0:
        w_.totals.resets += 1;
        return vc_->close_with_reset();
      case 1:
        return vc_->close_gracefully(200 * kMillisecond);
      case 2:
        return vc_->do_io_close(ECONNABORTED);
      default:
        return vc_->do_io_close();
    }
  }

  World& w_;
  NetHandler& home_;
  Address to_;
  int64_t total_, close_at_, how_, on_timeout_, chunk_;
  bool strangers_;
  Nanos inactivity_ = 0, active_ = 0, armed_at_[2] = {0, 0};
  NetVConnection* vc_ = nullptr;
  Ref<MIOBuffer> in_, out_;
  IOBufferReader* reader_;
  IOBufferReader* out_reader_;
  int64_t put_ = 0, right_ = 0, events_ = 0, timeouts_ = 0;
  bool wrong_ = false;
  std::atomic<VersionedId> id_{0};
  std::atomic<bool> done_{false};
};

class Caller final : public Actor, private ConnectHandler {
 public:
  Caller(World& w, Random dice)
      : w_(w),
        kind_(static_cast<Kind>(dice.below(3))),
        home_(w.any(dice)),
        timeout_(kind_ == kUnanswered ? (1 + dice.below(150)) * kMillisecond : 100 * kSecond),
        cancel_after_((1 + dice.below(50)) * kMillisecond) {}

  void start() override {
    began_ = monotonic_now();
    home_.post([this](NetHandler& h) {
      action_ = connect_s(h, kind_ == kRefused ? w_.deserted : w_.blackhole, {}, this, timeout_);
      issued_ = true;
    });
  }
  void drive() override {
    if (kind_ != kCancelled || !issued_ || asked_ || monotonic_now() < began_ + cancel_after_)
      return;
    asked_ = true;
    home_.post([this](NetHandler&) {
      action_.cancel();
      w_.totals.cancelled += 1;
      over_ = true;
    });
  }
  bool done() const override { return over_; }
  void check() override { CHECK_EQ(told_.load(), kind_ == kCancelled ? 0 : 1); }
  std::string what() const override {
    return "connect of kind " + std::to_string(kind_) + ", timeout " + std::to_string(timeout_);
  }

 private:
  enum Kind { kRefused, kUnanswered, kCancelled };
  void on_open(NetVConnection& vc) override {
    FAIL_CHECK("open, but nobody is there");
    vc.do_io_close();
    over_ = true;
  }
  void on_open_failed(ConnectError e) override {
    told_ += 1;
    if (kind_ == kRefused) {
      CHECK_EQ(e.error_number, ECONNREFUSED);
      w_.totals.refused += 1;
    } else {
      CHECK_EQ(e.code, ENET_CONNECT_TIMEOUT);
      CHECK_MESSAGE(monotonic_now() - began_ >= timeout_, "CN-7: early");
      w_.totals.connect_timeouts += 1;
    }
    over_ = true;
  }

  World& w_;
  const Kind kind_;
  NetHandler& home_;
  const Nanos timeout_, cancel_after_;
  Nanos began_ = 0;
  ConnectAction action_;
  bool asked_ = false;
  std::atomic<int> told_{0};
  std::atomic<bool> issued_{false}, over_{false};
};

}  // namespace netvc::soak
