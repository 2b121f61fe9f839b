#include "server/acceptor.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <mutex>
#include <set>

#include "net/socket_ops.h"

namespace netvc {

// --- the socket ---------------------------------------------------------------------------------

namespace {

// A socket file that nobody listens on any more: left by a process that died.
bool is_stale_socket(const Address& a) {
  struct stat st;
  if (::lstat(a.host().c_str(), &st) != 0 || !S_ISSOCK(st.st_mode)) return false;
  const int fd = sock::stream_socket(AF_UNIX);
  if (fd < 0) return false;
  UniqueFd probe(fd);
  return sock::connect(fd, a) == -ECONNREFUSED;
}

// Numbers that users gave away, and that listeners close.
class Taken {
 public:
  bool take(int fd) {
    std::lock_guard<std::mutex> lock(mutex_);
    return fds_.insert(fd).second;
  }
  void drop(int fd) {
    std::lock_guard<std::mutex> lock(mutex_);
    fds_.erase(fd);
  }
  bool has(int fd) {
    std::lock_guard<std::mutex> lock(mutex_);
    return fds_.count(fd) > 0;
  }

 private:
  std::mutex mutex_;
  std::set<int> fds_;
};

Taken& taken() {
  static auto* t = new Taken();  // outlives every thread
  return *t;
}

bool is_path(const Address& a) { return a.is_unix() && !a.host().empty() && a.host()[0] != '@'; }

}  // namespace

int ListenSocket::bind_new(const Address& address) {
  const int fd = sock::stream_socket(address.family());
  if (fd < 0) return -fd;
  fd_.reset(fd);
  if (address.is_ip()) sock::set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.family() == AF_INET6) {
    sock::set_int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, options_.ipv6_only ? 1 : 0);
  }
#ifdef SO_REUSEPORT
  if (options_.reuse_port) sock::set_int_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
#endif
  if (const int r = set_device(fd, address.family(), options_.connection); r < 0) return -r;
  if (options_.transparent) {
    if (const int r = set_transparent(fd, address.family()); r < 0) return -r;
  }
  if (::bind(fd, address.sa(), address.len()) != 0) {
    const int error = errno;
    if (error != EADDRINUSE || !is_path(address) || !is_stale_socket(address)) return error;
    ::unlink(address.host().c_str());
    if (::bind(fd, address.sa(), address.len()) != 0) return errno;
  }
  struct stat st;
  if (is_path(address) && ::lstat(address.host().c_str(), &st) == 0) {
    unlink_path_ = address.host();
    inode_ = st.st_ino;
  }
  return 0;
}

int ListenSocket::open(const Address& address, const AcceptOptions& options,
                       Ref<ListenSocket>* out) {
  Ref<ListenSocket> s(new ListenSocket());
  s->options_ = options;
  if (options.fd >= 0) {
    if (is_taken(options.fd)) return EBUSY;
    if (sock::socket_type(options.fd) != SOCK_STREAM) return ENOTSOCK;
    if (const int r = sock::set_nonblocking(options.fd); r < 0) return -r;
  } else if (const int error = s->bind_new(address)) {
    return error;
  }
  const int fd = options.fd >= 0 ? options.fd : s->fd();
  // Inherited by accepted sockets, and before listen, because of the window scale.
  set_buffer_size(fd, SO_RCVBUF, options.connection.recv_buffer_size);
  set_buffer_size(fd, SO_SNDBUF, options.connection.send_buffer_size);
#ifdef TCP_DEFER_ACCEPT
  if (options.defer_accept_s > 0)
    sock::set_int_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, options.defer_accept_s);
#endif
#ifdef TCP_FASTOPEN
  if (options.fast_open_queue > 0)
    sock::set_int_option(fd, IPPROTO_TCP, TCP_FASTOPEN, options.fast_open_queue);
#endif
  // Of the listener too: what the system refuses is told now, and not lost at each accept.
  if (!Address::local_of(fd, &s->address_)) return errno;
  const int family = s->address_.family();
  if (options.fd >= 0 && options.transparent) {
    if (const int r = set_transparent(fd, family); r < 0) return -r;
  }
  if (const int r = set_max_segment_size(fd, family, options.connection); r < 0) return -r;
  if (const int r = apply_options(fd, family, options.connection); r < 0) return -r;
  // The kernel caps the backlog, and chooses a port for who is not bound.
  if (::listen(fd, options.backlog > 0 ? options.backlog : 65535) != 0) return errno;
  if (!Address::local_of(fd, &s->address_)) return errno;
  if (options.fd >= 0) {
    if (!taken().take(options.fd)) return EBUSY;
    s->fd_.reset(options.fd);
  }
  *out = std::move(s);
  return 0;
}

bool ListenSocket::is_taken(int fd) { return taken().has(fd); }

ListenSocket::~ListenSocket() {
  if (options_.fd >= 0 && fd_.valid()) taken().drop(options_.fd);  // before the number is free
  // Unless somebody else has put something in its place meanwhile.
  struct stat st;
  if (unlink_path_.empty() || ::lstat(unlink_path_.c_str(), &st) != 0) return;
  if (S_ISSOCK(st.st_mode) && st.st_ino == inode_) ::unlink(unlink_path_.c_str());
}

