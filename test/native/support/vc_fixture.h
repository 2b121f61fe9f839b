// support/vc_fixture.h - for tests.
//
// VcFixture: what most tests of one connection use: it and the plain socket it talks to, system
// calls that can fail, somebody who is told, a buffer for each direction, and the count of all that
// is left.
#pragma once

#include "support/buf.h"
#include "support/event_recorder.h"
#include "support/fault_injector.h"
#include "support/leak_check.h"
#include "support/loop.h"

namespace netvc::test {

struct VcFixture {
  LeakCheck leaks;
  Faults faults;
  Loop loop;
  VcAndPeer c{loop, Family::kTcp4};
  Recorder rec;
  Buf in, out;

  int fd() const { return c->get_socket(); }
};

}  // namespace netvc::test
