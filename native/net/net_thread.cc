#include "net/net_thread.h"

#include <pthread.h>
#include <signal.h>

namespace netvc {

int NetThread::start(const std::string& name, int index) {
  if (const int error = handler_->open()) return error;
  handler_->index = index;
  // Signals belong to the process's own threads. The mask is inherited, so it is set around the
  // start.
  sigset_t all, old;
  ::sigfillset(&all);
  for (int fatal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGPROF})
    ::sigdelset(&all, fatal);
  ::pthread_sigmask(SIG_SETMASK, &all, &old);
  thread_ = std::thread([this, name] {
#ifdef __linux__
    ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
#endif
    run();
  });
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  // From the return on, in_thread() is false here: what the caller starts next is posted.
  bound_.wait(false, std::memory_order_acquire);
  return 0;
}

void NetThread::run() {
  handler_->bind_to_this_thread();
  bound_.store(true, std::memory_order_release);
  bound_.notify_one();
  while (!stopping_)
    handler_->turn(NetHandler::kForever);
  handler_->shut_down();
}

void NetThread::stop() {
  join();
  handler_->bind_to_this_thread();
  handler_->shut_down();  // what arrived by mail after the last turn
}

void NetThread::join() {
  if (!thread_.joinable()) return;
  const bool posted = handler_->post([this](NetHandler& h) {
    stopping_ = true;
    h.wake();  // the turn that runs this may be about to wait
  });
  NETVC_CHECK(posted);
  thread_.join();
}

int NetThreadPool::start(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.push_back(std::make_unique<NetThread>());
    if (const int error = threads_.back()->start("netvc-" + std::to_string(i), i)) {
      threads_.pop_back();
      stop();
      return error;
    }
  }
  return 0;
}

void NetThreadPool::stop() {
  for (auto& t : threads_)
    t->join();
  // Running the mail that is left may send more to one that is through already.
  for (bool more = true; more;) {
    more = false;
    for (auto& t : threads_) {
      more = more || t->handler().has_work();
      t->stop();
    }
  }
  for (auto& t : threads_)
    t->handler().retire();
}

}  // namespace netvc
