// soak/servers.h - for the soak.
//
// What listens in a round, besides the echo of support/echo.h:
//   MigrantServer  an echo whose connections change their net thread all the time (INV-28)
//   SinkServer     reads numbered messages (support/numbered.h)
//   TunnelServer   joins what it accepts to a connection to one of two others, with random limits
//   RudeServer     closes or resets in on_accept, or at the first events
// Each counts what lives; a round ends when that is 0 again. Their threads: the connections'.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "server/acceptor.h"
#include "server/connect.h"
#include "soak/totals.h"
#include "support/endpoint.h"
#include "support/net_threads.h"
#include "support/numbered.h"
#include "vc/remote.h"
#include "vc/tunnel.h"

namespace netvc::soak {

using namespace netvc::test;

/// What every listener of a round has in common.
class SoakServer : public AcceptHandler {
 public:
  SoakServer(NetThreads& threads, Totals& totals, uint64_t seed)
      : threads_(threads), totals_(totals), seed_(seed) {}
  virtual ~SoakServer() = default;
  SoakServer(const SoakServer&) = delete;
  SoakServer& operator=(const SoakServer&) = delete;

  void on_accept(NetVConnection& vc) override {
    totals_.accepted.fetch_add(1);
    // The n-th one gets the n-th dice; who is the n-th is up to the threads.
    take(vc, Random(seed_ + static_cast<uint64_t>(taken_.fetch_add(1))));
  }
  void on_accept_error(int error) override { FAIL_CHECK("listener: errno ", error); }
  void on_accept_stopped() override { stopped.store(true); }

  std::atomic<int> live{0};
  std::atomic<bool> stopped{false};

 protected:
  virtual void take(NetVConnection& vc, Random random) = 0;
  NetHandler& any(Random& random) {
    return threads_[static_cast<size_t>(random.below(static_cast<int64_t>(threads_.pool.size())))];
  }
  NetThreads& threads_;
  Totals& totals_;

 private:
  const uint64_t seed_;
  std::atomic<int> taken_{0};
};

class MigrantServer final : public SoakServer {
 public:
  using SoakServer::SoakServer;

 private:
  // Deletes itself when its connection is closed, by whomever.
  class Migrant final : public Recorder, public VcObserver {
   public:
    Migrant(MigrantServer& of, NetVConnection& vc, Random random)
        : of_(of), vc_(&vc), random_(std::move(random)) {
      of_.live.fetch_add(1);
      const Shape s = Shape::random(random_);
      in_ = MIOBuffer::create_empty(s.in_index, s.in_mark);
      reader_ = in_->alloc_reader();
      vc.observer = this;
      vc.set_active_timeout(100 * kSecond);  // goes with it from thread to thread, never due
      arm();
    }
    ~Migrant() override { of_.live.fetch_sub(1); }

    int handle_event(Event e, VIO* vio) override {
      Recorder::handle_event(e, vio);
      std::string s(static_cast<size_t>(reader_->read_avail()), '\0');
      reader_->read(s.data(), static_cast<int64_t>(s.size()));
      if (!s.empty()) vc_->queue_write(s.data(), s.size());
      if (e != Event::kReadReady) {
        expect_silence();
        vc_->do_io_close();  // what is queued leaves before
      } else if (random_.one_in(3)) {
        vc_->reenable(&vc_->read_vio);
      } else {
        vc_->do_io_read(nullptr, 0, nullptr);  // MG-2
        NetHandler& to = of_.any(random_);
        remote::post(vc_->id(), [this, &to](NetVConnection& vc) {
          if (vc.closed_now()) return;  // and this is gone
          vc.move_to(to, [this](NetVConnection* moved) { arrived(moved); });
        });
      }
      return 0;
    }
    void on_vc_closed(NetVConnection&, bool) override { delete this; }

   private:
    void arm() { vc_->do_io_read(this, VIO::kUnlimited, in_); }
    void arrived(NetVConnection* moved) {
      if (!moved) return delete this;  // released, with nobody told
      if (!moved->handler->in_thread() || moved != vc_) FAIL_CHECK("MG-1: on the wrong thread");
      of_.totals_.migrations.fetch_add(1);
      arm();
    }
    MigrantServer& of_;
    NetVConnection* vc_;
    Random random_;
    Ref<MIOBuffer> in_;
    IOBufferReader* reader_;
  };

  void take(NetVConnection& vc, Random random) override {
    new Migrant(*this, vc, std::move(random));
  }
};

class SinkServer final : public SoakServer {
 public:
  SinkServer(NetThreads& threads, Totals& totals, uint64_t seed, size_t producers, size_t each)
      : SoakServer(threads, totals, seed), producers_(producers), each_(each) {}

  /// With the threads stopped.
  bool arrived(size_t producer, size_t number) const {
    for (const auto& s : sinks_) {
      if (s->log.arrived(producer, number)) return true;
    }
    return false;
  }
  int64_t wrong() const {
    int64_t n = 0;
    for (const auto& s : sinks_)
      n += s->log.wrong;
    return n;
  }

