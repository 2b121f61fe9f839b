// support/throttle_setting.h - for tests.
//
// ThrottleSetting: configures the process's throttle while it exists.
#pragma once

#include "net/throttle.h"

namespace netvc::test {

class ThrottleSetting {
 public:
  explicit ThrottleSetting(int64_t connections) { Throttle::process().configure(connections); }
  ~ThrottleSetting() { Throttle::process().configure(-1); }
  ThrottleSetting(const ThrottleSetting&) = delete;
  ThrottleSetting& operator=(const ThrottleSetting&) = delete;
};

}  // namespace netvc::test
