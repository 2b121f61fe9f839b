// netvc_echo_epoll [--port N] - the hand-written C++ echo that netvc is held against.
// Ends on SIGTERM.

#include <cstdlib>
#include <cstring>

#include "support/echo_server.h"
#include "support/fatal.h"
#include "support/sockets.h"

int main(int argc, char** argv) {
  using namespace netvc::bench;
  int port = 0;
  for (int i = 1; i < argc; i += 2) {
    if (std::strcmp(argv[i], "--port") != 0 || i + 1 == argc)
      Fatal("usage: %s [--port N]", argv[0]);
    port = std::atoi(argv[i + 1]);
  }
  EchoServer server(static_cast<uint16_t>(port));
  AnnounceListening(server.listener());
  for (;;)
    server.Turn(-1);
}
