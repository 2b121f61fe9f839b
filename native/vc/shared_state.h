// vc/shared_state.h - internal to native/vc.
//
// The part of a NetVConnection that several threads change and that most connections never need.
// Made when first needed, freed with the connection. Nobody is told anything under the lock
// (SK-10).
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <string>

#include "vc/net_vconnection.h"

namespace netvc {

/// The answers that the messages of a connection will get, in the order of the messages.
class ExpectedAnswers {
 public:
  /// order grows from one to the next.
  void push(uint64_t order, NetVConnection::Pipelined answers) {
    list_.push_back({order, answers});
  }
  bool pop(NetVConnection::Pipelined* out) {
    while (!list_.empty()) {
      const Entry e = list_.front();
      list_.pop_front();
      if (e.answers.count == 0) {
        --taken_back_;
        continue;
      }
      *out = e.answers;
      return true;
    }
    return false;
  }
  /// Those of a message that will not leave. O(log n): places are given back by the dozen.
  void take_back(uint64_t order) {
    const auto e = std::lower_bound(list_.begin(), list_.end(), order,
                                    [](const Entry& a, uint64_t o) { return a.order < o; });
    if (e == list_.end() || e->order != order || e->answers.count == 0) return;
    e->answers.count = 0;
    if (++taken_back_ * 2 < list_.size()) return;
    std::erase_if(list_, [](const Entry& a) { return a.answers.count == 0; });
    taken_back_ = 0;
  }

 private:
  struct Entry {
    uint64_t order;
    NetVConnection::Pipelined answers;  // count 0: taken back
  };
  std::deque<Entry> list_;
  size_t taken_back_ = 0;
};

struct NetVConnection::Shared {
  std::mutex mutex;
  std::shared_ptr<const std::string> failure_text;  // null: nobody gave one
  std::map<uint64_t, Notice*> on_failed;  // by ticket, which is also the order of registration
  uint64_t last_ticket = 0;
  ExpectedAnswers answers;
};

}  // namespace netvc
