// netvc_fan_out: the floor of a fan-out, one send() per connection and nothing else.
//   netvc_fan_out <connections> <rounds> <command of the readers...>
// The readers (bench/peers/fan-out-readers.ts) get port and connections as further arguments. One
// line of JSON: CPU microseconds per delivery.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

constexpr int kWarmup = 10;

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Cpu {
  double user = 0, system = 0;

  static Cpu now() {
    rusage r{};
    ::getrusage(RUSAGE_SELF, &r);
    const auto micros = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_usec);
    };
    return {micros(r.ru_utime), micros(r.ru_stime)};
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: netvc_fan_out <connections> <rounds> <command...>\n");
    return 2;
  }
  const int connections = std::atoi(argv[1]);
  const int rounds = std::atoi(argv[2]);
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof at;
  auto* address = reinterpret_cast<sockaddr*>(&at);
  if (::bind(listener, address, length) != 0 || ::listen(listener, 4096) != 0) die("listen");
  ::getsockname(listener, address, &length);

  std::array<int, 2> told{};
  if (::pipe(told.data()) != 0) die("pipe");
  std::string port = std::to_string(ntohs(at.sin_port));
  const pid_t readers = ::fork();
  if (readers == 0) {
    std::vector<char*> command(argv + 3, argv + argc);
    command.push_back(port.data());
    command.push_back(argv[1]);
    command.push_back(nullptr);
    ::dup2(told[1], STDOUT_FILENO);
    ::close(told[0]);
    ::execvp(command[0], command.data());
    die("exec");
  }
  ::close(told[1]);

  std::vector<int> subscribers;
  for (int i = 0; i < connections; ++i) {
    const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) die("accept");
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    subscribers.push_back(fd);
  }
  Cpu sum;
  for (int round = 0; round < kWarmup + rounds; ++round) {
    std::array<char, 1024> message;
    for (size_t i = 0; i < message.size(); ++i)
      message[i] = static_cast<char>(static_cast<size_t>(round) * 7 + i * 13 + (i >> 8));
    const Cpu before = Cpu::now();
    for (const int fd : subscribers) {
      if (::send(fd, message.data(), message.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(message.size()))
        die("send");
    }
    char c;
    if (::read(told[0], &c, 1) != 1) die("the readers have gone");
    const Cpu after = Cpu::now();
    if (round < kWarmup) continue;
    sum.user += after.user - before.user;
    sum.system += after.system - before.system;
  }
  for (const int fd : subscribers)
    ::close(fd);
  int status = 0;
  ::waitpid(readers, &status, 0);
  const double n = static_cast<double>(rounds) * connections;
  std::printf("{\"cpuUs\":%.3f,\"systemUs\":%.3f}\n", (sum.user + sum.system) / n, sum.system / n);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
