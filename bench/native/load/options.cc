#include "load/options.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>

#include "support/clock.h"
#include "support/fatal.h"
#include "support/sockets.h"

namespace netvc::bench {

namespace {

constexpr char kUsage[] =
    "usage: netvc_loadgen echo|pipe|bulk|churn|http|idle --target tcp://127.0.0.1:PORT\n"
    "  load:     --connections N  --outstanding N  --size BYTES  --seconds S  --warmup S\n"
    "            --direction one|both (bulk)  --close fin|rst (churn)  --hold S (idle)  --storm N "
    "(echo)\n"
    "  server:   --pid PID (its CPU and memory are measured)  --server-cpu N  --cpu N (ours)\n"
    "  windows:  --window-ms MS  --gap-ms MS  --stall-ms MS\n"
    "  backend:  --backend echo|sink  --backend-port N  --backend-cpu N";

constexpr double kMaxSeconds = 120;
constexpr uint32_t kMaxConnections = 19'000;
constexpr uint32_t kMaxMessage = 1 << 20;

struct ModeDefaults {
  double window_ms, gap_ms, stall_ms;
};

// A window must be long against the time the server needs for one round over all
// connections, and a threshold long against its longest regular silence.
ModeDefaults DefaultsOf(const Options& options) {
  switch (options.mode) {
    case Mode::kChurn:
      return {5, 2.5, 2.5};
    case Mode::kBulk:
      return {5, 2.5, 5};
    case Mode::kHttp:
      return {6, 2.5, 4};
    case Mode::kIdle:
      return {10, 2.5, 1000};
    case Mode::kEcho:
    case Mode::kPipe:
      break;
  }
  if (options.connections > 256) return {6, 2.5, 2.5};
  if (options.size > 4096 || options.mode == Mode::kPipe) return {4, 1.5, 1.5};
  return {2, 0.8, 0.8};
}

uint64_t Nanoseconds(double milliseconds) { return static_cast<uint64_t>(milliseconds * 1e6); }

[[noreturn]] void Usage(const char* problem, const std::string& detail) {
  Fatal("%s%s\n%s", problem, detail.c_str(), kUsage);
}

void SetMode(Options& options, const std::string& name) {
  static const std::map<std::string, Mode> modes = {{"echo", Mode::kEcho}, {"pipe", Mode::kPipe},
                                                    {"bulk", Mode::kBulk}, {"churn", Mode::kChurn},
                                                    {"http", Mode::kHttp}, {"idle", Mode::kIdle}};
  const auto found = modes.find(name);
  if (found == modes.end()) Usage("no such mode: ", name);
  options.mode = found->second;
  options.mode_name = name;
  if (options.mode == Mode::kPipe) options.outstanding = 16;
}

BackendKind BackendByName(const std::string& name) {
  if (name == "echo") return BackendKind::kEcho;
  if (name == "sink") return BackendKind::kSink;
  Usage("no such backend: ", name);
}

void CheckLimits(const Options& options) {
  if (options.target.sin_port == 0) Usage("--target is missing", "");
  if (options.connections == 0 || options.connections > kMaxConnections ||
      options.outstanding == 0 || options.size == 0 || options.size > kMaxMessage ||
      options.seconds + options.warmup + options.hold > kMaxSeconds) {
    Usage("an argument is out of range", "");
  }
  if (options.one_way && options.backend != BackendKind::kSink) {
    Usage("one-way bulk needs --backend sink behind a proxy", "");
  }
}

}  // namespace

WindowSettings Options::Windows(bool exact_cpu_clock) const {
  const ModeDefaults defaults = DefaultsOf(*this);
  double window = window_ms > 0 ? window_ms : defaults.window_ms;
  // The fallback clock advances with the scheduler tick, up to 10 ms.
  if (!exact_cpu_clock) window = std::max(window, 20.0);
  return {.warmup = Nanoseconds(warmup * 1e3),
          .duration = Nanoseconds(seconds * 1e3),
          .window = Nanoseconds(window),
          .gap = Nanoseconds(gap_ms > 0 ? gap_ms : defaults.gap_ms),
          .stall = Nanoseconds(stall_ms > 0 ? stall_ms : defaults.stall_ms)};
}

Options ParseOptions(int argc, char** argv) {
  if (argc < 2) Usage("no mode given", "");
  Options options;
  SetMode(options, argv[1]);

  using Text = const std::string&;
  const auto number = [](auto& field) {
    return [&field](Text text) {
      field =
          static_cast<std::remove_reference_t<decltype(field)>>(std::strtod(text.c_str(), nullptr));
    };
  };
  const std::map<std::string, std::function<void(Text)>> flags = {
      {"--target", [&](Text text) { options.target = ParseAddress(text); }},
      {"--connections", number(options.connections)},
      {"--outstanding", number(options.outstanding)},
      {"--size", number(options.size)},
      {"--seconds", number(options.seconds)},
      {"--warmup", number(options.warmup)},
      {"--hold", number(options.hold)},
      {"--window-ms", number(options.window_ms)},
      {"--gap-ms", number(options.gap_ms)},
      {"--stall-ms", number(options.stall_ms)},
      {"--direction", [&](Text text) { options.one_way = text == "one"; }},
      {"--storm", number(options.storm)},
      {"--close", [&](Text text) { options.reset = text == "rst"; }},
      {"--pid", number(options.server_pid)},
      {"--server-cpu", number(options.server_cpu)},
      {"--cpu", number(options.cpu)},
      {"--backend", [&](Text text) { options.backend = BackendByName(text); }},
      {"--backend-port", number(options.backend_port)},
      {"--backend-cpu", number(options.backend_cpu)},
  };
  for (int i = 2; i < argc; i += 2) {
    const auto flag = flags.find(argv[i]);
    if (flag == flags.end()) Usage("no such option: ", argv[i]);
    if (i + 1 == argc) Usage("a value is missing after ", argv[i]);
    flag->second(argv[i + 1]);
  }
  CheckLimits(options);
  return options;
}

}  // namespace netvc::bench
