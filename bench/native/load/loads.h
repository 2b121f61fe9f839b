// load/loads.h - one function per kind of load. Each runs to its end and adds its
// figures to the report; whatever makes them worthless is Fatal.
#pragma once

#include "load/backend.h"
#include "load/options.h"
#include "support/cpu_meter.h"
#include "support/json.h"
#include "support/pattern.h"

namespace netvc::bench {

struct LoadContext {
  const Options& options;
  const Pattern& pattern;
  CpuMeter& meter;
  Backend& backend;
  JsonLine& json;
};

// Closed loop. echo: each answered message is replaced at once. pipe: a batch of
// `outstanding` messages leaves in one write when the batch before is answered.
void RunEcho(LoadContext& context);

// As many bytes as the sockets take; back through the server, or on to the sink.
void RunBulk(LoadContext& context);

// Connect, one message, its echo, close; `connections` of them at any time.
void RunChurn(LoadContext& context);

// Closed loop of keep-alive HTTP requests, `outstanding` of them pipelined on each connection.
void RunHttp(LoadContext& context);

// Opens `connections`, leaves them alone, then one message each: memory and CPU.
void RunIdle(LoadContext& context);

}  // namespace netvc::bench
