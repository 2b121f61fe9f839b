#include "binding/shared_pool.h"

#include <algorithm>

namespace netvc {

namespace {

std::mutex the_pool_mutex;
SharedPool* the_pool = nullptr;

}  // namespace

SharedPool::Attached SharedPool::attach(int threads, int* error) {
  std::lock_guard<std::mutex> lock(the_pool_mutex);
  if (!the_pool) {
    auto* pool = new SharedPool();
    if ((*error = pool->threads.start(threads)) != 0) {
      delete pool;
      return nullptr;
    }
    the_pool = pool;
  }
  ++the_pool->attached_;
  return Attached(the_pool);
}

void SharedPool::detach() {
  {
    std::lock_guard<std::mutex> lock(the_pool_mutex);
    if (--attached_ > 0) return;
    the_pool = nullptr;
  }
  threads.stop();
  delete this;
}

void SharedPool::add(Seat& seat) {
  std::lock_guard<std::mutex> lock(mutex_);
  seats_.push_back(&seat);
}

void SharedPool::remove(Seat& seat) {
  std::lock_guard<std::mutex> lock(mutex_);
  std::erase(seats_, &seat);
}

void SharedPool::set_registered(Seat& seat, bool on, OnExit on_exit) {
  std::lock_guard<std::mutex> lock(mutex_);
  seat.registered = on;
  seat.on_exit = on_exit;
}

// Under the lock. The newest that has registered, else the newest: others are of reactors that are
// closing, or of another copy of the package on that thread.
Seat* SharedPool::seat_of(uint32_t worker) {
  Seat* newest = nullptr;
  for (auto it = seats_.rbegin(); it != seats_.rend(); ++it) {
    if ((*it)->worker != worker) continue;
    if ((*it)->registered) return *it;
    if (!newest) newest = *it;
  }
  return newest;
}

Seat* SharedPool::find(uint32_t worker) {
  std::lock_guard<std::mutex> lock(mutex_);
  return seat_of(worker);
}

bool SharedPool::takes(uint32_t worker, OnExit* on_exit) {
  std::lock_guard<std::mutex> lock(mutex_);
  const Seat* s = seat_of(worker);
  if (!s || !s->registered) return false;
  *on_exit = s->on_exit;
  return true;
}

Seat* SharedPool::choose(Distribute how) {
  std::lock_guard<std::mutex> lock(mutex_);
  const size_t n = seats_.size();
  if (n == 0) return nullptr;
  if (how == Distribute::kRandom) {
    random_ ^= random_ << 13;
    random_ ^= random_ >> 17;
    random_ ^= random_ << 5;
    cursor_ = random_ % n;
  }
  // From the cursor on, so that seats that are equal take turns.
  Seat* best = nullptr;
  size_t at = 0;
  for (size_t i = 0; i < n; ++i) {
    Seat* s = seats_[(cursor_ + i) % n];
    if (!s->registered) continue;
    if (best && (how != Distribute::kLeastConnections ||
                 s->connections.load(std::memory_order_relaxed) >=
                     best->connections.load(std::memory_order_relaxed)))
      continue;
    best = s;
    at = i;
  }
  cursor_ = (cursor_ + at + 1) % n;
  return best;
}

void SharedPool::each(const std::function<void(const Seat&)>& f) {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const Seat* s : seats_)
    f(*s);
}

void SharedPool::park(NetVConnection& vc) {
  vc.observer = this;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    parked_.push_back(vc.id());
    for (Seat* s : seats_)
      s->port_at(*vc.handler).post_vc(kRecordParked, vc, 0);
  }
  vc.watch_for_end(true);
}

bool SharedPool::unpark(VersionedId id) {
  std::lock_guard<std::mutex> lock(mutex_);
  return std::erase(parked_, id) > 0;
}

std::vector<VersionedId> SharedPool::parked() {
  std::lock_guard<std::mutex> lock(mutex_);
  return parked_;
}

}  // namespace netvc
