// load/options.h - the command line of the generator.
#pragma once

#include <netinet/in.h>
#include <sys/types.h>

#include <cstdint>
#include <string>

#include "support/window_recorder.h"

namespace netvc::bench {

enum class Mode { kEcho, kPipe, kBulk, kChurn, kHttp, kIdle };
enum class BackendKind { kNone, kEcho, kSink };

struct Options {
  Mode mode = Mode::kEcho;
  std::string mode_name;
  sockaddr_in target{};
  uint32_t connections = 64;
  uint32_t outstanding = 1;
  uint32_t size = 64;
  double seconds = 1.0;
  double warmup = 0.3;
  double hold = 1.0;       // idle: how long the connections are left alone
  double window_ms = 0.0;  // 0: by mode
  double gap_ms = 0.0;
  double stall_ms = 0.0;
  bool one_way = false;  // bulk: towards a sink, not back
  bool reset = false;    // churn: close with RST instead of FIN
  uint32_t storm = 0;    // echo: so many connects are under way meanwhile

  pid_t server_pid = 0;
  int server_cpu = -1;
  int cpu = -1;

  BackendKind backend = BackendKind::kNone;
  uint16_t backend_port = 0;
  int backend_cpu = -1;  // -1: in the generator's thread, else in a thread of its own

  // Window length and thresholds, the mode's defaults filled in.
  WindowSettings Windows(bool exact_cpu_clock) const;
};

// Fatal, with the usage, when the arguments make no sense.
Options ParseOptions(int argc, char** argv);

}  // namespace netvc::bench
