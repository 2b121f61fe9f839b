#include "net/net_handler.h"

#include <sched.h>

#include <algorithm>
#include <climits>
#include <mutex>
#include <vector>

namespace netvc {

void NetEvent::on_poll(uint32_t flags) {
  constexpr uint32_t kBroken = kPollErr | kPollHup;
  poll_flags |= flags & (kBroken | kPollRdHup | kPollPri);
  if (flags & (kPollIn | kPollRdHup | kPollPri | kBroken)) {
    read.triggered = true;
    if (read.enabled) handler->reschedule(read);
  }
  if (flags & (kPollOut | kBroken)) {
    write.triggered = true;
    if (write.enabled) handler->reschedule(write);
  }
}

NetHandler::~NetHandler() {
  timers.cancel(settle_timer_);
  for (Task* t = mailbox_.drain(); t;) {
    Task* next = MpscList<Task>::next(*t);
    t->release();
    t = next;
  }
}

namespace {

std::mutex lending;
std::vector<NetHandler*>& returned() {
  static auto* list = new std::vector<NetHandler*>();
  return *list;
}

}  // namespace

NetHandler::Lent NetHandler::lend() {
  std::lock_guard<std::mutex> lock(lending);
  if (returned().empty()) return Lent(new NetHandler());
  NetHandler* h = returned().back();
  returned().pop_back();
  return Lent(h);
}

void NetHandler::Return::operator()(NetHandler* h) const {
  h->retire();
  std::lock_guard<std::mutex> lock(lending);
  returned().push_back(h);
}

void NetHandler::retire() {
  retired_.store(true, std::memory_order_seq_cst);
  while (posters_.load(std::memory_order_seq_cst) != 0)
    ::sched_yield();
  if (!poller_) return;  // never opened
  bind_to_this_thread();
  shut_down();
  timers.cancel(settle_timer_);
  poller_.reset();
}

int NetHandler::open() {
  counters.reset();
  index = 0;
  owner = this;
  retired_.store(false, std::memory_order_seq_cst);
  int error = 0;
  poller_ = Poller::create(&error);
  bind_to_this_thread();
  now_ = monotonic_now();
  queues.set_limits({});
  closed_log.clear();
  return error;
}

bool NetHandler::post_task(Task* task) {
  posters_.fetch_add(1, std::memory_order_seq_cst);
  const bool open = !retired_.load(std::memory_order_seq_cst);
  // Only the one who finds the list empty has to look: the others follow somebody who did.
  if (open && mailbox_.push(task) && sleeping_.exchange(false, std::memory_order_seq_cst)) wake();
  posters_.fetch_sub(1, std::memory_order_seq_cst);
  return open;
}

bool NetHandler::prepare_to_sleep() {
  sleeping_.store(true, std::memory_order_seq_cst);
  if (mailbox_.empty()) return true;
  sleeping_.store(false, std::memory_order_seq_cst);
  return false;
}

void NetHandler::turn(Nanos max_wait) {
  NETVC_ASSERT(in_thread());
  counters.turns.add();
  sleeping_.store(false, std::memory_order_relaxed);
  run_mailbox();

  int timeout_ms = 0;
  // A hook asked for by a task is for this turn, not for the one after the wait.
  if (max_wait > 0 && !has_work() && turn_end_.empty()) {
    const Nanos due = timers.next();
    const Nanos wait = due == TimerQueue::kNever
                           ? max_wait
                           : std::min(max_wait, std::max<Nanos>(0, due - monotonic_now()));
    // Rounded up: a timer is late by at most a millisecond and never early.
    timeout_ms =
        wait == kForever
            ? -1
            : static_cast<int>(std::min<Nanos>((wait + kMillisecond - 1) / kMillisecond, INT_MAX));
  }
  if (timeout_ms != 0 && !prepare_to_sleep()) timeout_ms = 0;
  const int n = poller_->wait(timeout_ms);
  if (timeout_ms != 0) sleeping_.store(false, std::memory_order_relaxed);
  if (n > 0) counters.poll_events.add(n);
  quiet_turn_ = n <= 0;
  now_ = monotonic_now();
  in_turn_ = true;
  run_mailbox();

  run_list(read_ready_);
  run_list(write_ready_);
  timers.run(now_);
  run_turn_end();
  in_turn_ = false;
  // A turn that may not wait belongs to a thread that will sleep in its own loop, with our poller
  // nested there: post() has to make nested_fd() readable from here on.
  if (max_wait == 0 && !prepare_to_sleep()) wake();
}

void NetHandler::run_mailbox() {
  for (Task* t = mailbox_.drain(); t;) {
    Task* next = MpscList<Task>::next(*t);
    t->run_and_release(*this);
    t = next;
  }
}

void NetHandler::run_turn_end() {
  for (size_t budget = turn_end_.size(); budget > 0; --budget)
    turn_end_.pop_front()->on_turn_end();
}

void NetHandler::settle_later(NetEvent& e) {
  settle_list_.push_back(e);
  if (!settle_timer_.armed()) timers.arm(settle_timer_, now() + kSettlePeriod);
}

void NetHandler::on_settle_timer(void* p) {
  auto* h = static_cast<NetHandler*>(p);
  for (size_t budget = h->settle_list_.size(); budget > 0; --budget) {
    NetEvent* e = h->settle_list_.pop_front();
    if (!e->settle()) h->settle_list_.push_back(*e);
  }
  if (!h->settle_list_.empty()) h->timers.arm(h->settle_timer_, h->now_ + kSettlePeriod);
}

void NetHandler::run_list(ReadyList& list) {
  for (size_t budget = list.size(); budget > 0; --budget) {
    Direction* d = list.pop_front();
    if (!d) break;
    if (d->enabled && d->triggered) d->owner->net_io(*d);
  }
}

int NetHandler::attach(NetEvent& e, int fd, Interest interest) {
  NETVC_ASSERT(in_thread());
  if (fd >= 0) {
    if (const int error = poller_->add(fd, &e, interest)) return error;
  }
  e.handler = this;
  if (open_list_.push_back(e) && e.is_connection()) counters.open.add();
  return 0;
}

void NetHandler::detach(NetEvent& e, int fd) {
  NETVC_ASSERT(in_thread());
  if (fd >= 0) poller_->remove(fd);
  read_ready_.remove(e.read);
  write_ready_.remove(e.write);
  settle_list_.remove(e);
  queues.remove(e);
  if (open_list_.remove(e) && e.is_connection()) counters.open.add(-1);
}

void NetHandler::reschedule(Direction& d) {
  NETVC_ASSERT(in_thread());
  if (d.enabled && d.triggered) {
    list_of(d).push_back(d);
  } else {
    list_of(d).remove(d);
  }
}

void NetHandler::shut_down() {
  run_mailbox();
  while (NetEvent* e = open_list_.front()) {
    e->shut_down();
    NETVC_CHECK(open_list_.front() != e);
  }
  run_turn_end();
}

}  // namespace netvc
