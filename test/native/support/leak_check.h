// What a test took it gives back: descriptors (INV-12), connections, messages and block memory
// (INV-13).
// Declare a LeakCheck first in a test case, so that it is destroyed last.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <thread>

#include <doctest/doctest.h>

#include "base/clock.h"
#include "support/counting.h"
#include "vc/net_vconnection.h"

namespace netvc::test {

inline int open_descriptors() {
  DIR* dir = ::opendir("/proc/self/fd");
  int n = 0;
  while (::readdir(dir))
    ++n;
  ::closedir(dir);
  return n - 3;  // ".", ".." and the directory itself
}

class LeakCheck {
 public:
  LeakCheck() = default;
  LeakCheck(const LeakCheck&) = delete;
  LeakCheck& operator=(const LeakCheck&) = delete;
  ~LeakCheck() {
    // The last handle of a connection may be dropped by another thread: a moment for it.
    const Nanos give_up = monotonic_now() + kSecond;
    while ((connections() || requests() || blocks_.blocks() || blocks_.data()) &&
           monotonic_now() < give_up) {
      std::this_thread::yield();
    }
    CHECK_MESSAGE(descriptors() == 0, "descriptors leaked: ", descriptors());
    CHECK_MESSAGE(connections() == 0, "connections leaked: ", connections());
    CHECK_MESSAGE(requests() == 0, "messages leaked: ", requests());
    CHECK_MESSAGE(sockets() == 0, "TH-1: sockets counted that are not there: ", sockets());
  }

  /// Taken since the start.
  int descriptors() const { return open_descriptors() - descriptors_; }
  int64_t connections() const { return NetVConnection::pool().live() - connections_; }
  int64_t requests() const { return WriteRequest::live() - requests_; }
  int64_t sockets() const { return Throttle::process().open() - sockets_; }
  const BlockCount& blocks() const { return blocks_; }

 private:
  BlockCount blocks_;
  int descriptors_ = open_descriptors();
  int64_t connections_ = NetVConnection::pool().live();
  int64_t requests_ = WriteRequest::live();
  int64_t sockets_ = Throttle::process().open();
};

}  // namespace netvc::test
