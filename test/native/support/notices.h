// Notices that remember what they were told.
#pragma once

#include <atomic>
#include <vector>

#include "vc/notice.h"

namespace netvc::test {

/// For notices told on the test's own thread, or read after the threads were joined.
struct Notices {
  std::vector<int> codes;

  Notice* notice() { return new Keep(*this); }

 private:
  struct Keep final : Notice {
    explicit Keep(Notices& t) : to(t) {}
    void tell(int error) override {
      to.codes.push_back(error);
      delete this;
    }
    Notices& to;
  };
};

}  // namespace netvc::test
