// support/no_memory.h - for tests.
//
// NoMemory: while it exists the system has no memory for what grows, and what the pools had in
// reserve is held here; on this thread everything that asks hears so (base/system_memory.h).
#pragma once

#include <utility>
#include <vector>

#include "base/system_memory.h"
#include "buffer/block_pool.h"
#include "buffer/small_memory.h"
#include "vc/net_vconnection.h"

namespace netvc::test {

class NoMemory {
 public:
  NoMemory() {
    SystemMemory::set_exhausted(true);
    for (int i = 0; i <= kBlockIndexes; ++i)  // the last: those of lent memory
      while (IOBufferData* d = BlockPool::take_data(i))
        data_.push_back(d);
    while (IOBufferBlock* b = BlockPool::take_block())
      blocks_.push_back(b);
    for (size_t n = SmallMemory::kStep; n <= SmallMemory::kMax; n += SmallMemory::kStep)
      while (void* p = SmallMemory::take(n))
        small_.emplace_back(p, n);
  }
  ~NoMemory() {
    SystemMemory::set_exhausted(false);
    for (IOBufferData* d : data_)
      BlockPool::give_data(d);
    for (IOBufferBlock* b : blocks_)
      BlockPool::give_block(b);
    for (const auto& [p, n] : small_)
      SmallMemory::give(p, n);
    for (NetVConnection* vc : connections_)
      vc->release();
  }
  NoMemory(const NoMemory&) = delete;
  NoMemory& operator=(const NoMemory&) = delete;

  /// From now on there is no place for a connection either.
  void fill_connections() {
    while (NetVConnection* vc = NetVConnection::create({}, VcContext::kOutbound))
      connections_.push_back(vc);
  }

 private:
  std::vector<IOBufferData*> data_;
  std::vector<IOBufferBlock*> blocks_;
  std::vector<std::pair<void*, size_t>> small_;
  std::vector<NetVConnection*> connections_;
};

}  // namespace netvc::test
