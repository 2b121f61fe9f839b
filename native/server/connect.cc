#include "server/connect.h"

#include <cerrno>

namespace netvc {

namespace {

// Opens, registers, and only then connects (CN-1, CN-5). Null after telling the failure.
NetVConnection* issue(NetHandler& h, const Address& to, const NetVCOptions& options,
                      ConnectHandler* told) {
  const auto failed_with = [&](ConnectError error) {
    h.counters.connect_failures.add();
    told->on_open_failed(error);
    return nullptr;
  };
  const auto failed = [&](int error) { return failed_with({error, error}); };
  if (Throttle::process().connects(monotonic_now())) {  // TH-4
    h.counters.connect_throttled.add();
    return failed_with({ENET_THROTTLING, 0});
  }
  Connection con;
  if (const int r = con.open(to, options); r < 0) return failed(-r);
  if (Throttle::process().check_fd(con.fd(), monotonic_now())) return failed(EMFILE);
  NetVConnection* vc = NetVConnection::create(std::move(con), VcContext::kOutbound);
  if (!vc) return failed(ENOMEM);
  if (const int error = vc->attach(h)) {
    vc->release();
    return failed(error);
  }
  if (const int r = vc->issue_connect(options); r < 0) {
    vc->release();
    return failed(-r);
  }
  return vc;
}

}  // namespace

ConnectAction connect_re(NetHandler& h, const Address& to, const NetVCOptions& options,
                         ConnectHandler* told) {
  NetVConnection* vc = issue(h, to, options, told);
  if (!vc) return {};
  h.counters.connects.add();
  const VersionedId id = vc->id();
  told->on_open(*vc);
  return ConnectAction(id);
}

ConnectAction connect_s(NetHandler& h, const Address& to, const NetVCOptions& options,
                        ConnectHandler* told, Nanos timeout) {
  NetVConnection* vc = issue(h, to, options, told);
  if (!vc) return {};
  const VersionedId id = vc->id();
  vc->wait_connected(told, timeout);
  return ConnectAction(id);
}

void connect_up(NetHandler& h, int fd, ConnectHandler* told) {
  const auto failed = [&](int error) { told->on_open_failed({error, error}); };
  Connection con;
  if (const int r = con.adopt(fd); r < 0) return failed(-r);
  NetVConnection* vc = NetVConnection::create(std::move(con), VcContext::kOutbound);
  if (!vc) {
    con.release();
    return failed(ENOMEM);
  }
  vc->read.triggered = vc->write.triggered = true;
  if (const int error = vc->attach(h)) {
    vc->give_back_descriptor();
    vc->release();
    return failed(error);
  }
  h.counters.connects.add();
  told->on_open(*vc);
}

void ConnectAction::cancel() {
  VcPool::Handle vc = NetVConnection::pool().address(id_);
  if (vc && vc->connecting()) vc->release();
}

}  // namespace netvc
