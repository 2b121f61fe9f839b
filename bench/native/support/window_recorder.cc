#include "support/window_recorder.h"

#include <algorithm>
#include <limits>

#include "support/clock.h"

namespace netvc::bench {

namespace {
constexpr double kNotMeasured = std::numeric_limits<double>::quiet_NaN();
}

WindowRecorder::WindowRecorder(const WindowSettings& settings, CpuMeter& meter, int core)
    : settings_(settings), meter_(meter), core_(core) {
  windows_.reserve(settings.duration / settings.window + 1);
}

void WindowRecorder::Start(uint64_t now) {
  stage_end_ = now + settings_.warmup;
  last_tick_ = last_finished_ = now;
}

void WindowRecorder::Tick(uint64_t now) {
  if (stage_ == Stage::kMeasuring) {
    const uint64_t gap = now - last_tick_;
    longest_gap_ = std::max(longest_gap_, gap);
    if (gap > settings_.gap) window_clean_ = false;
    if (now - last_finished_ > settings_.stall) {
      window_clean_ = false;
      if (last_finished_ < window_start_ && !windows_.empty()) windows_.back().clean = false;
    }
    if (now - window_start_ >= settings_.window) CloseWindow(now);
  }
  last_tick_ = now;
  if (now < stage_end_) return;

  if (stage_ == Stage::kWarmup) {
    meter_.FindThreads();
    core_busy_start_ = CoreBusyTime(core_);
    preempted_start_ = RunQueueWait();
    now = Now();  // finding threads took a moment
    last_tick_ = last_finished_ = now;
    stage_ = Stage::kMeasuring;
    stage_end_ = now + settings_.duration;
    OpenWindow(now);
  } else if (stage_ == Stage::kMeasuring) {
    core_busy_ = CoreBusyTime(core_) - core_busy_start_;
    preempted_ = RunQueueWait() - preempted_start_;
    stage_ = Stage::kDone;
  }
}

void WindowRecorder::Finished(uint64_t now, uint64_t units) {
  // Time without an answer is a stall even when the answer that ends it arrives
  // before the next Tick.
  if (now - last_finished_ > settings_.stall) window_clean_ = false;
  last_finished_ = now;
  window_units_ += units;
}

void WindowRecorder::OpenWindow(uint64_t now) {
  window_start_ = now;
  window_units_ = 0;
  window_clean_ = true;
  window_cpu_ = meter_.Read();
  window_latency_.Clear();
}

void WindowRecorder::CloseWindow(uint64_t now) {
  const CpuTimes cpu = meter_.Read();
  windows_.push_back({now - window_start_,
                      window_units_,
                      {cpu.all - window_cpu_.all, cpu.main - window_cpu_.main},
                      window_clean_ && window_units_ > 0});
  all_latency_.Merge(window_latency_);
  if (windows_.back().clean) clean_latency_.Merge(window_latency_);

  window_start_ = now;
  window_units_ = 0;
  window_clean_ = true;
  window_cpu_ = cpu;
  window_latency_.Clear();
}

WindowRecorder::Sum WindowRecorder::Total(bool clean_only) const {
  Sum sum;
  for (const Window& window : windows_) {
    if (clean_only && !window.clean) continue;
    sum.nanoseconds += static_cast<double>(window.nanoseconds);
    sum.units += static_cast<double>(window.units);
    sum.cpu += static_cast<double>(window.cpu.all);
    sum.main += static_cast<double>(window.cpu.main);
  }
  return sum;
}

double WindowRecorder::MedianCpu() const {
  std::vector<double> values;
  for (const Window& window : windows_) {
    if (window.clean) {
      values.push_back(static_cast<double>(window.cpu.all) / static_cast<double>(window.units));
    }
  }
  if (values.empty()) return kNotMeasured;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void WindowRecorder::Report(JsonLine& json, double scale) const {
  const Sum all = Total(false);
  const Sum clean = Total(true);
  const auto clean_count =
      std::count_if(windows_.begin(), windows_.end(), [](const Window& w) { return w.clean; });
  const bool cpu_known = meter_.Present();
  const auto micros_per_unit = [&](double nanoseconds, double units) {
    return cpu_known ? nanoseconds / 1000.0 / units * scale : kNotMeasured;
  };

  json.Field("units", all.units / scale)
      .Field("seconds", all.nanoseconds / 1e9)
      .Open("windows")
      .Field("ms", static_cast<double>(settings_.window) / 1e6)
      .Field("total", windows_.size())
      .Field("clean", clean_count)
      .Field("longestGapMs", static_cast<double>(longest_gap_) / 1e6)
      .Field("preemptedMs", static_cast<double>(preempted_) / 1e6)
      .Close();
  json.Open("cpuUs")
      .Field("source", meter_.Exact() ? "task-clock" : "schedstat")
      .Field("threads", meter_.ThreadCount())
      .Field("clean", micros_per_unit(clean.cpu, clean.units))
      .Field("median", micros_per_unit(MedianCpu(), 1.0))
      .Field("overall", micros_per_unit(all.cpu, all.units))
      .Field("main", micros_per_unit(clean.main, clean.units))
      .Field("coreBusy", core_ < 0 ? kNotMeasured
                                   : static_cast<double>(core_busy_) / 1000.0 / all.units * scale)
      .Close();
  json.Open("perSecond")
      .Field("clean", clean.units / scale / clean.nanoseconds * 1e9)
      .Field("overall", all.units / scale / all.nanoseconds * 1e9)
      .Close();
  json.Open("latencyUs")
      .Field("p50", clean_latency_.QuantileMicroseconds(0.50))
      .Field("p99", clean_latency_.QuantileMicroseconds(0.99))
      .Field("p99All", all_latency_.QuantileMicroseconds(0.99))
      .Field("maxAll", all_latency_.QuantileMicroseconds(1.0))
      .Close();
}

}  // namespace netvc::bench
