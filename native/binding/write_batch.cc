#include "binding/write_batch.h"

#include <utility>
#include <vector>

namespace netvc {

namespace {

struct Message {
  VersionedId id;
  size_t offset;
  size_t length;
};

// All messages for one net thread, with their bytes in one piece of memory.
class WriteTask final : public Task {
 public:
  explicit WriteTask(NetHandler* to) : to_(to) {}
  NetHandler* to() const { return to_; }

  void add(VersionedId id, const char* bytes, size_t n) {
    messages_.push_back({id, bytes_.size(), n});
    bytes_.insert(bytes_.end(), bytes, bytes + n);
  }

  void run(NetHandler& here) override {
    for (const Message& m : messages_) {
      VcPool::Handle vc = NetVConnection::pool().address(m.id);
      if (!vc) continue;
      if (vc->home() != &here) {
        forward(*vc, m);
        continue;
      }
      vc->queue_write(bytes_.data() + m.offset, m.length, true);
      vc->settle();
    }
  }

 private:
  // The connection has moved to another net thread meanwhile.
  void forward(NetVConnection& vc, const Message& m) {
    auto* task = new WriteTask(vc.home());
    task->add(m.id, bytes_.data() + m.offset, m.length);
    vc.home()->post(static_cast<Task*>(task));
  }

  NetHandler* to_;
  std::vector<Message> messages_;
  std::vector<char> bytes_;
};

}  // namespace

void WriteBatch::send(const int32_t* commands, uint32_t n, const char* bytes, const void* owner) {
  std::vector<WriteTask*> tasks;  // one per net thread; few
  NetHandler* queued_at = nullptr;
  const auto id_at = [commands](uint32_t i) {
    const int32_t* c = commands + size_t{i} * 4;
    return make_id(static_cast<uint32_t>(c[0]), static_cast<uint32_t>(c[1]));
  };
  // A connection that is written to once in the batch sends from where the bytes are; one that
  // comes again queues, so that all its messages leave in one writev.
  for (uint32_t i = 0; i < n; ++i) {
    if (NetVConnection* vc = NetVConnection::pool().peek(id_at(i), owner)) ++vc->batch_messages;
  }
  for (uint32_t i = 0; i < n; ++i) {
    const VersionedId id = id_at(i);
    const char* from = bytes + static_cast<uint32_t>(commands[size_t{i} * 4 + 2]);
    const auto length = static_cast<size_t>(commands[size_t{i} * 4 + 3]);
    if (NetVConnection* vc = NetVConnection::pool().peek(id, owner)) {
      // The last one of several finds the others queued and does not overtake them.
      if (vc->batch_messages-- == 1 && vc->queued_bytes() == 0) {
        vc->write_now(from, length);
      } else {
        if (queued_at && queued_at != vc->handler) queued_at->run_writes();
        vc->queue_write(from, length);
        queued_at = vc->handler;
      }
      continue;
    }
    VcPool::Handle vc = NetVConnection::pool().address(id);
    NetHandler* home = vc ? vc->home() : nullptr;
    if (!home) continue;
    WriteTask* task = nullptr;
    for (WriteTask* t : tasks) {
      if (t->to() == home) task = t;
    }
    if (!task) tasks.push_back(task = new WriteTask(home));
    vc->add_unsent(static_cast<int64_t>(length));  // before it is submitted (B-65)
    task->add(id, from, length);
  }
  for (WriteTask* t : tasks)
    t->to()->post(static_cast<Task*>(t));
  if (queued_at) queued_at->run_writes();
}

bool WriteBatch::post_one(VersionedId id, const char* bytes, size_t n) {
  VcPool::Handle vc = NetVConnection::pool().address(id);
  NetHandler* home = vc ? vc->home() : nullptr;
  if (!home) return false;
  auto* task = new WriteTask(home);
  vc->add_unsent(static_cast<int64_t>(n));
  task->add(id, bytes, n);
  home->post(static_cast<Task*>(task));
  return true;
}

}  // namespace netvc
