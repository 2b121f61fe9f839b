// load/storm.h - connects that are closed as soon as the kernel has answered, always so many under
// way: what a server has to accept beside its work.
#pragma once

#include <cstdint>
#include <vector>

#include "load/options.h"

namespace netvc::bench {

class Storm {
 public:
  explicit Storm(const Options& options);
  ~Storm();
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

  // Never waits.
  void Turn();
  uint64_t connected() const { return connected_; }

 private:
  void Open(uint32_t index);

  const Options& options_;
  const int epoll_;
  std::vector<int> slots_;
  uint64_t started_ = 0;
  uint64_t connected_ = 0;
};

}  // namespace netvc::bench
