// vc/write.h - public to the next layers.
//
// Messages to a connection from any thread, by id (brpc's Socket::Write, SW-1..SW-14). Wait-free
// but for the allocation of the request and the wake-up of a sleeping net thread. One message is
// never interleaved with another; one thread's messages leave in the order of its calls.
//
// Both calls answer 0, and then the message's notice, if any, is told exactly once; or, at once and
// for ever, why it was refused, and then nothing has happened: the data and the notice are still
// the caller's (SW-1, SW-2). In this order:
//   EINVAL         no bytes
//   EOVERFLOW      pipelined_count is above NetVConnection::kMaxPipelined
//   ENET_CLOSED    the id is stale, or the connection was closed
//   its error      the connection has failed
//   ENET_SHUT, ENET_TUNNELED
//   EOVERCROWDED   max_unwritten() bytes wait already. Each thread may be one message beyond it.
#pragma once

#include "vc/net_vconnection.h"

namespace netvc {

struct WriteOptions {
  /// 0 when the kernel has all of it, else why it never will; on the connection's thread.
  Notice* told = nullptr;
  /// If nothing of it has left at this time (monotonic), it is taken back: ETIMEDOUT. 0: no limit.
  Nanos deadline = 0;
  uint32_t pipelined_count = 0;
  bool with_auth = false;
  bool ignore_overcrowded = false;
};

/// Copies n bytes.
int write(VersionedId id, const void* data, size_t n, const WriteOptions& options = {});
/// By reference; takes the blocks if it answers 0.
int write(VersionedId id, BlockChain& message, const WriteOptions& options = {});
/// Takes the message if it answers 0; it counts as bytes from when it has become some. One without
/// bytes is told EINVAL.
int write(VersionedId id, std::unique_ptr<UserMessage>& message, const WriteOptions& options = {});
/// The same for who has the handle already.
int write(VcPool::Handle vc, const void* data, size_t n, const WriteOptions& options = {});

}  // namespace netvc
