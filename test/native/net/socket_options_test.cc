// Options of an open socket by name, and TCP_INFO (VC-10, F-085).
#include "net/socket_options.h"

#include <doctest/doctest.h>

#include <unistd.h>

#include <map>

#include "net/connection.h"
#include "net/socket_ops.h"
#include "support/leak_check.h"
#include "support/raw_peer.h"

namespace netvc::test {

namespace {

int get(int fd, SocketOption o, int family = AF_INET) {
  int value = -1;
  const int r = get_socket_option(fd, family, o, &value);
  return r < 0 ? r : value;
}

std::map<std::string, double> info_of(int fd) {
  std::map<std::string, double> found;
  for (const TcpInfoField& f : tcp_info(fd))
    found[f.name] = f.value;
  return found;
}

}  // namespace

TEST_CASE("VC-10: what is set is what the kernel answers") {
  LeakCheck leaks;
  FdPair p = fd_pair(Family::kTcp4);
  const int fd = p.a.get();
  for (const auto& [o, value] : {std::pair{SocketOption::kNoDelay, 0},
                                 {SocketOption::kKeepAlive, 1},
                                 {SocketOption::kKeepAliveIdle, 33},
                                 {SocketOption::kKeepAliveInterval, 7},
                                 {SocketOption::kKeepAliveCount, 3},
                                 {SocketOption::kTos, 0x10},
                                 {SocketOption::kNotSentLowat, 16384},
                                 {SocketOption::kUserTimeout, 5000},
                                 {SocketOption::kOutOfBandInline, 1}}) {
    CAPTURE(static_cast<int>(o));
    CHECK_NE(get(fd, o), value);
    CHECK_EQ(set_socket_option(fd, AF_INET, o, value), 0);
    CHECK_EQ(get(fd, o), value);
  }
  CHECK_EQ(set_socket_option(fd, AF_INET, SocketOption::kReceiveBufferSize, 40'000), 0);
  CHECK_EQ(get(fd, SocketOption::kReceiveBufferSize), 80'000);
  CHECK_EQ(set_socket_option(fd, AF_INET, SocketOption::kSendBufferSize, 50'000), 0);
  CHECK_EQ(get(fd, SocketOption::kSendBufferSize), 100'000);
}

TEST_CASE("VC-10: the traffic class of a v6 socket is its own option") {
  LeakCheck leaks;
  FdPair p = fd_pair(Family::kTcp6);
  CHECK_EQ(set_socket_option(p.a.get(), AF_INET6, SocketOption::kTos, 0x20), 0);
  int value = 0;
  socklen_t len = sizeof value;
  REQUIRE_EQ(::getsockopt(p.a.get(), IPPROTO_IPV6, IPV6_TCLASS, &value, &len), 0);
  CHECK_EQ(value, 0x20);
}

TEST_CASE("VC-10: what a socket does not have is an error, and nothing else") {
  LeakCheck leaks;
  FdPair p = fd_pair(Family::kUnix);
  const int fd = p.a.get();
  CHECK_EQ(set_socket_option(fd, AF_UNIX, SocketOption::kNoDelay, 1), -EOPNOTSUPP);
  CHECK_EQ(get(fd, SocketOption::kUserTimeout, AF_UNIX), -EOPNOTSUPP);
  CHECK_EQ(get(fd, SocketOption::kTos, AF_UNIX), -EOPNOTSUPP);
  CHECK_EQ(set_congestion_control(fd, "reno"), -EOPNOTSUPP);
  CHECK_EQ(congestion_control(fd), "");
  CHECK(tcp_info(fd).empty());
  CHECK_EQ(get(-1, SocketOption::kNoDelay), -EBADF);
}

TEST_CASE("VC-10 F-026: congestion control by name") {
  LeakCheck leaks;
  FdPair p = fd_pair(Family::kTcp4);
  CHECK_EQ(set_congestion_control(p.a.get(), "reno"), 0);
  CHECK_EQ(congestion_control(p.a.get()), "reno");
  CHECK_EQ(set_congestion_control(p.a.get(), "no-such-thing"), -ENOENT);
  CHECK_EQ(congestion_control(p.a.get()), "reno");
}

TEST_CASE("SO_BINDTODEVICE: by name; one that there is not, or cannot be, is an error") {
  const UniqueFd fd(sock::stream_socket(AF_INET));
  CHECK_EQ(bound_device(fd.get()), "");
  CHECK_EQ(bind_to_device(fd.get(), "no-such-if"), -ENODEV);
  CHECK_EQ(bind_to_device(fd.get(), "a-name-that-is-too-long"), -ENODEV);
  REQUIRE_EQ(bind_to_device(fd.get(), "lo"), 0);
  CHECK_EQ(bound_device(fd.get()), "lo");
  CHECK_EQ(bound_device(-1), "");
  NetVCOptions options;
  options.device = "lo";
  CHECK_EQ(set_device(fd.get(), AF_UNIX, options), -EOPNOTSUPP);
}

TEST_CASE("SO_PEERCRED: of unix sockets alone") {
  int fds[2];
  REQUIRE_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd one(fds[0]), other(fds[1]);
  PeerCredentials found;
  REQUIRE_EQ(peer_credentials(one.get(), &found), 0);
  CHECK_EQ(found.pid, ::getpid());
  CHECK_EQ(found.uid, int64_t{::geteuid()});
  CHECK_EQ(found.gid, int64_t{::getegid()});
  const UniqueFd tcp(sock::stream_socket(AF_INET));
  CHECK_EQ(peer_credentials(tcp.get(), &found), -EOPNOTSUPP);
  CHECK_EQ(peer_credentials(-1, &found), -EBADF);
}

TEST_CASE("TCP_INFO: the fields are where the kernel has them") {
  LeakCheck leaks;
  FdPair p = fd_pair(Family::kTcp4);
  RawPeer a(std::move(p.a)), b(std::move(p.b));
  a.send(std::string(5000, 'a'));
  CHECK_EQ(b.receive(5000).size(), 5000);
  b.send("answer");
  CHECK_EQ(a.receive(6), "answer");
  auto info = info_of(a.fd());
  ::tcp_info raw{};
  socklen_t len = sizeof raw;
  REQUIRE_EQ(::getsockopt(a.fd(), IPPROTO_TCP, TCP_INFO, &raw, &len), 0);
  CHECK_EQ(info.at("state"), TCP_ESTABLISHED);
  CHECK_EQ(info.at("state"), raw.tcpi_state);
  CHECK_EQ(info.at("options"), raw.tcpi_options);
  CHECK_EQ(info.at("rtoUs"), raw.tcpi_rto);
  CHECK_EQ(info.at("mss"), raw.tcpi_snd_mss);
  CHECK_EQ(info.at("pathMtu"), raw.tcpi_pmtu);
  CHECK_EQ(info.at("rttUs"), raw.tcpi_rtt);
  CHECK_EQ(info.at("rttVarUs"), raw.tcpi_rttvar);
  CHECK_EQ(info.at("slowStartThreshold"), raw.tcpi_snd_ssthresh);
  CHECK_EQ(info.at("congestionWindow"), raw.tcpi_snd_cwnd);
  CHECK_EQ(info.at("advertisedMss"), raw.tcpi_advmss);
  CHECK_EQ(info.at("receiveSpace"), raw.tcpi_rcv_space);
  CHECK_EQ(info.at("totalRetransmits"), raw.tcpi_total_retrans);
  CHECK_EQ(info.at("bytesAcked"), 5000 + 1);  // the SYN of the side that connected
  CHECK_EQ(info.at("bytesReceived"), 6);
  CHECK_EQ(info.at("bytesSent"), 5000);
  CHECK_EQ(info.at("bytesRetransmitted"), 0);
  CHECK_EQ(info.at("notSentBytes"), 0);
  CHECK_EQ(info.at("unacked"), 0);
  CHECK_GT(info.at("minRttUs"), 0);
  CHECK_LE(info.at("minRttUs"), 10e6);
}

}  // namespace netvc::test
