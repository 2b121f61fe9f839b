// main() of the C++ tests. SIGPIPE is ignored as in Node: writing to a pipe without readers is an
// errno here, never a signal (AD-9).
#define DOCTEST_CONFIG_IMPLEMENT
#include <signal.h>

#include <doctest/doctest.h>

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  return doctest::Context(argc, argv).run();
}
