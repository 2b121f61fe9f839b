// soak/totals.h - for the soak.
//
// What was done since the start; any thread adds. The soak prints it as one line of JSON per round.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>

#include "vc/tunnel_watch.h"

namespace netvc::soak {

using Count = std::atomic<int64_t>;  // a statistic, orders nothing

struct Totals {
  Count rounds{0}, connections{0}, accepted{0}, bytes{0}, messages{0}, refused_messages{0};
  Count refused{0}, connect_timeouts{0}, cancelled{0};
  Count inactivity{0}, active{0}, latest_ms{0};
  Count migrations{0}, closes{0}, resets{0}, half_closes{0}, reenables{0};
  Count tunnels[9]{};  // by TunnelEnd

  void tunnel(TunnelEnd end) { tunnels[static_cast<size_t>(end)].fetch_add(1); }
  /// A timeout came so long after it could have.
  void late(Nanos by) {
    const int64_t ms = by / kMillisecond;
    int64_t most = latest_ms.load();
    while (ms > most && !latest_ms.compare_exchange_weak(most, ms)) {
    }
  }
  void print(const char* word) const {
    const auto n = [](const Count& c) { return static_cast<long long>(c.load()); };
    std::printf(
        "%s {\"rounds\":%lld,\"connections\":%lld,\"accepted\":%lld,\"bytes\":%lld,"
        "\"messages\":%lld,\"refusedMessages\":%lld,\"refused\":%lld,\"connectTimeouts\":%lld,"
        "\"cancelled\":%lld,\"inactivity\":%lld,\"active\":%lld,\"latestMs\":%lld,"
        "\"migrations\":%lld,\"closes\":%lld,\"resets\":%lld,\"halfCloses\":%lld,"
        "\"reenables\":%lld,\"tunnels\":{\"eos\":%lld,\"error\":%lld,\"closed\":%lld,"
        "\"failed\":%lld,\"inactivity\":%lld,\"active\":%lld,\"halfClose\":%lld,\"stall\":%lld}}\n",
        word, n(rounds), n(connections), n(accepted), n(bytes), n(messages), n(refused_messages),
        n(refused), n(connect_timeouts), n(cancelled), n(inactivity), n(active), n(latest_ms),
        n(migrations), n(closes), n(resets), n(half_closes), n(reenables), n(tunnels[1]),
        n(tunnels[2]), n(tunnels[3]), n(tunnels[4]), n(tunnels[5]), n(tunnels[6]), n(tunnels[7]),
        n(tunnels[8]));
    std::fflush(stdout);
  }
};

}  // namespace netvc::soak
