#include "server/pair.h"

#include <cerrno>
#include <utility>

#include "vc/remote.h"

namespace netvc {

Pair::Pair(NetHandler& active_at, NetHandler& passive_at, AcceptHandler* acceptor,
           const PairOptions& options)
    : active_at_(active_at), passive_at_(passive_at), acceptor_(acceptor) {
  PairEnd::create(options, &active_, &passive_);
}

NetVConnection* Pair::connect() {
  NETVC_CHECK(is_open() && active_at_.in_thread());
  NetVConnection* active = std::exchange(active_, nullptr);
  NetVConnection* passive = std::exchange(passive_, nullptr);
  active->start_here(active_at_);
  if (passive_at_.in_thread()) {
    passive->start_here(passive_at_);
    acceptor_->on_accept(*passive);
    return active;
  }
  const VersionedId id = passive->id();
  passive->start_at(passive_at_);
  remote::post(id, [acceptor = acceptor_](NetVConnection& vc) { acceptor->on_accept(vc); });
  return active;
}

NetVConnection* Pair::connect_re(ConnectHandler* told) {
  NetVConnection* active = connect();
  told->on_open(*active);
  return active;
}

void Pair::kill_no_connect() {
  if (!active_) return;
  std::exchange(passive_, nullptr)->release();
  std::exchange(active_, nullptr)->release();
  if (acceptor_) acceptor_->on_accept_error(ECANCELED);
}

}  // namespace netvc
