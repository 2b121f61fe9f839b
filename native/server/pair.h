// server/pair.h - public to the next layers.
//
// Pair: two connections joined inside the process, from their making until both have their users
// (Apache Traffic Server's PluginVCCore; PV-1..PV-4). The maker keeps the active end; the passive
// one is given to an acceptor, like a connection that was accepted.
//
// Owner: the caller's, on its stack; what it has made does not need it. An end that was never given
// to anybody is closed with it. Threads: the constructor and the destructor on any; connect() and
// connect_re() on the thread of active_at. The acceptor is called on the thread of passive_at: at
// once if that is this one, else soon.
#pragma once

#include "server/acceptor.h"
#include "vc/pair_end.h"

namespace netvc {

class Pair {
 public:
  /// Both ends exist from here on, as ids (is_open() says if there was memory for them).
  Pair(NetHandler& active_at, NetHandler& passive_at, AcceptHandler* acceptor,
       const PairOptions& options = {});
  ~Pair() { kill_no_connect(); }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  bool is_open() const { return active_ != nullptr; }

  /// NET_ACCEPT with the passive end for the acceptor; answers the active end, attached (PV-2).
  NetVConnection* connect();
  /// The same, then NET_OPEN with the active end, before it returns (PV-3).
  NetVConnection* connect_re(ConnectHandler* told);
  /// Only before connect: closes both; the acceptor hears ECANCELED (PV-4).
  void kill_no_connect();

 private:
  NetHandler& active_at_;
  NetHandler& passive_at_;
  AcceptHandler* acceptor_;
  NetVConnection* active_ = nullptr;
  NetVConnection* passive_ = nullptr;
};

}  // namespace netvc
