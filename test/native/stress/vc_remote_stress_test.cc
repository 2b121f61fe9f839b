// B-8 RE-4 RE-7: requests and closes from many threads against connections of net threads.
#include <atomic>
#include <thread>

#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/leak_check.h"
#include "support/net_threads.h"
#include "support/random.h"
#include "vc/remote.h"

namespace netvc::test {

namespace {

// Reads a buffer that is full after 128 bytes, empties it, and counts on strangers to reenable it.
class Lazy final : public Continuation, public VcObserver {
 public:
  void start(NetVConnection& vc) {
    vc.observer = this;
    vc.do_io_read(this, VIO::kUnlimited, in_.m);
  }
  int handle_event(Event e, VIO* vio) override {
    if (closed_) late.fetch_add(1);
    if (e == Event::kReadReady) {
      bytes.fetch_add(in_.avail());
      in_.r->reset();
    } else {
      static_cast<NetVConnection*>(vio->vc_server)->do_io_close();
    }
    return 0;
  }
  void on_vc_closed(NetVConnection&, bool) override { closed_ = true; }

  std::atomic<int64_t> bytes{0};
  static inline std::atomic<int> late{0};

 private:
  Buf in_{0, 0};
  bool closed_ = false;  // on the net thread
};

}  // namespace

TEST_CASE("stress B-8: 8 threads, 10^6 reenable and close, no lost connection, no late event") {
  LeakCheck leaks;
  constexpr int kThreads = 8, kConnections = 64;
  constexpr int kRounds = 1'000'000 / kThreads;
  const uint64_t seed = take_seed("remote storm");
  Lazy::late = 0;
  std::vector<std::unique_ptr<Lazy>> readers(kConnections);
  std::vector<RawPeer> peers(kConnections);
  std::vector<std::atomic<VersionedId>> ids(kConnections);
  NetThreads threads(2);
  for (size_t i = 0; i < kConnections; ++i) {
    readers[i] = std::make_unique<Lazy>();
    FdPair p = fd_pair(Family::kUnix);
    peers[i] = RawPeer(std::move(p.b));
    ids[i] = on(threads[i % 2], [&](NetHandler& h) {
      NetVConnection* vc = adopt(h, std::move(p.a));
      readers[i]->start(*vc);
      return vc->id();
    });
  }
  std::vector<std::thread> storm;
  for (int t = 0; t < kThreads; ++t) {
    storm.emplace_back([&, t] {
      Random random(seed + static_cast<uint64_t>(t));
      for (int n = 0; n < kRounds; ++n) {
        const auto i = static_cast<size_t>(random.below(kConnections));
        const VersionedId id = ids[i].load();
        if (t == 0 && n % 64 == 0)
          ::send(peers[i].fd(), "xxxxxxxxxxxxxxxx", 16, MSG_NOSIGNAL | MSG_DONTWAIT);
        // The last eight are never closed: they must still work afterwards.
        if (random.one_in(20'000) && i < kConnections - 8) {
          remote::close(id);
        } else {
          remote::reenable(id, random.one_in(4) ? Side::kWrite : Side::kRead);
        }
      }
    });
  }
  for (auto& t : storm)
    t.join();
  for (size_t i = kConnections - 8; i < kConnections; ++i) {
    const int64_t before = readers[i]->bytes;
    int n = 0;
    ::send(peers[i].fd(), "y", 1, MSG_NOSIGNAL);
    REQUIRE(wait_for([&] {
      if (n++ % 16 == 0) remote::reenable(ids[i], Side::kRead);
      return readers[i]->bytes > before;
    }));
  }
  for (auto& id : ids)
    remote::close(id);
  threads.stop();
  CHECK_EQ(Lazy::late, 0);
}

TEST_CASE(
    "stress RE-7: one thread consumes and reenables, the other fills; nobody waits for ever") {
  // The buffer is full after each event. A lost request would stop the stream.
  LeakCheck leaks;
  constexpr int64_t kTotal = 400'000;
  Lazy reader;
  NetThreads threads(1);
  FdPair p = fd_pair(Family::kUnix);
  RawPeer peer(std::move(p.b));
  const VersionedId id = on(threads[0], [&](NetHandler& h) {
    NetVConnection* vc = adopt(h, std::move(p.a));
    reader.start(*vc);
    return vc->id();
  });
  std::thread filler([&] { peer.send(std::string(kTotal, 'x')); });
  int64_t asked_at = -1;
  REQUIRE(wait_for(
      [&] {
        // Exactly one request per step of progress: the next only when this one had its effect.
        const int64_t now = reader.bytes;
        if (now != asked_at) {
          asked_at = now;
          remote::reenable(id, Side::kRead);
        }
        return now == kTotal;
      },
      60 * kSecond));
  filler.join();
  remote::close(id);
}

}  // namespace netvc::test
