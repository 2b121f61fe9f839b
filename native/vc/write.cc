#include "vc/write.h"

#include <cerrno>
#include <utility>

namespace netvc {

namespace {

int refusal(const VcPool::Handle& vc, int64_t n, const WriteOptions& o) {
  if (n == 0) return EINVAL;
  if (o.pipelined_count > NetVConnection::kMaxPipelined) return EOVERFLOW;
  if (!vc || !vc->home()) return ENET_CLOSED;
  if (const int code = vc->write_refusal()) return code;
  return vc->overcrowded() && !o.ignore_overcrowded ? EOVERCROWDED : 0;
}

int submit(VcPool::Handle vc, WriteRequest* r, const WriteOptions& o) {
  if (!r) return ENOMEM;
  r->told = o.told;
  r->deadline = o.deadline;
  r->pipelined_count = o.pipelined_count;
  r->with_auth = o.with_auth;
  NetVConnection::submit(std::move(vc), r);
  return 0;
}

}  // namespace

int write(VcPool::Handle vc, const void* data, size_t n, const WriteOptions& options) {
  if (const int code = refusal(vc, static_cast<int64_t>(n), options)) return code;
  return submit(std::move(vc), WriteRequest::make(data, n), options);
}

int write(VersionedId id, const void* data, size_t n, const WriteOptions& options) {
  return write(NetVConnection::pool().address(id), data, n, options);
}

int write(VersionedId id, BlockChain& message, const WriteOptions& options) {
  VcPool::Handle vc = NetVConnection::pool().address(id);
  if (const int code = refusal(vc, message.size(), options)) return code;
  return submit(std::move(vc), WriteRequest::make(message), options);
}

int write(VersionedId id, std::unique_ptr<UserMessage>& message, const WriteOptions& options) {
  VcPool::Handle vc = NetVConnection::pool().address(id);
  if (const int code = refusal(vc, message ? 1 : 0, options)) return code;
  return submit(std::move(vc), WriteRequest::make(message), options);
}

}  // namespace netvc
