#include "support/cpu_meter.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "support/clock.h"
#include "support/fatal.h"

namespace netvc::bench {

namespace {

int OpenTaskClock(pid_t tid) {
  perf_event_attr attributes{};
  attributes.type = PERF_TYPE_SOFTWARE;
  attributes.size = sizeof attributes;
  attributes.config = PERF_COUNT_SW_TASK_CLOCK;
  return static_cast<int>(
      syscall(SYS_perf_event_open, &attributes, tid, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

std::string TaskPath(pid_t pid, const char* rest) { return "/proc/" + std::to_string(pid) + rest; }

// Calls `visit` with the name of each entry of a directory except "." and "..".
template <typename Visit>
bool ForEachEntry(const std::string& path, Visit visit) {
  DIR* directory = opendir(path.c_str());
  if (directory == nullptr) return false;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') visit(entry->d_name);
  }
  closedir(directory);
  return true;
}

}  // namespace

CpuMeter::CpuMeter(pid_t pid) : pid_(pid) {
  if (pid_ == 0) return;
  const int probe = OpenTaskClock(pid_);
  exact_ = probe >= 0;
  if (exact_) close(probe);
  FindThreads();
}

CpuMeter::~CpuMeter() {
  for (const Thread& thread : threads_)
    close(thread.fd);
}

void CpuMeter::FindThreads() {
  if (pid_ == 0) return;
  const bool alive = ForEachEntry(TaskPath(pid_, "/task"), [this](const char* name) {
    const pid_t tid = std::atoi(name);
    const bool known = std::any_of(threads_.begin(), threads_.end(),
                                   [tid](const Thread& thread) { return thread.tid == tid; });
    if (known) return;
    const std::string path = TaskPath(pid_, "/task/") + name + "/schedstat";
    const int fd = exact_ ? OpenTaskClock(tid) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd >= 0) threads_.push_back({tid, fd});  // else it has just ended
  });
  if (!alive) Fatal("the server process %d is gone", pid_);
}

uint64_t CpuMeter::ReadThread(const Thread& thread) const {
  if (exact_) {
    uint64_t nanoseconds = 0;
    const ssize_t n = read(thread.fd, &nanoseconds, sizeof nanoseconds);
    return n == sizeof nanoseconds ? nanoseconds : 0;
  }
  char text[64] = {};
  if (pread(thread.fd, text, sizeof text - 1, 0) <= 0) return 0;
  return std::strtoull(text, nullptr, 10);
}

CpuTimes CpuMeter::Read() const {
  CpuTimes times;
  for (const Thread& thread : threads_) {
    const uint64_t used = ReadThread(thread);
    times.all += used;
    if (thread.tid == pid_) times.main = used;
  }
  return times;
}

uint64_t CoreBusyTime(int cpu) {
  FILE* stat = cpu < 0 ? nullptr : std::fopen("/proc/stat", "re");
  if (stat == nullptr) return 0;
  const std::string name = "cpu" + std::to_string(cpu) + " ";
  const uint64_t tick = kSecond / static_cast<uint64_t>(sysconf(_SC_CLK_TCK));
  uint64_t busy = 0;
  char line[256];
  while (std::fgets(line, sizeof line, stat) != nullptr) {
    if (std::strncmp(line, name.c_str(), name.size()) != 0) continue;
    uint64_t user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0;
    std::sscanf(line + name.size(),
                "%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                &user, &nice, &system, &idle, &wait, &irq, &softirq);
    busy = (user + nice + system + irq + softirq) * tick;
    break;
  }
  std::fclose(stat);
  return busy;
}

uint64_t RunQueueWait() {
  FILE* file = std::fopen("/proc/thread-self/schedstat", "re");
  if (file == nullptr) return 0;
  uint64_t ran = 0, waited = 0;
  const int fields = std::fscanf(file, "%" SCNu64 " %" SCNu64, &ran, &waited);
  std::fclose(file);
  return fields == 2 ? waited : 0;
}

uint64_t ResidentKiB(pid_t pid) {
  // smaps_rollup counts pages now; VmRSS in status lags behind by per-thread caches.
  FILE* file = std::fopen(TaskPath(pid, "/smaps_rollup").c_str(), "re");
  if (file == nullptr) file = std::fopen(TaskPath(pid, "/status").c_str(), "re");
  if (file == nullptr) return 0;
  uint64_t kib = 0;
  char line[256];
  while (kib == 0 && std::fgets(line, sizeof line, file) != nullptr) {
    if (std::sscanf(line, "Rss: %" SCNu64, &kib) != 1) std::sscanf(line, "VmRSS: %" SCNu64, &kib);
  }
  std::fclose(file);
  return kib;
}

uint64_t OpenDescriptors(pid_t pid) {
  uint64_t count = 0;
  ForEachEntry(TaskPath(pid, "/fd"), [&count](const char*) { ++count; });
  return count;
}

}  // namespace netvc::bench
