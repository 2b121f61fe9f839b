// netvc_loadgen - drives one server for a second or two, checks every byte, and
// prints one line of JSON. Single-threaded, and it spins: the server never pays for
// waking a sleeping peer. Usage: see load/options.cc; method: see bench/README.md.

#include <csignal>
#include <cstdio>
#include <string>

#include "load/backend.h"
#include "load/loads.h"
#include "load/options.h"
#include "support/cpu_meter.h"
#include "support/fatal.h"
#include "support/json.h"
#include "support/pattern.h"
#include "support/sockets.h"

int main(int argc, char** argv) {
  using namespace netvc::bench;
  signal(SIGPIPE, SIG_IGN);
  const Options options = ParseOptions(argc, argv);
  ReportFatalAsJson(options.mode_name.c_str());
  PinToCpu(options.cpu);

  const Pattern pattern;
  Backend backend(options, pattern);
  CpuMeter meter(options.server_pid);
  JsonLine json;
  json.Field("mode", options.mode_name).Field("ok", true);
  const uint64_t rss_before = meter.Present() ? ResidentKiB(options.server_pid) : 0;

  LoadContext context{options, pattern, meter, backend, json};
  switch (options.mode) {
    case Mode::kEcho:
    case Mode::kPipe:
      RunEcho(context);
      break;
    case Mode::kBulk:
      RunBulk(context);
      break;
    case Mode::kChurn:
      RunChurn(context);
      break;
    case Mode::kHttp:
      RunHttp(context);
      break;
    case Mode::kIdle:
      RunIdle(context);
      break;
  }

  if (meter.Present()) {
    json.Open("serverRssKiB")
        .Field("before", rss_before)
        .Field("after", ResidentKiB(options.server_pid))
        .Close();
  }
  std::fputs(json.Finish().c_str(), stdout);
  return 0;
}
