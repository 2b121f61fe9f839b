// support/event_recorder.h - for tests.
//
// Recorder: a continuation that writes down what it is told and checks, on every event of every
// test, the grammar of INV-2 and the counts of INV-3:
//
//   per armed operation:  (READY | TIMEOUT)*  (COMPLETE | EOS | ERROR)?  TIMEOUT*
//   ndone never falls, never exceeds nbytes, and COMPLETE comes exactly when they are equal
//
// An operation that is opened again (nbytes raised after COMPLETE, VIO-1) is a new arming: call
// reopened(). A test puts its own reaction into `react`.
#pragma once

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "vc/net_vconnection.h"

namespace netvc::test {

inline const char* short_name(Event e) {
  switch (e) {
    case Event::kReadReady:
      return "RR";
    case Event::kWriteReady:
      return "WR";
    case Event::kReadComplete:
      return "RC";
    case Event::kWriteComplete:
      return "WC";
    case Event::kEos:
      return "EOS";
    case Event::kError:
      return "ERROR";
    case Event::kInactivityTimeout:
      return "IT";
    case Event::kActiveTimeout:
      return "AT";
    case Event::kWriteBufferEmpty:
      return "WBE";
  }
  return "?";
}

struct Told {
  Event event;
  Side side;
  int64_t ndone;
  int lerrno;
};

class Recorder : public Continuation {
 public:
  using React = std::function<void(Event, VIO*)>;

  Recorder() = default;
  explicit Recorder(React r) : react(std::move(r)) {}
  ~Recorder() override = default;

  int handle_event(Event e, VIO* vio) override {
    REQUIRE_MESSAGE(!closed_, "INV-1: ", std::string(short_name(e)), " after close");
    const Side side = vio->op == Op::kRead ? Side::kRead : Side::kWrite;
    check(e, *vio, state_[static_cast<int>(side)]);
    told.push_back({e, side, vio->ndone, vio->vc_server->lerrno});
    if (react) react(e, vio);
    return 0;
  }

  /// From now on any event is one too many (INV-1).
  void expect_silence() { closed_ = true; }
  void reopened(Side s) { state_[static_cast<int>(s)].terminal = false; }

  int count(Event e) const {
    int n = 0;
    for (const Told& t : told)
      n += t.event == e;
    return n;
  }
  int count(Event e, Side s) const {
    int n = 0;
    for (const Told& t : told)
      n += t.event == e && t.side == s;
    return n;
  }
  bool has(Event e) const { return count(e) > 0; }
  Event last() const { return told.empty() ? Event{} : told.back().event; }
  /// "RR RR RC": what was told, in order; with a side only that side's.
  std::string story() const {
    return join([](const Told&) { return true; });
  }
  std::string story(Side s) const {
    return join([s](const Told& t) { return t.side == s; });
  }
  /// READ_READY and WRITE_READY left out.
  std::string endings() const {
    return join([](const Told& t) { return is_terminal(t.event); });
  }
  std::string endings(Side s) const {
    return join([s](const Told& t) { return t.side == s && is_terminal(t.event); });
  }
  void forget() { told.clear(); }

  std::vector<Told> told;
  React react;

 private:
  struct Arming {
    const VIO* vio = nullptr;
    uint32_t generation = 0;
    int64_t ndone = 0;
    bool terminal = false;
  };

  template <class Keep>
  std::string join(Keep keep) const {
    std::string s;
    for (const Told& t : told) {
      if (keep(t)) s += (s.empty() ? "" : " ") + std::string(short_name(t.event));
    }
    return s;
  }

  void check(Event e, const VIO& vio, Arming& a) {
    INFO("event ", std::string(short_name(e)), " ndone ", vio.ndone, " nbytes ", vio.nbytes);
    if (a.vio != &vio || a.generation != vio.generation) a = {&vio, vio.generation, 0, false};
    const bool timeout = e == Event::kInactivityTimeout || e == Event::kActiveTimeout;
    if (timeout) return;
    CHECK_MESSAGE(!a.terminal, "INV-2: something after the terminal event");
    CHECK_MESSAGE(vio.ndone >= a.ndone, "INV-3: ndone fell");
    CHECK_MESSAGE(vio.ndone <= vio.nbytes, "INV-3: ndone exceeds nbytes");
    const bool complete = e == Event::kReadComplete || e == Event::kWriteComplete;
    CHECK_MESSAGE(complete == (vio.ndone == vio.nbytes && !is_end(e)),
                  "INV-3: COMPLETE iff all done");
    a.ndone = vio.ndone;
    a.terminal = is_terminal(e);
  }
  static bool is_end(Event e) { return e == Event::kEos || e == Event::kError; }

  Arming state_[2];
  bool closed_ = false;
};

}  // namespace netvc::test
