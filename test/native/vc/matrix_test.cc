// INV-16: every API call is legal in every handler. For each event the call is made inside its
// first delivery; afterwards traffic goes on, the connection is closed, and nothing may be left,
// told late (INV-1), told twice (INV-2) or miscounted (INV-3).
#include <doctest/doctest.h>

#include <optional>

#include "support/accept_log.h"
#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"
#include "support/notices.h"
#include "support/tunnel_fixture.h"
#include "vc/remote.h"
#include "vc/trace.h"
#include "vc/write.h"

namespace netvc::test {

namespace {

// What a call may touch.
struct Stage {
  NetVConnection& vc;
  NetVConnection* other;  // another connection of the same handler
  Recorder& rec;
  Recorder& second;
  Buf& in;
  Buf& out;
  Notices& told;
  TunnelEnds& ends;  // tunnels tell it
  NetHandler& away;  // another handler
  size_t notices = 0;
  int tunnels = 0;

  Notice* notice() {
    ++notices;
    return told.notice();
  }
  void send_oob() {
    Notice* n = notice();
    if (vc.send_oob("!", 1, n) != 0) n->tell(ENOTSUP);
  }
};

struct NoLines final : TraceSink {
  void line(std::string_view) override {}
};

Ref<Tunnel> join(Stage& s, const TunnelOptions& options = {}) {
  Ref<Tunnel> t(new Tunnel(&s.ends, options));
  ++s.tunnels;
  Tunnel::join(t, s.vc.id(), s.other->id());
  return t;
}

// As a command, and with nothing armed: it is not for handlers (MG-2).
void move_away(Stage& s) {
  CHECK(remote::post(s.vc.id(), [to = &s.away](NetVConnection& vc) {
    if (vc.closed_now()) return;
    vc.do_io_read(nullptr, 0, nullptr);
    vc.do_io_write(nullptr, 0, nullptr);
    vc.move_to(*to, [](NetVConnection*) {});
  }));
}

struct Call {
  const char* name;
  void (*make)(Stage&);
};

const Call kCalls[] = {
    {"nothing", [](Stage&) {}},
    {"do_io_read again", [](Stage& s) { s.vc.do_io_read(&s.rec, VIO::kUnlimited, s.in.m); }},
    {"do_io_read by another", [](Stage& s) { s.vc.do_io_read(&s.second, 3, s.in.m); }},
    {"do_io_read cancel", [](Stage& s) { s.vc.do_io_read(nullptr, 0, nullptr); }},
    {"do_io_read without buffer", [](Stage& s) { s.vc.do_io_read(&s.rec, 10, nullptr); }},
    {"do_io_write again",
     [](Stage& s) {
       s.out.put("more");
       s.vc.do_io_write(&s.rec, VIO::kUnlimited, s.out.r);
     }},
    {"do_io_write by another",
     [](Stage& s) {
       s.out.put("more");
       s.vc.do_io_write(&s.second, 4, s.out.r);
     }},
    {"do_io_write cancel", [](Stage& s) { s.vc.do_io_write(nullptr, 0, nullptr); }},
    {"shutdown read", [](Stage& s) { s.vc.do_io_shutdown(Shutdown::kRead); }},
    {"shutdown write", [](Stage& s) { s.vc.do_io_shutdown(Shutdown::kWrite); }},
    {"shutdown both", [](Stage& s) { s.vc.do_io_shutdown(Shutdown::kReadWrite); }},
    {"close", [](Stage& s) { s.vc.do_io_close(); }},
    {"close twice",
     [](Stage& s) {
       s.vc.do_io_close();
       s.vc.do_io_close();
     }},
    {"abort", [](Stage& s) { s.vc.do_io_close(ECONNABORTED); }},
    {"close, then everything",
     [](Stage& s) {
       s.vc.do_io_close();
       s.vc.do_io_shutdown(Shutdown::kReadWrite);
       s.vc.reenable_re(&s.vc.read_vio);
       s.vc.reenable_re(&s.vc.write_vio);
       CHECK_EQ(s.vc.do_io_read(&s.rec, 1, s.in.m), nullptr);
       CHECK_EQ(s.vc.do_io_write(&s.rec, 1, s.out.r), nullptr);
       CHECK_FALSE(s.vc.queue_write("x", 1));
       CHECK_FALSE(s.vc.write_now("x", 1));
     }},
    {"queue, close",
     [](Stage& s) {
       s.vc.queue_write("message", 7);
       s.vc.do_io_close();
     }},
    {"close the other", [](Stage& s) { s.other->do_io_close(); }},
    {"reenable read", [](Stage& s) { s.vc.reenable(&s.vc.read_vio); }},
    {"reenable write", [](Stage& s) { s.vc.reenable(&s.vc.write_vio); }},
    {"reenable_re read", [](Stage& s) { s.vc.reenable_re(&s.vc.read_vio); }},
    {"reenable_re write",
     [](Stage& s) {
       s.out.put("now");
       s.vc.reenable_re(&s.vc.write_vio);
     }},
    {"set_continuation",
     [](Stage& s) {
       s.vc.read_vio.set_continuation(&s.second);
       s.vc.write_vio.set_continuation(&s.second);
     }},
    {"set_continuation null",
     [](Stage& s) {
       s.vc.read_vio.set_continuation(nullptr);
       s.vc.write_vio.set_continuation(nullptr);
     }},
    {"done",
     [](Stage& s) {
       s.vc.write_vio.done();
       s.vc.write_vio.reenable();
     }},
    {"lower nbytes", [](Stage& s) { s.vc.read_vio.nbytes = s.vc.write_vio.nbytes = 0; }},
    {"trap", [](Stage& s) { s.vc.trap_write_buffer_empty(true, Event::kWriteBufferEmpty); }},
    {"queue_write", [](Stage& s) { s.vc.queue_write("message", 7); }},
    {"write_now", [](Stage& s) { s.vc.write_now("message", 7); }},
    {"when_drained", [](Stage& s) { s.vc.when_drained(0, s.notice()); }},
    {"write by id", [](Stage& s) { write(s.vc.id(), "message", 7); }},
    {"write by id, close",
     [](Stage& s) {
       write(s.vc.id(), "message", 7);
       s.vc.do_io_close();
     }},
    {"fail",
     [](Stage& s) {
       NetVConnection::set_failed(NetVConnection::pool().address(s.vc.id()), ECANCELED, "test");
     }},
    {"close gracefully", [](Stage& s) { s.vc.close_gracefully(); }},
    {"close with reset", [](Stage& s) { s.vc.close_with_reset(); }},
    {"unread",
     [](Stage& s) {
       BlockChain bytes;
       CHECK(bytes.append("again", 5));
       s.vc.unread(bytes);
     }},
    {"consume",
     [](Stage& s) {
       s.in.take();
       s.out.take();
     }},
    {"drop buffers",
     [](Stage& s) {
       s.in = Buf();
       s.out = Buf();
     }},
    {"dealloc readers",
     [](Stage& s) {
       s.in.m->dealloc_all_readers();
       s.out.m->dealloc_all_readers();
     }},
    {"clear accessors",
     [](Stage& s) {
       s.vc.read_vio.buffer.clear();
       s.vc.write_vio.buffer.clear();
     }},
    {"inactivity timeout", [](Stage& s) { s.vc.set_inactivity_timeout(kMillisecond); }},
    {"active timeout", [](Stage& s) { s.vc.set_active_timeout(kMillisecond); }},
    {"timeouts, cancelled",
     [](Stage& s) {
       s.vc.set_inactivity_timeout(kMillisecond);
       s.vc.set_active_timeout(kMillisecond);
       s.vc.cancel_inactivity_timeout();
       s.vc.cancel_active_timeout();
     }},
    {"timeouts, close",
     [](Stage& s) {
       s.vc.set_inactivity_timeout(kMillisecond);
       s.vc.set_active_timeout(kMillisecond);
       s.vc.do_io_close();
     }},
    {"keep-alive queue", [](Stage& s) { CHECK(s.vc.add_to_keep_alive_queue()); }},
    {"both queues, and none",
     [](Stage& s) {
       CHECK(s.vc.add_to_active_queue());
       CHECK(s.vc.add_to_keep_alive_queue());
       s.vc.remove_from_queues();
     }},
    {"active queue, close",
     [](Stage& s) {
       CHECK(s.vc.add_to_active_queue());
       s.vc.do_io_close();
       CHECK_FALSE(s.vc.add_to_active_queue());
     }},
    {"send_oob", [](Stage& s) { s.send_oob(); }},
    {"send_oob, cancel",
     [](Stage& s) {
       s.send_oob();
       s.vc.cancel_oob();
     }},
    {"send_oob, close",
     [](Stage& s) {
       s.send_oob();
       s.vc.do_io_close();
     }},
    {"trace", [](Stage& s) { s.vc.set_origin_trace(std::make_shared<NoLines>()); }},
    {"trace, and no more",
     [](Stage& s) {
       s.vc.set_origin_trace(std::make_shared<NoLines>());
       s.vc.set_origin_trace(nullptr);
     }},
    {"move away", move_away},
    {"move away, close",
     [](Stage& s) {
       move_away(s);
       s.vc.do_io_close();
     }},
    {"move away with messages and timeouts",
     [](Stage& s) {
       s.vc.queue_write("message", 7);
       s.vc.set_inactivity_timeout(kMillisecond);
       move_away(s);
     }},
    {"tunnel", [](Stage& s) { join(s); }},
    {"tunnel with limits", [](Stage& s) { join(s, {.limits = {.inactivity = kMillisecond}}); }},
    {"tunnel, closed at once", [](Stage& s) { Tunnel::close(join(s), s.vc.id(), s.other->id()); }},
    {"tunnel, close",
     [](Stage& s) {
       join(s);
       s.vc.do_io_close();
     }},
    {"apply_options", [](Stage& s) { s.vc.apply_options({}); }},
    {"get_data",
     [](Stage& s) {
       VIO* v = nullptr;
       s.vc.get_data(kDataReadVio, &v);
     }},
};

enum class When {
  kReadReady,
  kReadComplete,
  kWriteReady,
  kWriteComplete,
  kWriteBufferEmpty,
  kEos,
  kError,
  kInactivityTimeout,
  kActiveTimeout,
  kAccept,
  kOpen
};

std::string name_of(When w) {
  static const char* const names[] = {"RR",    "RC", "WR", "WC",     "WBE", "EOS",
                                      "ERROR", "IT", "AT", "ACCEPT", "OPEN"};
  return names[static_cast<int>(w)];
}

Event event_of(When w) {
  switch (w) {
    case When::kReadReady:
      return Event::kReadReady;
    case When::kReadComplete:
      return Event::kReadComplete;
    case When::kWriteReady:
      return Event::kWriteReady;
    case When::kWriteComplete:
      return Event::kWriteComplete;
    case When::kWriteBufferEmpty:
      return Event::kWriteBufferEmpty;
    case When::kEos:
      return Event::kEos;
    case When::kInactivityTimeout:
      return Event::kInactivityTimeout;
    case When::kActiveTimeout:
      return Event::kActiveTimeout;
    default:
      return Event::kError;
  }
}

void one(When when, const Call& call, Family f) {
  CAPTURE(name_of(when));
  CAPTURE(std::string(call.name));
  CAPTURE(netvc::test::name_of(f));
  LeakCheck leaks;
  std::optional<Faults> faults;
  Recorder rec, second;
  Notices told;
  TunnelEnds ends;
  Buf in(kIndexLarge, 4096), out(kIndexLarge, 4096);
  Loop loop, away;
  VcAndPeer other(loop, Family::kUnix);
  bool made = false;
  VersionedId id = 0;
  size_t notices = 0;
  int tunnels = 0;
  const auto make = [&](NetVConnection& vc) {
    if (std::exchange(made, true)) return;
    id = vc.id();
    Stage stage{vc, other.vc, rec, second, in, out, told, ends, away.h};
    call.make(stage);
    notices = stage.notices;
    tunnels = stage.tunnels;
    if (vc.closed_now()) {
      rec.expect_silence();
      second.expect_silence();
    }
  };
  rec.react = [&](Event e, VIO* vio) {
    if (when != When::kAccept && when != When::kOpen && e == event_of(when)) {
      make(*static_cast<NetVConnection*>(vio->vc_server));
    }
  };

  RawPeer peer;
  const auto arm = [&](NetVConnection& vc) {
    id = vc.id();
    vc.do_io_read(&rec, when == When::kReadComplete ? 5 : VIO::kUnlimited, in.m);
    out.put("hello");
    vc.trap_write_buffer_empty(when == When::kWriteBufferEmpty, Event::kWriteBufferEmpty);
    vc.do_io_write(&rec, when == When::kWriteComplete ? 5 : VIO::kUnlimited, out.r);
    if (when == When::kInactivityTimeout) vc.set_inactivity_timeout(kMillisecond);
    if (when == When::kActiveTimeout) vc.set_active_timeout(kMillisecond);
    if (when == When::kError)
      faults.emplace().script(SocketOp::kRead, vc.get_socket(), {fail(ETIMEDOUT)});
  };
  std::unique_ptr<Server> server;
  ConnectLog connect;
  if (when == When::kAccept || when == When::kOpen) {
    server = std::make_unique<Server>(loop, Family::kTcp4);
    if (when == When::kAccept) {
      server->log.react = make;
      peer = dial(server->address());
    } else {
      connect.react = make;
      connect_s(loop.h, server->address(), {}, &connect);
    }
  } else {
    FdPair p = fd_pair(f);
    peer = RawPeer(std::move(p.b));
    arm(*adopt(loop.h, std::move(p.a)));
    ::send(peer.fd(), "world", 5, MSG_NOSIGNAL);
    if (when == When::kEos) peer.shutdown(SHUT_WR);
  }
  REQUIRE(loop.until([&] { return made; }));
  const auto turn = [&] {
    for (Loop* l : {&loop, &away})
      l->turn(2);
  };
  const auto settle = [&] {
    for (Loop* l : {&loop, &away, &loop})
      l->settle();
  };
  // Life goes on: more bytes, an end, and then somebody closes what is left.
  turn();
  if (peer.fd() >= 0) {
    ::send(peer.fd(), "again", 5, MSG_NOSIGNAL);
    turn();
    peer.take();
    peer.shutdown(SHUT_WR);
  }
  settle();
  if (VcPool::Handle vc = NetVConnection::pool().address(id)) {
    rec.expect_silence();
    second.expect_silence();
    vc->do_io_close();
  }
  settle();
  CHECK_EQ(told.codes.size(), notices);
  CHECK_EQ(ends.told, tunnels);
  if (server) Acceptor::cancel(server->acceptor);
}

}  // namespace

TEST_CASE("INV-16: every call in every handler") {
  for (When when : {When::kReadReady, When::kReadComplete, When::kWriteReady, When::kWriteComplete,
                    When::kWriteBufferEmpty, When::kEos, When::kError, When::kInactivityTimeout,
                    When::kActiveTimeout, When::kAccept, When::kOpen}) {
    for (const Call& call : kCalls) {
      one(when, call, Family::kTcp4);
      one(when, call, Family::kUnix);
    }
  }
}

}  // namespace netvc::test
