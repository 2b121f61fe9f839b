// vc/shared_state.h - internal to native/vc.
//
// The part of a NetVConnection that several threads change and that most connections never need.
// Made when first needed, freed with the connection. Nobody is told anything under the lock
// (SK-10).
#pragma once

#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "vc/net_vconnection.h"

namespace netvc {

struct NetVConnection::Shared {
  std::mutex mutex;
  std::shared_ptr<const std::string> failure_text;  // null: nobody gave one
  std::vector<Notice*> on_failed;
  std::deque<Pipelined> pipelined;
};

}  // namespace netvc
