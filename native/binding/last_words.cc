#include "binding/last_words.h"

#include <algorithm>
#include <mutex>
#include <thread>
#include <vector>

#include "binding/env_state.h"

namespace netvc {

namespace {

struct Entry {
  EnvState* state;
  std::thread::id thread;
};

struct List {
  std::mutex mutex;
  std::vector<Entry> entries;
};

List& list() {
  static auto* l = new List();
  return *l;
}

// Not registered with exit(): the loader runs it, after all that was.
__attribute__((destructor)) void at_exit() {
  std::vector<EnvState*> mine;
  {
    List& l = list();
    std::lock_guard<std::mutex> lock(l.mutex);
    for (const Entry& e : l.entries) {
      if (e.thread == std::this_thread::get_id()) mine.push_back(e.state);
    }
  }
  for (EnvState* s : mine)
    s->send_last_words();
}

}  // namespace

void last_words::enter(EnvState& state) {
  List& l = list();
  std::lock_guard<std::mutex> lock(l.mutex);
  l.entries.push_back({&state, std::this_thread::get_id()});
}

void last_words::leave(EnvState& state) {
  List& l = list();
  std::lock_guard<std::mutex> lock(l.mutex);
  std::erase_if(l.entries, [&](const Entry& e) { return e.state == &state; });
}

}  // namespace netvc
