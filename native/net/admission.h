// net/admission.h - public to the next layers.
//
// Admission: how many connections may be open, in all and from one peer address, and how fast new
// ones may come. A listener asks before it accepts, so that what is too much stays in the kernel's
// queue, and nobody is accepted only to be dropped; except that who comes from an address that has
// too many is known only afterwards. A parent is asked too (a reactor, over its listeners).
//
// Every admitted connection holds a Ticket, and gives it back with its descriptor, so the count is
// that of descriptors on every path.
// Owner: reference counted. Threads: any; a mutex, taken when a connection comes and when it goes.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "base/clock.h"
#include "base/ref.h"
#include "net/address.h"

namespace netvc {

struct AdmissionLimits {
  int64_t connections = 0;  // 0: no limit, for all three
  int64_t per_address = 0;  // of one IPv4 address, or one IPv6 /64
  double per_second = 0;    // up to a tenth of it at once

  bool any() const { return connections > 0 || per_address > 0 || per_second > 0; }
};

class Admission : public RefCounted<Admission> {
 public:
  /// The last two are not of an Admission: net/throttle.h, and out of descriptors.
  enum class Verdict : uint8_t {
    kAdmitted = 0,
    kFull = 1,
    kAddressFull = 2,
    kTooFast = 3,
    kThrottled = 4,
    kNoDescriptor = 5,
  };
  static constexpr size_t kVerdicts = 6;

  /// Holds a place of one connection until it dies.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& o) noexcept : at_(std::move(o.at_)), address_(o.address_) {}
    Ticket& operator=(Ticket&& o) noexcept {
      std::swap(at_, o.at_);
      std::swap(address_, o.address_);
      return *this;
    }
    ~Ticket() { give_back(); }
    void give_back();

   private:
    friend class Admission;
    Ref<Admission> at_;
    uint64_t address_ = 0;  // 0: not counted by address
  };

  struct Counts {
    int64_t open = 0;
    int64_t refused = 0;  // from addresses that had too many
    int64_t full = 0;     // times that accepting waited for a connection to go
    int64_t fast = 0;     // times that accepting waited for time to pass
  };

  explicit Admission(const AdmissionLimits& limits, Ref<Admission> parent = {})
      : limits_(limits), parent_(std::move(parent)) {}

  /// A place for one connection, before it is accepted; give the ticket back if there is none. When
  /// it is kTooFast, *again is the time to ask again.
  Verdict reserve(Nanos now, Ticket* ticket, Nanos* again);
  /// There was no place, and somebody who wants it: counted.
  void somebody_waits(Verdict v);
  /// The reserved connection is from this peer: kAdmitted or kAddressFull.
  Verdict enter(const Address& peer, Ticket* ticket);
  /// Nobody was there to be accepted: it does not count against the rate either.
  void cancel(Ticket* ticket);

  Counts counts() const;
  void set_limits(const AdmissionLimits& limits);

 private:
  void leave(uint64_t address);
  Verdict take_place(Nanos now, Nanos* again);
  void take_back();

  mutable std::mutex mutex_;
  AdmissionLimits limits_;
  const Ref<Admission> parent_;
  Counts counts_;
  Nanos next_ = 0;  // when the next one is due at this rate, seen from a steady stream
  std::unordered_map<uint64_t, int64_t> by_address_;
};

}  // namespace netvc
