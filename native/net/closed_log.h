// net/closed_log.h - public to the next layers.
//
// ClosedLog: the last connections of a net thread that are gone, for operators. Owner: the handler.
// Threads: the handler's.
#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "base/versioned_pool.h"
#include "net/address.h"

namespace netvc {

struct ClosedEntry {
  VersionedId id = 0;
  Address remote;
  Nanos opened = 0;
  Nanos closed = 0;
  int64_t bytes_in = 0;
  int64_t bytes_out = 0;
  int code = 0;  // NetVConnection::failure()
  bool outbound = false;
};

class ClosedLog {
 public:
  static constexpr size_t kEntries = 64;

  void add(ClosedEntry e) {
    if (entries_.size() < kEntries) {
      entries_.push_back(std::move(e));
    } else {
      entries_[oldest_] = std::move(e);
      oldest_ = (oldest_ + 1) % kEntries;
    }
  }
  /// Oldest first.
  std::vector<ClosedEntry> entries() const {
    std::vector<ClosedEntry> list;
    for (size_t i = 0; i < entries_.size(); ++i)
      list.push_back(entries_[(oldest_ + i) % entries_.size()]);
    return list;
  }
  void clear() {
    entries_.clear();
    oldest_ = 0;
  }

 private:
  std::vector<ClosedEntry> entries_;
  size_t oldest_ = 0;
};

}  // namespace netvc
