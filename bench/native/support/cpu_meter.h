// support/cpu_meter.h - how much CPU another process uses, thread by thread.
//
// The counters are perf task clocks (nanoseconds, exact at any moment) where the
// kernel permits them, else /proc/PID/task/TID/schedstat, which for a thread that
// is running right now is only as fresh as the last scheduler tick. `Exact` says
// which, so that the caller can use longer windows with the second.
//
// On loopback the kernel's receive path runs on the CPU and in the context of the
// sender, so these figures contain the TCP work of the server's own sends.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

namespace netvc::bench {

struct CpuTimes {
  uint64_t all = 0;   // nanoseconds of all threads
  uint64_t main = 0;  // of these, the thread whose id is the process id: Node's JS thread
};

class CpuMeter {
 public:
  explicit CpuMeter(pid_t pid);  // 0: there is no server process to watch, all reads are 0
  ~CpuMeter();
  CpuMeter(const CpuMeter&) = delete;
  CpuMeter& operator=(const CpuMeter&) = delete;

  // Looks for threads that started since the last call. To be called between
  // windows only: a new thread enters with its whole past.
  void FindThreads();

  CpuTimes Read() const;

  bool Present() const { return pid_ != 0; }
  bool Exact() const { return exact_; }
  size_t ThreadCount() const { return threads_.size(); }

 private:
  struct Thread {
    pid_t tid;
    int fd;
  };
  uint64_t ReadThread(const Thread& thread) const;

  pid_t pid_;
  bool exact_ = true;
  std::vector<Thread> threads_;
};

// Busy nanoseconds (user, system, interrupts) of one CPU since boot, in steps of
// 10 ms; unlike thread clocks it contains softirqs that ran beside the threads.
uint64_t CoreBusyTime(int cpu);

// Nanoseconds the calling thread has waited for a CPU that other programs of this
// machine held. The host's thefts are not in it: nobody tells the guest about those.
uint64_t RunQueueWait();

// Resident memory in KiB, and open descriptors; 0 when the process is not readable.
uint64_t ResidentKiB(pid_t pid);
uint64_t OpenDescriptors(pid_t pid);

}  // namespace netvc::bench