 private:
  struct Sink final : Recorder, VcObserver {
    Sink(SinkServer& server, NetVConnection& of, Random& random)
        : to(server), vc(&of), log(server.producers_, server.each_) {
      to.live.fetch_add(1);
      in = MIOBuffer::create_empty(Shape::random(random).in_index, random.size(100'000));
      reader = in->alloc_reader();
      of.observer = this;
      of.do_io_read(this, VIO::kUnlimited, in);
    }
    int handle_event(Event e, VIO* vio) override {
      Recorder::handle_event(e, vio);
      std::string s(static_cast<size_t>(reader->read_avail()), '\0');
      reader->read(s.data(), static_cast<int64_t>(s.size()));
      log.feed(s);
      if (e == Event::kReadReady) return vio->reenable(), 0;
      expect_silence();
      vc->do_io_close();
      return 0;
    }
    void on_vc_closed(NetVConnection&, bool) override {
      expect_silence();
      to.live.fetch_sub(1);
    }
    SinkServer& to;
    NetVConnection* vc;
    WireLog log;
    Ref<MIOBuffer> in;
    IOBufferReader* reader;
  };

  void take(NetVConnection& vc, Random random) override {
    auto sink = std::make_unique<Sink>(*this, vc, random);
    std::lock_guard lock(mutex_);
    sinks_.push_back(std::move(sink));
  }
  const size_t producers_, each_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Sink>> sinks_;
};

class TunnelServer final : public SoakServer {
 public:
  TunnelServer(NetThreads& threads, Totals& totals, uint64_t seed, Address one, Address other,
               bool limited)
      : SoakServer(threads, totals, seed),
        to_{std::move(one), std::move(other)},
        limited_(limited) {}

 private:
  struct Join final : ConnectHandler, TunnelListener {
    Join(TunnelServer& server, VersionedId accepted, Random random) : of(server), a(accepted) {
      way = random.below(2);
      options.size_index = static_cast<int>(random.below(10));
      options.water_mark = random.size(65'536);
      TunnelLimits& l = options.limits;
      Nanos* const limits[] = {&l.inactivity, &l.active, &l.half_close, &l.stall};
      for (Nanos* limit : limits) {
        if (of.limited_ && random.one_in(2)) *limit = (20 + random.below(300)) * kMillisecond;
      }
      // Whatever else: one that nobody ends must end.
      if (of.limited_ && l.active == 0 && l.inactivity == 0) l.inactivity = 200 * kMillisecond;
    }
    void on_open(NetVConnection& vc) override {
      began = monotonic_now();
      tunnel = Ref<Tunnel>(new Tunnel(this, options));
      Tunnel::join(tunnel, a, vc.id());
    }
    void on_open_failed(ConnectError) override {
      remote::close(a);
      of.live.fetch_sub(1);
    }
    void on_tunnel_end(Tunnel&, const TunnelResult& r) override {
      CHECK_EQ(told.fetch_add(1), 0);
      const TunnelLimits& l = options.limits;
      const Nanos limit = r.end == TunnelEnd::kInactivity  ? l.inactivity
                          : r.end == TunnelEnd::kActive    ? l.active
                          : r.end == TunnelEnd::kHalfClose ? l.half_close
                          : r.end == TunnelEnd::kStall     ? l.stall
                                                           : -1;
      CHECK_MESSAGE(limit != 0, "a limit that was not set ended a tunnel");
      CHECK_MESSAGE(monotonic_now() - began >= limit, "INV-14: a limit of a tunnel came early");
      of.totals_.tunnel(r.end);
      of.live.fetch_sub(1);
    }
    TunnelServer& of;
    VersionedId a;
    int64_t way;
    TunnelOptions options;
    Ref<Tunnel> tunnel;
    Nanos began = 0;
    std::atomic<int> told{0};
  };

  void take(NetVConnection& vc, Random random) override {
    live.fetch_add(1);
    Join* join;
    NetHandler& from = any(random);
    {
      std::lock_guard lock(mutex_);
      joins_.push_back(std::make_unique<Join>(*this, vc.id(), std::move(random)));
      join = joins_.back().get();
    }
    if (!from.post([join](NetHandler& h) {
          NetVCOptions o;
          if (join->of.limited_) o.send_buffer_size = 4096;  // for those who stall
          connect_s(h, join->of.to_[join->way], o, join);
        }))
      live.fetch_sub(1);
  }
  const Address to_[2];
  const bool limited_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Join>> joins_;  // tunnels keep pointing at them: until the end
};

class RudeServer final : public SoakServer {
 public:
  using SoakServer::SoakServer;

 private:
  struct Rude final : Recorder, VcObserver {
    Rude(RudeServer& server, NetVConnection& at, Random random)
        : of(server), vc(&at), dice(std::move(random)), buf(MIOBuffer::create_empty(kIndex32K)) {
      of.live.fetch_add(1);
      reader = buf->alloc_reader();
      at.observer = this;
    }
    ~Rude() override { of.live.fetch_sub(1); }
    void start() {
      left = dice.below(4);
      if (left == 0) return leave();  // in on_accept (CL-7); this is gone
      vc->do_io_read(this, VIO::kUnlimited, buf);
      vc->do_io_write(this, VIO::kUnlimited, reader);
    }
    void leave() {
      expect_silence();
      switch (dice.below(4)) {
        case 0:
          of.totals_.resets.fetch_add(1);
          return vc->close_with_reset();
        case 1:
          return vc->close_gracefully(dice.below(200) * kMillisecond);
        case 2:
          return vc->do_io_close(ECONNABORTED);
        default:
          return vc->do_io_close();
      }
    }
    int handle_event(Event e, VIO* vio) override {
      Recorder::handle_event(e, vio);
      if (is_terminal(e) || --left <= 0) return leave(), 0;
      // What one side has done is work for the other, also room in a buffer that was full (RD-14).
      vc->reenable(vio->op == Op::kRead ? &vc->write_vio : &vc->read_vio);
      vio->reenable();
      return 0;
    }
    void on_vc_closed(NetVConnection&, bool) override { delete this; }

    RudeServer& of;
    NetVConnection* vc;
    Random dice;
    Ref<MIOBuffer> buf;
    IOBufferReader* reader;
    int64_t left = 0;
  };
  void take(NetVConnection& vc, Random random) override {
    (new Rude(*this, vc, std::move(random)))->start();
  }
};

}  // namespace netvc::soak
