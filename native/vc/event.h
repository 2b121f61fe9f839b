// vc/event.h - public to the next layers.
//
// Events told to continuations, with Apache Traffic Server's names (spec chapter 1).
#pragma once

#include <cstdint>

namespace netvc {

enum class Event : uint8_t {
  kReadReady = 1,
  kWriteReady = 2,
  kReadComplete = 3,
  kWriteComplete = 4,
  kEos = 5,
  kError = 6,
  kInactivityTimeout = 7,
  kActiveTimeout = 8,
  kWriteBufferEmpty = 9,  // the usual value of trapWriteBufferEmpty besides kWriteReady
};

inline bool is_terminal(Event e) {
  return e == Event::kReadComplete || e == Event::kWriteComplete || e == Event::kEos ||
         e == Event::kError;
}

}  // namespace netvc
