// Blocks and their memory must return to the start (INV-13). Declare a BlockCount first in a test
// case, so that it is destroyed last: everything that the test took must be given back by then.
// Blocks are counted over all threads, so join yours before.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>

#include "buffer/block_pool.h"

namespace netvc::test {

class BlockCount {
 public:
  BlockCount() = default;
  BlockCount(const BlockCount&) = delete;
  BlockCount& operator=(const BlockCount&) = delete;
  ~BlockCount() {
    CHECK_MESSAGE(data() == 0, "pieces of block memory leaked or given back twice");
    CHECK_MESSAGE(blocks() == 0, "blocks leaked or given back twice");
    CHECK_MESSAGE(bytes() == 0, "bytes of block memory leaked or given back twice");
  }

  /// Out of the pool since the start.
  int64_t data() const { return BlockPool::live_data() - data_; }
  int64_t blocks() const { return BlockPool::live_blocks() - blocks_; }
  int64_t bytes() const { return BlockPool::live_data_bytes() - bytes_; }

 private:
  int64_t data_ = BlockPool::live_data();
  int64_t blocks_ = BlockPool::live_blocks();
  int64_t bytes_ = BlockPool::live_data_bytes();
};

}  // namespace netvc::test
