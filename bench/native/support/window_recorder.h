// support/window_recorder.h - cuts a run into short windows and keeps the good ones.
//
// A virtual machine loses its CPUs for milliseconds at a time without being told,
// and meanwhile the clocks of the interrupted threads go on. Two signs give it away:
//   gap    the spinning generator itself did not run for longer than `gap`;
//   stall  work was outstanding, yet the server finished nothing for `stall`.
// A window with either is "dirty" and left out of the clean figures. (A stall may
// also be a long garbage collection of the server: leaving it out favours the
// server, and the overall figures, which contain every window, show it.)
//
// Call `Tick` at every event, `Finished` for every unit of work, in time order.
#pragma once

#include <cstdint>
#include <vector>

#include "support/cpu_meter.h"
#include "support/json.h"
#include "support/latency_histogram.h"

namespace netvc::bench {

struct WindowSettings {
  uint64_t warmup;    // nanoseconds before the first window
  uint64_t duration;  // of all windows together
  uint64_t window;
  uint64_t gap;
  uint64_t stall;
};

class WindowRecorder {
 public:
  // `core` is the CPU of the server for the busy-time figure, or -1.
  WindowRecorder(const WindowSettings& settings, CpuMeter& meter, int core);

  void Start(uint64_t now);
  void Tick(uint64_t now);
  void Finished(uint64_t now, uint64_t units);
  void Latency(uint64_t nanoseconds) { window_latency_.Record(nanoseconds); }

  // No: the measurement is over, stop sending and drain.
  bool Running() const { return stage_ != Stage::kDone; }

  // Adds windows, CPU, throughput and latency. `scale` is how many of the counted
  // units make one unit of the report (1e6 when bytes are counted and MB reported).
  void Report(JsonLine& json, double scale) const;

 private:
  enum class Stage { kWarmup, kMeasuring, kDone };
  struct Window {
    uint64_t nanoseconds;
    uint64_t units;
    CpuTimes cpu;
    bool clean;
  };
  struct Sum {
    double nanoseconds = 0, units = 0, cpu = 0, main = 0;
  };

  void OpenWindow(uint64_t now);
  void CloseWindow(uint64_t now);
  Sum Total(bool clean_only) const;
  double MedianCpu() const;

  const WindowSettings settings_;
  CpuMeter& meter_;
  const int core_;

  Stage stage_ = Stage::kWarmup;
  uint64_t stage_end_ = 0;
  uint64_t last_tick_ = 0;
  uint64_t last_finished_ = 0;
  uint64_t longest_gap_ = 0;

  uint64_t window_start_ = 0;
  uint64_t window_units_ = 0;
  bool window_clean_ = true;
  CpuTimes window_cpu_;
  LatencyHistogram window_latency_;

  std::vector<Window> windows_;
  LatencyHistogram clean_latency_;
  LatencyHistogram all_latency_;
  uint64_t core_busy_start_ = 0;
  uint64_t core_busy_ = 0;
  uint64_t preempted_start_ = 0;
  uint64_t preempted_ = 0;
};

}  // namespace netvc::bench
