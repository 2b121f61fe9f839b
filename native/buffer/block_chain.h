// buffer/block_chain.h - public to the next layers.
//
// BlockChain: a byte queue made of blocks, for one thread: what a connection still has to send of
// the messages it was given. Empty it holds no block and costs four words; small messages share
// the tail block, so that many of them leave in one piece of one writev.
#pragma once

#include <sys/uio.h>

#include <cstdint>

#include "buffer/block.h"

namespace netvc {

class BlockChain {
 public:
  BlockChain() = default;
  ~BlockChain() { clear(); }
  BlockChain(const BlockChain&) = delete;
  BlockChain& operator=(const BlockChain&) = delete;

  int64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  /// Copies. False without memory, and nothing is appended.
  [[nodiscard]] bool append(const void* from, size_t n);
  /// By reference: the block's readable bytes.
  void append(Ref<IOBufferBlock> b);
  /// Moves everything of `other`, whose blocks are its alone, behind what is here.
  void append(BlockChain& other);
  int iovecs(iovec* iov, int max, int64_t* bytes) const;
  /// n <= size().
  void consume(int64_t n);
  void clear();

 private:
  IOBufferBlock* head_ = nullptr;  // counted; the rest hangs on it
  IOBufferBlock* tail_ = nullptr;
  size_t head_offset_ = 0;
  int64_t size_ = 0;
};

}  // namespace netvc
