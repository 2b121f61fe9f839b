// soak/world.h - for the soak.
//
// World: the net threads and listeners of one round. Actor: one thing that happens in it, mostly a
// connection with its fate; every choice it makes comes from its own dice, which come from the
// seed of the round. Only what the threads do in which order is not determined by the seed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "net/socket_ops.h"
#include "soak/servers.h"
#include "support/echo.h"

namespace netvc::soak {

/// Actors live until the threads have been stopped. All but start, drive and check: any thread.
class Actor {
 public:
  Actor() = default;
  virtual ~Actor() = default;
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  /// On the main thread, as the next two.
  virtual void start() = 0;
  /// Now and then, until it is done. Never waits.
  virtual void drive() {}
  /// Once, when the threads have been stopped.
  virtual void check() {}
  virtual bool done() const = 0;
  /// The plan, to be printed when it is not done in time.
  virtual std::string what() const = 0;
  /// On foreign threads, again and again.
  virtual void disturb(int /*thread*/, Random&) {}
};

/// Messages of one Messenger and thread at most; producers are numbered 2 * actor + thread.
inline constexpr int kMessagesEach = 64;

/// Of a stream: from 1 to most, small ones and large ones.
inline int64_t length(Random& dice, int64_t most) {
  return dice.one_in(3) ? 1 + dice.below(most) : dice.size(most);
}

struct World {
  World(int net_threads, size_t actors, uint64_t seed, Totals& all)
      : totals(all),
        random(seed),
        threads(net_threads),
        migrant(threads, all, seed + 1'000'000),
        sink(threads, all, seed, 2 * actors, kMessagesEach),
        rude(threads, all, seed + 2'000'000) {
    to_echo = listen(&echo);
    to_migrant = listen(&migrant);
    to_sink = listen(&sink);
    to_rude = listen(&rude);
    make_dark_places();
    tunnel =
        std::make_unique<TunnelServer>(threads, all, seed + 3'000'000, to_echo, to_migrant, false);
    limited = std::make_unique<TunnelServer>(threads, all, seed + 4'000'000, to_echo, mute, true);
    to_tunnel = listen(tunnel.get());
    to_limited = listen(limited.get());
  }

  /// Listeners close, and everything that they made must end by itself.
  void wind_down() {
    for (const Ref<Acceptor>& a : acceptors)
      Acceptor::cancel(a);
    REQUIRE(wait_for([&] {
      return echo.stopped == 1 && migrant.stopped && sink.stopped && rude.stopped &&
             tunnel->stopped && limited->stopped;
    }));
    silent.reset();  // resets those who still wait for an answer
    const auto left = [&] {
      return echo.live + migrant.live + sink.live + rude.live + tunnel->live + limited->live;
    };
    CHECK_MESSAGE(wait_for([&] { return left() == 0; }, 3 * kPatience), "left: echo ",
                  echo.live.load(), " migrant ", migrant.live.load(), " sink ", sink.live.load(),
                  " rude ", rude.live.load(), " tunnel ", tunnel->live.load(), " limited ",
                  limited->live.load());
    totals.accepted += echo.accepted;
  }
  NetHandler& any(Random& dice) {
    return threads[static_cast<size_t>(dice.below(static_cast<int64_t>(threads.pool.size())))];
  }
  /// Echoes everything, however it gets there.
  Address echoing(Random& dice) {
    const Address* all[] = {&to_echo, &to_migrant, &to_tunnel};
    return *all[dice.below(3)];
  }

  Totals& totals;
  Random random;
  EchoServer echo;
  NetThreads threads;
  MigrantServer migrant;
  SinkServer sink;
  RudeServer rude;
  std::unique_ptr<TunnelServer> tunnel, limited;
  std::vector<Ref<Acceptor>> acceptors;
  Address to_echo, to_migrant, to_sink, to_rude, to_tunnel, to_limited;
  Address deserted;   // bound, and nobody listens
  Address blackhole;  // never answers the handshake
  Address mute;       // the kernel accepts, and nobody ever reads or writes

 private:
  Address listen(AcceptHandler* handler) {
    Ref<ListenSocket> socket;
    AcceptOptions o;
    o.accepts_per_wakeup = static_cast<int>(random.size(64));
    REQUIRE_EQ(ListenSocket::open(loopback(Family::kTcp4), o, &socket), 0);
    NetHandler& at = any(random);
    acceptors.push_back(
        Ref<Acceptor>(new Acceptor(socket, handler, [this]() -> NetHandler& { return next(); })));
    REQUIRE(at.post([a = acceptors.back()](NetHandler& h) { a->start(h, false); }));
    return socket->address();
  }
  NetHandler& next() { return threads.pool.next(); }
  static UniqueFd bound(Address* at) {
    *at = loopback(Family::kTcp4);
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    REQUIRE_EQ(::bind(fd.get(), at->sa(), at->len()), 0);
    REQUIRE(Address::local_of(fd.get(), at));
    return fd;
  }
  void make_dark_places() {
    nobody = bound(&deserted);
    silent = bound(&mute);
    shrink_buffers(silent.get());  // what is accepted has them too
    REQUIRE_EQ(::listen(silent.get(), 1000), 0);
    full = bound(&blackhole);
    REQUIRE_EQ(::listen(full.get(), 1), 0);
    for (int i = 0; i < 4; ++i) {
      waiting.emplace_back(sock::stream_socket(AF_INET));
      sock::connect(waiting.back().get(), blackhole);
    }
  }
  UniqueFd nobody, silent, full;
  std::vector<UniqueFd> waiting;
};

}  // namespace netvc::soak
