// How a JavaScript thread leaves the shared net threads (binding/shared_pool.h), by Reactor.close()
// or because its env goes: they go on running, so everything that knows this reactor is taken away
// on its own thread, and this thread waits until each of them has done that. Net threads never wait
// for JavaScript, so the wait is a few turns long.
#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "binding/js_reactor.h"

namespace netvc {

void JsReactor::on_every_thread(const std::function<void(size_t)>& f) {
  if (is_inline()) return f(0);
  struct Barrier {
    std::mutex mutex;
    std::condition_variable done;
    size_t left;
  } barrier;
  barrier.left = size();
  for (size_t i = 0; i < size(); ++i) {
    const bool posted = handler(i).post([&barrier, &f, i](NetHandler&) {
      f(i);
      std::lock_guard<std::mutex> lock(barrier.mutex);
      if (--barrier.left == 0) barrier.done.notify_one();
    });
    NETVC_CHECK(posted);
  }
  std::unique_lock<std::mutex> lock(barrier.mutex);
  barrier.done.wait(lock, [&] { return barrier.left == 0; });
}

// On handler i's thread.
void JsReactor::leave_thread(size_t i) {
  JsPort& p = *ports_[i];
  NetHandler& h = handler(i);
  std::vector<VersionedId> tunneled;
  p.cancel_connects();
  for (NetEvent* e = h.first_open(); e;) {
    NetEvent* next = NetHandler::next_open(*e);
    if (e->is_connection()) {
      auto& vc = static_cast<NetVConnection&>(*e);
      if (vc.observer && vc.observer->belongs_to(this)) {
        if (seat_.on_exit == OnExit::kPark && vc.observer->goes_on_without(this)) {
          // A tunnel needs nobody.
        } else if (vc.observer != &p) {
          tunneled.push_back(vc.id());
        } else if (seat_.on_exit == OnExit::kPark) {
          hand_back(vc);
          shared_->park(vc);
        } else {
          vc.do_io_close();
        }
      }
    }
    e = next;
  }
  // Ending a tunnel closes two connections of the list, so not while walking along it.
  for (VersionedId id : tunneled) {
    VcPool::Handle vc = NetVConnection::pool().address(id);
    if (vc && vc->observer) vc->do_io_close();
  }
  h.cancel_turn_end(p);
}

// Ends the operations of a connection whose user changes, on its thread: what was read and not
// consumed is read again, what was to be written is a message.
void JsReactor::hand_back(NetVConnection& vc) {
  vc.suspend_timeouts();
  MIOBuffer* m = vc.read_vio.op == Op::kRead ? vc.read_vio.buffer.writer() : nullptr;
  if (IOBufferReader* r = m ? m->most_advanced_reader() : nullptr) {
    BlockChain bytes;
    for (iovec iov; r->read_avail() > 0;) {
      int64_t n = 0;
      if (r->iovecs(&iov, 1, r->read_avail(), &n) == 0) break;
      if (!bytes.append(iov.iov_base, iov.iov_len)) return vc.message_lost();
      NETVC_CHECK(r->consume(n));
    }
    vc.unread(bytes);
  }
  IOBufferReader* w = vc.write_vio.op == Op::kWrite ? vc.write_vio.buffer.reader() : nullptr;
  int64_t left = w ? std::min(w->read_avail(), vc.write_vio.ntodo()) : 0;
  BlockChain message;
  while (left > 0) {
    iovec iov;
    int64_t n = 0;
    if (w->iovecs(&iov, 1, left, &n) == 0) break;
    if (!message.append(iov.iov_base, iov.iov_len)) return vc.message_lost();
    NETVC_CHECK(w->consume(n));
    left -= n;
  }
  if (!message.empty() && !vc.queue_write(message) && vc.can_send()) vc.message_lost();
  vc.do_io_read(nullptr, 0, nullptr);
  vc.do_io_write(nullptr, 0, nullptr);
}

void JsReactor::detach() {
  shared_->remove(seat_);
  for (auto& [id, l] : listeners_)
    l->cancel();
  if (seat_.on_exit == OnExit::kClose) {
    for (auto& [id, t] : tunnels_)
      t->tunnel->abandon();
  }
  accept_pool_.stop();
  const auto all_told = [this] {
    for (auto& [id, l] : listeners_) {
      if (l->running.load(std::memory_order_acquire) > 0) return false;
    }
    for (auto& [id, t] : tunnels_) {
      if (!t->told.load(std::memory_order_acquire)) return false;
    }
    return true;
  };
  // A connection may be between two threads, and be met by neither: until nothing is left. Then
  // twice more, since what was told last may have been posted from one thread to another.
  for (int more = 2; more > 0;) {
    on_every_thread([this](size_t i) { leave_thread(i); });
    if (all_told()) --more;
  }
}

}  // namespace netvc
