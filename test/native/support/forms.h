// support/forms.h - for tests.
//
// Runner: one handler in either of the two forms that it has in production: driven by hand on the
// test's own thread, as the inline engine does, or turning on a net thread. What a test says of
// both it says once, through call() and until(); both run what they are given on the handler's
// thread. Declare what the handler tells things to before it.
#pragma once

#include <memory>
#include <string>

#include "support/net_threads.h"

namespace netvc::test {

enum class Form { kByHand, kNetThread };
inline constexpr Form kForms[] = {Form::kByHand, Form::kNetThread};
inline std::string name_of(Form f) { return f == Form::kByHand ? "by hand" : "net thread"; }

class Runner {
 public:
  explicit Runner(Form form) {
    if (form == Form::kNetThread) {
      threads_ = std::make_unique<NetThreads>(1);
    } else {
      loop_ = std::make_unique<Loop>();
      loop_->exact_lists = false;  // a connection that waits for memory is in no list
    }
  }
  template <class F>
  auto call(F f) {
    return loop_ ? f(loop_->h) : on((*threads_)[0], f);
  }
  template <class Done>
  bool until(Done done) {
    if (loop_) return loop_->until(done);
    return wait_for([&] { return call([&](NetHandler&) { return done(); }); });
  }

 private:
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<NetThreads> threads_;
};

/// One connection of a runner, and the plain socket it talks to.
struct VcOn {
  VcOn(Runner& runner, Family f) {
    FdPair p = fd_pair(f);
    fd = p.a.get();
    peer = RawPeer(std::move(p.b));
    vc = runner.call([&](NetHandler& h) { return adopt(h, std::move(p.a)); });
  }
  int fd;
  NetVConnection* vc;
  RawPeer peer;
};

}  // namespace netvc::test
