// support/invariants.h - for tests.
//
// What must hold of a handler between two turns (INV-7) and of one that has nothing to do (INV-6).
#pragma once

#include <poll.h>

#include <string>

#include <doctest/doctest.h>

#include "vc/net_vconnection.h"

namespace netvc::test {

template <class F>
void for_each_connection(NetHandler& h, F f) {
  for (NetEvent* e = h.first_open(); e; e = NetHandler::next_open(*e)) {
    if (e->is_connection()) f(static_cast<NetVConnection&>(*e));
  }
}

/// INV-7: enabled and triggered <=> in the ready list; nobody in the open list was forgotten.
inline void check_lists(NetHandler& h) {
  size_t n = 0;
  for (NetEvent* e = h.first_open(); e; e = NetHandler::next_open(*e)) {
    ++n;
    if (e->handler != &h) FAIL_CHECK("INV-7: attached elsewhere");
    for (const Direction* d : {&e->read, &e->write}) {
      if (h.is_scheduled(*d) == (d->enabled && d->triggered)) continue;
      FAIL_CHECK("INV-7: ", std::string(d->side == Side::kRead ? "read" : "write"), " enabled ",
                 d->enabled, " triggered ", d->triggered, " in list ", h.is_scheduled(*d));
    }
  }
  if (n != h.open_count()) FAIL_CHECK("INV-7: open_list size");
}

/// INV-6, on a handler that has settled: nobody waits for something that is there.
inline void check_no_lost_wakeup(NetHandler& h) {
  for_each_connection(h, [](NetVConnection& vc) {
    pollfd p{vc.get_socket(), POLLIN | POLLOUT | POLLRDHUP, 0};
    if (::poll(&p, 1, 0) < 0) return;
    const MIOBuffer* in = vc.read_vio.buffer.writer();
    const bool wants_read = vc.read_vio.enabled && vc.read_vio.ntodo() > 0 && in && in->has_room();
    CHECK_MESSAGE(!(wants_read && (p.revents & (POLLIN | POLLRDHUP))), "INV-6: lost read wake-up");
    const IOBufferReader* out = vc.write_vio.buffer.reader();
    const bool wants_write =
        (vc.write_vio.enabled && vc.write_vio.ntodo() > 0 && out && out->read_avail() > 0) ||
        vc.queued_bytes() > 0;
    CHECK_MESSAGE(!(wants_write && (p.revents & POLLOUT)), "INV-6: lost write wake-up");
  });
}

}  // namespace netvc::test
