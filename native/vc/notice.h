// vc/notice.h - public to the next layers.
//
// Notice: somebody who is told once how something ended: a message that was written or lost, a
// connection that failed, a queue that drained. One notice is one report, never two (INV-10).
//
// Owner: whoever accepted it, from acceptance until tell(); tell() gives it to itself, and it frees
// itself. A call that refuses leaves it with the caller. Thread: tell() comes on any thread,
// without locks, and must not call into the connection that it is about.
#pragma once

#include <memory>
#include <string>

namespace netvc {

class Notice {
 public:
  /// Before tell(), when the connection failed for a reason that somebody gave in words.
  virtual void reason(std::shared_ptr<const std::string>) {}
  /// 0: it went well. Otherwise an errno value or a code of vc/codes.h.
  virtual void tell(int error) = 0;

 protected:
  virtual ~Notice() = default;
};

}  // namespace netvc