// --- accepting ----------------------------------------------------------------------------------

namespace {

UniqueFd open_spare() { return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

}  // namespace

Acceptor::~Acceptor() = default;

void Acceptor::start(NetHandler& h, bool exclusive) {
  read.enabled = true;
  read.triggered = true;  // somebody may be waiting already
  const Interest interest = exclusive ? Interest::kAcceptExclusive : Interest::kAccept;
  if (const int error = h.attach(*this, socket_->fd(), interest)) {
    told_->on_accept_error(error);
    return call_ended();
  }
  self_ = Ref<Acceptor>(this);
  spare_ = open_spare();
  home_.store(&h, std::memory_order_seq_cst);
  if (cancelled_.load(std::memory_order_seq_cst)) return stop();
  update();
}

void Acceptor::resume(Ref<Acceptor> a, Until until) {
  uint32_t gate = kOpen;
  if (until == Until::kSomebodyCame) {
    if (++a->last_gate_ <= kAgain) a->last_gate_ = kAgain + 1;
    gate = a->last_gate_;
  }
  a->gate_.store(gate, std::memory_order_seq_cst);
  NetHandler* home = a->home_.load(std::memory_order_seq_cst);
  if (!home) return;
  if (home->in_thread()) return a->update();
  home->post([a](NetHandler&) { a->update(); });
}

// Behind whatever changes the gate or the pause.
void Acceptor::update() {
  if (!self_) return;
  read.enabled = gate_.load(std::memory_order_seq_cst) > kSpent && !pause_.armed();
  handler->reschedule(read);
}

void Acceptor::cancel(Ref<Acceptor> a) {
  a->cancelled_.store(true, std::memory_order_seq_cst);
  NetHandler* home = a->home_.load(std::memory_order_seq_cst);
  if (!home) return;
  if (home->in_thread()) return a->stop();
  home->post([a](NetHandler&) { a->stop(); });
}

void Acceptor::stop() {
  if (!self_) return;
  Ref<Acceptor> keep = std::move(self_);
  cancelled_.store(true, std::memory_order_release);
  handler->timers.cancel(pause_);
  handler->detach(*this, socket_->fd());
  socket_.reset();
  spare_.reset();
  call_ended();
}

void Acceptor::call_ended() {
  if (callers_.fetch_sub(1, std::memory_order_acq_rel) == 1) told_->on_accept_stopped();
}

void Acceptor::net_io(Direction&) {
  Ref<Acceptor> keep(this);  // the user may cancel in on_accept
  uint32_t gate = gate_.load(std::memory_order_seq_cst);
  handed_over_ = false;
  for (int left = share_of_turn(); left > 0; --left) {
    if (gate_.load(std::memory_order_relaxed) <= kSpent || !accept_one()) break;
    if (!self_) return;
  }
  if (!self_) return;
  if (handed_over_ && gate > kOpen)
    gate_.compare_exchange_strong(gate, kSpent, std::memory_order_seq_cst);
  update();  // fairness: the rest in the next turn (AC-7)
}

// An accept, with what follows it, costs as much as some messages: so many of those who are there
// are served for each, as long as they keep the thread busy; and one when nothing else is to do.
int Acceptor::share_of_turn() {
  const int most = socket_->options().accepts_per_wakeup;
  const uint64_t served = handler->busy() - served_before_;
  if (handler->now() - handler->last_busy() > kQuiet) {
    served_before_ = handler->busy();
    return most;
  }
  const uint64_t earned = std::min(served / kBusyPerAccept, static_cast<uint64_t>(most));
  const auto share = static_cast<int>(earned);
  // What was earned and not used up is lost, so that nobody saves for a burst.
  if (share > 0) served_before_ = handler->busy() - served % kBusyPerAccept;
  return handler->quiet_turn() ? std::max(share, 1) : share;
}

// True when another one may be waiting.
bool Acceptor::accept_one() {
  if (!socket_->options().backdoor && throttled()) return false;
  Admission* admission = socket_->options().admission.get();
  Admission::Ticket ticket;
  if (admission && !admit(&ticket)) return false;
  Address peer;
  const int fd = sock::accept(socket_->fd(), &peer);
  if (fd < 0 && admission) admission->cancel(&ticket);
  if (fd >= 0) {
    Connection con(fd, peer);
    rescues_ = 0;
    if (!socket_->options().backdoor && Throttle::process().check_fd(fd, monotonic_now())) {
      if (admission) admission->cancel(&ticket);
      handler->counters.accept_rescued.add();
      told_->on_accept_limited(Admission::Verdict::kNoDescriptor);
      return true;
    }
    if (admission && admission->enter(peer, &ticket) != Admission::Verdict::kAdmitted) {
      const ::linger reset{1, 0};
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
      con.close();
      told_->on_accept_limited(Admission::Verdict::kAddressFull);
      return true;
    }
    con.ticket = std::move(ticket);
    con.apply_options(socket_->options().connection);
    handler->counters.accepted.add();
    if (NetVConnection* vc = NetVConnection::create(std::move(con), VcContext::kInbound)) {
      hand_over(vc);
      return true;
    }
    pause_until(monotonic_now() + kPause);  // no memory for it
    return false;
  }
  handler->counters.accept_errors.add(fd != -EAGAIN);
  switch (-fd) {
    case EAGAIN:
      read.triggered = false;
      return false;
    case ECONNABORTED:
    case EPROTO:
    case EPIPE:
    case ECONNRESET:
      return true;  // that one is lost, the next may be fine (B-19)
    case EMFILE:
    case ENFILE:
      return rescue();
    case ENOBUFS:
    case ENOMEM:
      pause_until(monotonic_now() + kPause);
      return false;
    default: {
      Ref<Acceptor> keep(this);
      AcceptHandler* told = told_;
      told->on_accept_error(-fd);
      stop();
      return false;
    }
  }
}

// If not, whoever comes makes a new edge.
bool Acceptor::somebody_waits() {
  read.triggered = sock::readable(socket_->fd());
  return read.triggered;
}

// A place for the next one; if there is none, accepting waits.
bool Acceptor::admit(Admission::Ticket* ticket) {
  const Nanos now = monotonic_now();
  Nanos again = now + kFullPause;
  Admission& admission = *socket_->options().admission;
  const Admission::Verdict v = admission.reserve(now, ticket, &again);
  if (v == Admission::Verdict::kAdmitted) return true;
  if (!somebody_waits()) return false;
  pause_until(again);
  admission.somebody_waits(v);
  told_->on_accept_limited(v);
  return false;
}

bool Acceptor::throttled() {
  if (!Throttle::process().accepts(monotonic_now())) return false;
  if (!somebody_waits()) return true;
  make_room();
  if (!self_) return true;  // the handler of a victim has cancelled it
  pause_until(monotonic_now() + kFullPause);
  handler->counters.accept_throttled.add();
  told_->on_accept_limited(Admission::Verdict::kThrottled);
  return true;
}

// Asks the connection that has waited longest to go; nobody while another one is leaving.
bool Acceptor::make_room() {
  if (handler->queues.somebody_leaves() || told_->somebody_leaves()) return true;
  return handler->queues.evict_oldest() || told_->make_room();
}

// Nobody is left in the queue who does not know that he is not served. True: try again.
bool Acceptor::rescue() {
  if (!somebody_waits()) return false;  // EMFILE is said before the queue is looked at (B-40)
  Ref<Acceptor> keep(this);
  told_->on_accept_limited(Admission::Verdict::kNoDescriptor);
  if (!self_) return false;
  if (make_room()) {
    if (self_) pause_until(monotonic_now() + kFullPause);
    return false;
  }
  bool rescued = false;
  if (spare_.valid() && rescues_ < kRescues) {
    spare_.reset();
    Address peer;
    const int fd = sock::accept(socket_->fd(), &peer);
    rescued = fd >= 0;
    if (rescued) ::close(fd);
  }
  if (!spare_.valid()) spare_ = open_spare();
  if (rescued) {
    ++rescues_;
    handler->counters.accept_rescued.add();
    return true;
  }
  rescues_ = 0;
  pause_until(monotonic_now() + kPause);
  return false;
}

// The edge is used up: a timer has to bring us back.
void Acceptor::pause_until(Nanos when) {
  read.enabled = false;
  handler->timers.arm(pause_, when);
}

void Acceptor::on_pause_over(void* p) { static_cast<Acceptor*>(p)->update(); }

void Acceptor::hand_over(NetVConnection* vc) {
  NetHandler& to = choose_();
  if (&to == handler) {
    handed_over_ |= deliver(*vc, to);
    return;
  }
  callers_.fetch_add(1, std::memory_order_relaxed);
  const bool posted = to.post([keep = Ref<Acceptor>(this), vc](NetHandler& there) {
    if (!keep->deliver(*vc, there)) keep->nobody_came();
    keep->call_ended();
  });
  handed_over_ |= posted;
  if (posted) return;
  vc->release();
  call_ended();
}

bool Acceptor::deliver(NetVConnection& vc, NetHandler& h) {
  const bool cancelled = cancelled_.load(std::memory_order_acquire);  // B-20
  // Data may be there already, and a fresh socket can be written to: no need to wait for the edge.
  vc.read.triggered = vc.write.triggered = true;
  if (cancelled || vc.attach(h) != 0) {
    vc.release();
    return false;
  }
  if (idle_timeout_ > 0) vc.set_timeout(TimeoutKind::kIdle, idle_timeout_);
  told_->on_accept(vc);
  return true;
}

// Who waits for somebody goes on waiting: the gate is open again.
void Acceptor::nobody_came() {
  home_.load(std::memory_order_relaxed)->post([a = Ref<Acceptor>(this)](NetHandler&) {
    uint32_t gate = kSpent;
    if (a->gate_.compare_exchange_strong(gate, kAgain, std::memory_order_seq_cst)) a->update();
  });
}

}  // namespace netvc
