// net/net_thread.h - public to the next layers.
//
// NetThread: a native thread that does nothing but turns of its own NetHandler. SIGPIPE and the
// process's asynchronous signals are blocked on it.
// NetThreadPool: n of them, with the round-robin choice for new connections (AC-3).
//
// Owner: whoever created the pool; stop() (idempotent, also in the destructor) shuts the handlers
// down on their own threads and joins. Threads: the constructor, start and stop on one thread;
// next() from any.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/net_handler.h"

namespace netvc {

class NetThread {
 public:
  NetThread() = default;
  ~NetThread() { stop(); }

  /// 0 or an errno value; the handler accepts posts from then on.
  int start(const std::string& name, int index = 0);
  void stop();
  /// The first half of stop(): the thread has shut its handler down and is gone.
  void join();
  NetHandler& handler() { return *handler_; }

 private:
  void run();
  NetHandler::Lent handler_ = NetHandler::lend();
  std::thread thread_;
  std::atomic<bool> bound_{
      false};              // the handler is the net thread's; release there, acquire in start()
  bool stopping_ = false;  // on the net thread
};

class NetThreadPool {
 public:
  ~NetThreadPool() { stop(); }

  int start(int threads);
  void stop();
  size_t size() const { return threads_.size(); }
  NetHandler& handler(size_t i) { return threads_[i]->handler(); }
  NetHandler& next() {
    return handler(cursor_.fetch_add(1, std::memory_order_relaxed) % threads_.size());
  }

 private:
  std::vector<std::unique_ptr<NetThread>> threads_;
  std::atomic<size_t> cursor_{0};  // a statistic, orders nothing
};

}  // namespace netvc
