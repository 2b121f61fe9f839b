// binding/last_words.h - internal to native/binding.
//
// What write() has accepted leaves although its JavaScript thread ends in the same turn, by
// process.exit(), an uncaught exception or the end of a worker: as with node:net, where the kernel
// has the bytes when write() returns. What the kernel has no room for then is lost with the thread.
//
// A worker's env is cleaned up, which does it (EnvState::on_cleanup). For the main thread Node
// calls exit() without cleaning up; so it is done by a destructor of the shared object, which
// exit() runs on the thread that has called it. JavaScript cannot be called any more then, and
// libuv is not used. A process that is killed, or aborts, says nothing more.
//
// Threads: each state is entered and left by its own. The list is never destroyed, since net
// threads outlive static destruction.
#pragma once

namespace netvc {

class EnvState;

namespace last_words {

/// This thread's state is there, until leave().
void enter(EnvState& state);
void leave(EnvState& state);

}  // namespace last_words
}  // namespace netvc
