// support/sockets.h - the few socket calls all bench programs share.
//
// Every socket here has TCP_NODELAY. None sets TCP_CONGESTION: the Node peers
// cannot, so the algorithm is chosen for everybody at once, by the route (see
// README.md, "Congestion control"), or by nobody.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string>

namespace netvc::bench {

// Parses "tcp://127.0.0.1:4711" or "127.0.0.1:4711"; Fatal if it is neither.
sockaddr_in ParseAddress(const std::string& text);

// A non-blocking listener on 127.0.0.1; port 0 lets the kernel choose.
int ListenLoopback(uint16_t port);
uint16_t LocalPort(int fd);

// One connection from `listener`, non-blocking, or -1 when there is none left.
// Fatal when the process is out of descriptors: an edge-triggered listener that
// leaves a connection in the queue would hang the run instead.
int AcceptOne(int listener);

// Waits (bounded) until connected, then switches to non-blocking. Fatal on failure.
int ConnectNow(const sockaddr_in& address);

// Starts a non-blocking connect. `source_index` walks through 127.0.1.0/24 so that
// tens of thousands of short connections do not run out of local ports.
int ConnectLater(const sockaddr_in& address, uint32_t source_index);

// 0, or the errno a non-blocking connect ended with.
int PendingError(int fd);

// Closing sends RST instead of FIN.
void ResetOnClose(int fd);

void SetNoDelay(int fd);

// Pins the calling thread; a negative number leaves it alone.
void PinToCpu(int cpu);

// Prints "listening tcp://127.0.0.1:PORT pid PID", the line the harness waits for.
void AnnounceListening(int listener);

}  // namespace netvc::bench
