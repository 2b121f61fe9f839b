#include "net/throttle.h"

#include <sys/resource.h>

#include <algorithm>

namespace netvc {

Throttle& Throttle::process() {
  static auto* throttle = new Throttle();  // outlives every thread
  return *throttle;
}

int64_t Throttle::fd_limit(Nanos now) {
  if (fixed_fd_limit_ > 0) return fixed_fd_limit_;
  const Nanos looked = looked_.load(std::memory_order_relaxed);
  if (looked == 0 || now - looked > kSecond) {
    rlimit r{};
    const bool known = ::getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur != RLIM_INFINITY;
    fd_limit_.store(known ? static_cast<int64_t>(r.rlim_cur) : INT32_MAX,
                    std::memory_order_relaxed);
    looked_.store(std::max<Nanos>(now, 1), std::memory_order_relaxed);
  }
  return fd_limit_.load(std::memory_order_relaxed);
}

// TH-2
int64_t Throttle::limit(Nanos now) {
  const int64_t configured = configured_.load(std::memory_order_relaxed);
  if (configured == 0) return 0;
  const int64_t descriptors = fd_limit(now);
  const auto part = static_cast<int64_t>(kReserved * static_cast<double>(descriptors));
  const int64_t possible = std::max<int64_t>(1, descriptors - std::min(kReserve, part));
  return configured < 0 ? possible : std::min(configured, possible);
}

bool Throttle::connects(Nanos now) {
  const int64_t most = limit(now);
  return most > 0 && (emergency(now) || open() >= most);
}

bool Throttle::accepts(Nanos now) {
  const int64_t most = limit(now);
  if (most == 0) return false;
  return emergency(now) || static_cast<int64_t>(static_cast<double>(open()) * kHeadroom) >= most;
}

// TH-3
bool Throttle::check_fd(int fd, Nanos now) {
  if (configured_.load(std::memory_order_relaxed) == 0) return false;
  const int64_t over = fd - (fd_limit(now) - kEmergency);
  if (over <= 0) return false;
  const Nanos until = now + over * over * kSecond;
  Nanos before = emergency_.load(std::memory_order_relaxed);
  while (before < until &&
         !emergency_.compare_exchange_weak(before, until, std::memory_order_relaxed)) {
  }
  return over > kEmergency - kHyper;
}

}  // namespace netvc
