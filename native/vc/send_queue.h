// vc/send_queue.h - internal to native/vc.
//
// SendQueue: the messages of one connection in the order in which they leave, on the connection's
// thread: those that its writer has taken from the WriteList, and those that its own thread has
// queued. Messages that nobody waits for share blocks, so that many small ones are one piece of one
// writev. Empty it holds nothing.
#pragma once

#include <sys/uio.h>

#include "base/indexed_heap.h"
#include "vc/write_request.h"

namespace netvc {

class SendQueue {
 public:
  SendQueue() = default;
  ~SendQueue() { NETVC_ASSERT(!head_); }
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;

  bool empty() const { return size_ == 0; }
  int64_t size() const { return size_; }
  /// Requests that it holds: messages may have been joined.
  int64_t requests() const { return requests_; }

  /// Copies. False without memory, and nothing is appended.
  [[nodiscard]] bool append(const void* data, size_t n);
  /// By reference; takes the blocks. False as above.
  [[nodiscard]] bool append(BlockChain& message);
  /// Takes the request, which may be gone then; its order in the queue.
  uint64_t append(WriteRequest* r);

  /// What is first is the rest of a message, whose beginning has left.
  void begin() { head_->begin(); }
  /// Bytes at the front that belong to a message that has left in part; some more, of messages that
  /// were joined with it. 0: the next byte begins a message.
  int64_t begun() const { return head_ && !head_->untouched() ? head_->size() : 0; }

  /// Pieces for one writev, of as many messages as fit, `most` bytes at most.
  int iovecs(iovec* iov, int max, int64_t most, int64_t* attempted) const;
  /// The first n bytes have left. Messages that are through by this and have a notice are answered,
  /// oldest first, linked by next; the caller tells and destroys them.
  WriteRequest* consume(int64_t n);
  /// Everything, in order; the queue is empty then.
  WriteRequest* take_all();
  /// The messages whose deadline has come and of which nothing has left, in order; O(log n) each.
  WriteRequest* take_expired(Nanos now);
  /// The earliest deadline of those of which nothing has left, 0 for none.
  Nanos next_deadline() const { return deadlines_.empty() ? 0 : deadlines_.first()->deadline; }

 private:
  WriteRequest* plain_tail();
  void link(WriteRequest* r);
  void unlink(WriteRequest* r);

  WriteRequest* head_ = nullptr;
  WriteRequest* tail_ = nullptr;
  int64_t size_ = 0;
  int64_t requests_ = 0;
  uint64_t last_order_ = 0;
  // Those that have one, until something of them has left.
  IndexedHeap<WriteRequest, &WriteRequest::deadline, &WriteRequest::deadline_at> deadlines_;
};

}  // namespace netvc
