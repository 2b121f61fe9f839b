// vc/write_request.h - public to the next layers.
//
// WriteRequest: one message on its way to a connection (brpc's WriteRequest). Bytes are either in
// the request's own memory, right behind it, so that a small message is one allocation, or blocks
// by reference, so that one buffer can be written to many connections.
//
// Owner: its maker until write() has accepted it; then the connection, which tells `told` exactly
// once and frees it. Threads: one at a time, handed over by WriteList.
#pragma once

#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/clock.h"
#include "buffer/block_chain.h"
#include "vc/notice.h"

namespace netvc {

/// A message that becomes bytes only when its turn has come (brpc's SocketMessage, SW-16): for what
/// is cheaper, or right, to build last.
class UserMessage {
 public:
  virtual ~UserMessage() = default;
  /// Once, on the connection's thread, before anything of it is sent; must not call into the
  /// connection. 0, or an errno value: then this message alone fails with it.
  virtual int append_to(BlockChain* out) = 0;
};

class WriteRequest {
 public:
  // Each make() answers null without memory, and has taken nothing then.
  /// Room for n bytes, to be filled at bytes() before it is submitted.
  static WriteRequest* make(size_t n);
  /// Copies.
  static WriteRequest* make(const void* data, size_t n);
  /// By reference: takes the blocks, and `message` is empty then.
  static WriteRequest* make(BlockChain& message);
  /// Without bytes until serialise(). Owns the message.
  static WriteRequest* make(std::unique_ptr<UserMessage>& message);
  void destroy();
  /// What a user message has to say becomes the bytes; 0, or why it has none.
  int serialise();

  char* bytes() { return reinterpret_cast<char*>(this + 1); }
  /// Bytes that have not been sent.
  int64_t size() const { return own_left() + chain_.size(); }
  bool untouched() const { return !touched_; }
  /// Something of it has left, elsewhere.
  void begin() { touched_ = true; }
  int iovecs(iovec* iov, int max, int64_t* attempted) const;
  /// n <= size().
  void consume(int64_t n);

  /// Nobody cares when exactly it has left: it can be joined with its neighbours.
  bool is_plain() const { return !told && deadline == 0 && !user_; }
  /// To a plain request: copies (false without memory, and nothing is appended); takes the blocks;
  /// takes r when r is small, and says so.
  [[nodiscard]] bool append(const void* data, size_t n) { return chain_.append(data, n); }
  void append(BlockChain& message) { chain_.append(message); }
  bool absorb(WriteRequest* r);

  Notice* told = nullptr;
  Nanos deadline = 0;            // 0: none. Untouched at this time, it is taken back (ETIMEDOUT)
  uint32_t pipelined_count = 0;  // answers that this message will get (F-134)
  uint32_t deadline_at = ~uint32_t{0};  // of the send queue's heap
  bool with_auth = false;
  uint64_t order = 0;  // among those that the connection has taken; 0: not yet
  std::atomic<WriteRequest*> next{nullptr};  // of the list that it is in
  WriteRequest* prev = nullptr;              // in the send queue only

  /// Requests that exist in this process.
  static int64_t live();

 private:
  explicit WriteRequest(size_t own) : own_(static_cast<uint32_t>(own)) {}
  int64_t own_left() const { return own_ - own_sent_; }

  uint32_t own_;
  uint32_t own_sent_ = 0;
  bool touched_ = false;
  std::unique_ptr<UserMessage> user_;
  BlockChain chain_;
};

}  // namespace netvc
