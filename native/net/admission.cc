#include "net/admission.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace netvc {

namespace {

constexpr double kBurst = 0.1;  // seconds of the rate that may come at once

// Never 0 for an address that is counted: an IPv4 address with a bit above it, or a /64.
uint64_t key_of(const Address& a) {
  if (a.family() == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(a.sa());
    return (uint64_t{1} << 32) | in->sin_addr.s_addr;
  }
  if (a.family() != AF_INET6) return 0;
  const auto* in6 = reinterpret_cast<const sockaddr_in6*>(a.sa());
  uint64_t key = 0;
  if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
    uint32_t v4 = 0;
    std::memcpy(&v4, in6->sin6_addr.s6_addr + 12, sizeof v4);
    return (uint64_t{1} << 32) | v4;
  }
  std::memcpy(&key, in6->sin6_addr.s6_addr, sizeof key);
  return key ? key : 1;  // ::1
}

}  // namespace

void Admission::Ticket::give_back() {
  if (!at_) return;
  Ref<Admission> at = std::move(at_);
  at->leave(std::exchange(address_, 0));
}

Admission::Verdict Admission::take_place(Nanos now, Nanos* again) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (limits_.connections > 0 && counts_.open >= limits_.connections) return Verdict::kFull;
  if (limits_.per_second > 0) {
    const auto burst = static_cast<Nanos>(kBurst * static_cast<double>(kSecond));
    const auto step = static_cast<Nanos>(static_cast<double>(kSecond) / limits_.per_second);
    const Nanos due = std::max(next_, now - burst);
    if (due > now) {
      *again = due;
      return Verdict::kTooFast;
    }
    next_ = due + step;
  }
  ++counts_.open;
  return Verdict::kAdmitted;
}

// As if the last place had not been taken.
void Admission::take_back() {
  std::lock_guard<std::mutex> lock(mutex_);
  --counts_.open;
  if (limits_.per_second > 0)
    next_ -= static_cast<Nanos>(static_cast<double>(kSecond) / limits_.per_second);
}

Admission::Verdict Admission::reserve(Nanos now, Ticket* ticket, Nanos* again) {
  const Verdict mine = take_place(now, again);
  if (mine != Verdict::kAdmitted) return mine;
  const Verdict theirs = parent_ ? parent_->take_place(now, again) : Verdict::kAdmitted;
  if (theirs != Verdict::kAdmitted) {
    take_back();
    return theirs;
  }
  ticket->at_ = Ref<Admission>(this);
  return Verdict::kAdmitted;
}

void Admission::somebody_waits(Verdict v) {
  std::lock_guard<std::mutex> lock(mutex_);
  ++(v == Verdict::kFull ? counts_.full : counts_.fast);
}

Admission::Verdict Admission::enter(const Address& peer, Ticket* ticket) {
  std::lock_guard<std::mutex> lock(mutex_);
  const uint64_t key = limits_.per_address > 0 ? key_of(peer) : 0;
  if (key == 0) return Verdict::kAdmitted;
  int64_t& open = by_address_[key];
  if (open >= limits_.per_address) {
    ++counts_.refused;
    return Verdict::kAddressFull;
  }
  ++open;
  ticket->address_ = key;
  return Verdict::kAdmitted;
}

void Admission::cancel(Ticket* ticket) {
  if (!ticket->at_) return;
  const Ref<Admission> at = std::move(ticket->at_);
  take_back();
  if (parent_) parent_->take_back();
}

void Admission::leave(uint64_t address) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    --counts_.open;
    if (address != 0) {
      const auto it = by_address_.find(address);
      if (--it->second == 0) by_address_.erase(it);
    }
  }
  if (parent_) parent_->leave(0);
}

Admission::Counts Admission::counts() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

void Admission::set_limits(const AdmissionLimits& limits) {
  std::lock_guard<std::mutex> lock(mutex_);
  limits_ = limits;
}

}  // namespace netvc
