// support/vc_conformance.h - for tests.
//
// The oracle of PV-31 as data: what two testers do with one pair of connected VConnections, and how
// each direction must end. Every kind of VConnection runs the same table.
//
// A tester puts `send` bytes, at most `chunk` per WRITE_READY, into a write of `nbytes_write`, and
// consumes `read` bytes of a read of `nbytes_read`. A finished direction is shut down; with both
// finished the tester closes. With `idle` its inactivity timeout is set as soon as it has nothing
// more to put.
#pragma once

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>
#include <vector>

#include "support/event_recorder.h"
#include "support/pattern.h"

namespace netvc::test {

struct TesterPlan {
  int64_t send, nbytes_write, read, nbytes_read, chunk;
  // How each direction may end, as words of short_name(); "any" ends with the other tester.
  const char* read_end;
  const char* write_end;
  Nanos idle = 0;
};

struct Scenario {
  const char* name;
  TesterPlan active, passive;
  bool only_pairs = false;
};

// werr: the peer closes with bytes unread. PluginVC says ERROR; a socket may have the reset as the
// first thing seen, which the write side tells as EOS (4.6, decision 1). Both mean "failed". There
// is more to write than two kernels take.
// itimeout: a socket has nothing enabled then, and its clock stands still (TO-7); that of a pair
// runs (PV-24).
inline const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all = {
      {"basic", {2000, 2000, 2000, 2000, 50, "RC", "WC"}, {2000, 2000, 2000, 2000, 50, "RC", "WC"}},
      {"basic2",
       {10001, 10001, 5001, 5001, 1024, "RC", "WC"},
       {5001, 5001, 10001, 10001, 1024, "RC", "WC"}},
      {"large",
       {1000000, 1000000, 500000, 500000, 8192, "RC", "WC"},
       {500000, 500000, 1000000, 1000000, 8192, "RC", "WC"}},
      {"larget",
       {1000000, 1000000, 500000, 500000, 40000, "RC", "WC"},
       {500000, 500000, 1000000, 1000000, 40000, "RC", "WC"}},
      {"eos", {4000, 4000, 10, 10, 8192, "RC", "WC"}, {10, 10, 6000, 6000, 8192, "EOS", "WC"}},
      {"werr",
       {100000000, 100000000, 10, 10, 129, "RC", "ERROR EOS"},
       {10, 10, 10, 10, 129, "RC", "WC"}},
      {"itimeout",
       {6000, 8000, 10, 10, 512, "RC", "IT", 20 * kMillisecond},
       {10, 10, 6000, 8000, 512, "EOS", "WC"},
       true},
      {"smallt", {400, 400, 500, 500, 1, "RC", "WC"}, {500, 500, 400, 400, 1, "RC", "WC"}},
      {"overflow",
       {1000000, 1000000, 50, 50, 1, "RC", "any"},
       {50, 50, 0, 35000, 1024, "any", "WC"}},
  };
  return all;
}

class Tester final : public Recorder {
 public:
  Tester(const TesterPlan& plan, uint64_t sends_from, uint64_t reads_from)
      : plan_(plan), sends_from_(sends_from), reads_from_(reads_from) {
    in_ = MIOBuffer::create_empty(kIndexLarge, 32768);
    reader_ = in_->alloc_reader();
    out_ = MIOBuffer::create_empty(kIndexLarge, 32768);
    out_reader_ = out_->alloc_reader();
    read_finished_ = any(plan.read_end);
    write_finished_ = any(plan.write_end);
  }
  ~Tester() override = default;

  void start(NetVConnection& vc) {
    vc_ = &vc;
    vc.do_io_write(this, plan_.nbytes_write, out_reader_);
    vc.do_io_read(this, plan_.nbytes_read, in_);
  }

  int handle_event(Event e, VIO* vio) override {
    Recorder::handle_event(e, vio);
    const bool reading = vio->op == Op::kRead;
    if (reading) consume();
    if (e == Event::kReadReady) {
      vio->reenable();
    } else if (e == Event::kWriteReady) {
      produce();
    } else {
      REQUIRE_MESSAGE((reading ? read_result : write_result).empty(), "INV-21: a second end");
      (reading ? read_result : write_result) = short_name(e);
      (reading ? read_finished_ : write_finished_) = true;
      vc_->do_io_shutdown(reading ? Shutdown::kRead : Shutdown::kWrite);
    }
    if (plan_.idle > 0 && read_finished_ && put_ == plan_.send && !std::exchange(idles_, true))
      vc_->set_inactivity_timeout(plan_.idle);
    if (read_finished_ && write_finished_) {
      expect_silence();
      vc_->do_io_close();
      done = true;
    }
    return 0;
  }

  /// After `done`. What was told besides READY, as a multiset, is that of the plan (INV-21); a pair
  /// has no kernel in between that could tell a reset first.
  void check(bool pair) {
    CHECK_FALSE(wrong_);
    if (!any(plan_.read_end) && !any(plan_.write_end)) {
      std::vector<std::string> ends;
      for (const Told& t : told) {
        if (t.event != Event::kReadReady && t.event != Event::kWriteReady)
          ends.emplace_back(short_name(t.event));
      }
      std::sort(ends.begin(), ends.end());
      std::vector<std::string> planned{read_result, write_result};
      std::sort(planned.begin(), planned.end());
      CHECK_EQ(ends, planned);
    }
    if (pair) CHECK_NE(write_result, "EOS");
    if (!any(plan_.read_end))
      CHECK_MESSAGE(allowed(plan_.read_end, read_result), "read ended with ", read_result);
    if (!any(plan_.write_end))
      CHECK_MESSAGE(allowed(plan_.write_end, write_result), "write ended with ", write_result);
    if (read_result == "RC") CHECK_EQ(consumed_, plan_.read);
    if (write_result == "WC") CHECK_EQ(put_, plan_.send);
  }

  std::atomic<bool> done{false};
  std::string read_result, write_result;

 private:
  static bool any(const char* end) { return std::string(end) == "any"; }
  static bool allowed(const char* ends, const std::string& result) {
    return !result.empty() &&
           (" " + std::string(ends) + " ").find(" " + result + " ") != std::string::npos;
  }
  void produce() {
    const int64_t n = std::min(plan_.send - put_, plan_.chunk);
    if (n <= 0) return;
    const std::string s =
        pattern(sends_from_ + static_cast<uint64_t>(put_), static_cast<size_t>(n));
    out_->write(s.data(), n);
    put_ += n;
    vc_->trap_write_buffer_empty(true);
    vc_->reenable(&vc_->write_vio);
  }
  void consume() {
    const int64_t n = std::min(plan_.read - consumed_, reader_->read_avail());
    if (n <= 0) return;
    std::string s(static_cast<size_t>(n), '\0');
    reader_->read(s.data(), n);
    const uint64_t from = reads_from_ + static_cast<uint64_t>(consumed_);
    wrong_ = wrong_ || matching_pattern(s.data(), from, s.size()) != s.size();
    consumed_ += n;
  }

  const TesterPlan plan_;
  uint64_t sends_from_, reads_from_;
  NetVConnection* vc_ = nullptr;
  Ref<MIOBuffer> in_, out_;
  IOBufferReader* reader_;
  IOBufferReader* out_reader_;
  int64_t put_ = 0, consumed_ = 0;
  bool read_finished_ = false, write_finished_ = false, wrong_ = false, idles_ = false;
};

}  // namespace netvc::test
