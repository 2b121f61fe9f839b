#include "binding/write_batch.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include "vc/write.h"

namespace netvc {

namespace {

// Smaller messages are copied to each connection: a reference costs more.
constexpr size_t kShareFrom = 256;

VersionedId id_of(const int32_t* pair) {
  return make_id(static_cast<uint32_t>(pair[0]), static_cast<uint32_t>(pair[1]));
}

void lost(VersionedId id) {
  if (VcPool::Handle vc = NetVConnection::pool().address(id)) vc->message_lost();
}

}  // namespace

void WriteBatch::send(const int32_t* commands, uint32_t n, const char* bytes, const void* owner) {
  NetHandler* queued_at = nullptr;
  const auto id_at = [commands](uint32_t i) { return id_of(commands + size_t{i} * 4); };
  // A connection that is written to once in the batch sends from where the bytes are; one that
  // comes again queues, so that all its messages leave in one writev.
  for (uint32_t i = 0; i < n; ++i) {
    if (NetVConnection* vc = NetVConnection::pool().peek(id_at(i), owner)) ++vc->batch_messages;
  }
  for (uint32_t i = 0; i < n; ++i) {
    const VersionedId id = id_at(i);
    const char* from = bytes + static_cast<uint32_t>(commands[size_t{i} * 4 + 2]);
    const auto length = static_cast<size_t>(commands[size_t{i} * 4 + 3]);
    NetVConnection* vc = NetVConnection::pool().peek(id, owner);
    if (!vc) {
      // It was admitted when it was written.
      if (write(id, from, length, {.ignore_overcrowded = true}) == ENOMEM) lost(id);
      continue;
    }
    // The last one of several finds the others queued and does not overtake them.
    if (vc->batch_messages-- == 1 && vc->queued_bytes() == 0) {
      if (!vc->write_now(from, length) && vc->can_send()) lost(id);
    } else {
      if (queued_at && queued_at != vc->handler) queued_at->run_writes();
      if (!vc->queue_write(from, length) && vc->can_send()) lost(id);
      queued_at = vc->handler;
    }
  }
  if (queued_at) queued_at->run_writes();
}

int WriteBatch::fan_out(const int32_t* ids, uint32_t n, const char* bytes, size_t length,
                        int32_t* results, const void* owner) {
  Ref<IOBufferBlock> shared;
  // Made when the first connection cannot send it from where it lies.
  const auto refer = [&](size_t from, BlockChain& to) {
    if (!shared) {
      shared = IOBufferBlock::alloc(length <= index_to_size(kIndexMax) ? size_to_index(length)
                                                                       : -static_cast<int>(length));
      if (!shared) return;
      std::memcpy(shared->end(), bytes, length);
      shared->fill(length);
    }
    if (Ref<IOBufferBlock> part = shared->clone(from, length - from)) to.append(std::move(part));
  };
  int accepted = 0;
  for (uint32_t i = 0; i < n; ++i) {
    const VersionedId id = id_of(ids + size_t{i} * 2);
    NetVConnection* vc = length > 0 ? NetVConnection::pool().peek(id, owner) : nullptr;
    int code = 0;
    if (vc && !vc->write_refusal() && !vc->overcrowded() && vc->can_send()) {
      if (!vc->write_now(bytes, length, refer)) code = ENOMEM;
    } else if (length < kShareFrom) {
      code = write(id, bytes, length);
    } else {
      BlockChain message;
      refer(0, message);
      code = message.empty() && length > 0 ? ENOMEM : write(id, message);
    }
    results[i] = code;
    accepted += code == 0;
  }
  return accepted;
}

}  // namespace netvc
