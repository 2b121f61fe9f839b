// binding/write_batch.h - internal to native/binding.
//
// The small messages of one batch of JavaScript, on their way to the connections: the end of
// auto-cork. On the inline engine they are queued and written at once, one writev per connection;
// towards net threads each goes to its connection's write list, and the thread is called once.
#pragma once

#include <cstdint>

#include "buffer/block_chain.h"
#include "vc/net_vconnection.h"

namespace netvc {

struct WriteBatch {
  /// commands: n times [slot, version, offset, length]; bytes: where the offsets point into; owner:
  /// the env, as the handlers of its inline engine have it. The bytes are copied, or sent, before
  /// it returns. Commands for connections that are gone are dropped: their users have been, or will
  /// be, told of the end.
  static void send(const int32_t* commands, uint32_t n, const char* bytes, const void* owner);
  /// One message to n connections, [slot, version] each: the bytes are copied once at most, and
  /// every connection that cannot send them at once refers to them. results: 0 or the code of the
  /// refusal (vc/write.h); how many have accepted it.
  static int fan_out(const int32_t* ids, uint32_t n, const char* bytes, size_t length,
                     int32_t* results, const void* owner);
};

}  // namespace netvc
