// Functions on connections and tunnels: (slot, version, ...).
#include "binding/at_home.h"
#include "binding/functions.h"
#include "binding/js_reactor.h"
#include "binding/sync_call.h"

namespace netvc {

namespace {

// A connection of this thread's inline engine, without counting; null when it is anything else.
NetVConnection* mine(EnvState& state, VersionedId id) {
  return NetVConnection::pool().peek(id, &state);
}

// Counts one use of a side of a buffer from the call until the operation has its own, or until it
// is known that there will be none, because the connection is gone.
class Lease {
 public:
  Lease() = default;
  Lease(MIOBuffer* m, std::atomic<int>& count) : buffer_(m), count_(&count) {
    m->set_shared();
    count.fetch_add(1, std::memory_order_relaxed);
  }
  Lease(Lease&& o) noexcept
      : buffer_(std::move(o.buffer_)), count_(std::exchange(o.count_, nullptr)) {}
  ~Lease() {
    if (count_) count_->fetch_sub(1, std::memory_order_release);
  }
  const Ref<MIOBuffer>& buffer() const { return buffer_; }

 private:
  Ref<MIOBuffer> buffer_;
  std::atomic<int>* count_ = nullptr;
};

// doIoRead(slot, version, generation, nbytes, buffer | -1, told): 0: nobody yet (setContinuation)
napi_value JsDoIoRead(napi_env env, Args<6>& a) {
  EnvState& state = a.state();
  const VersionedId id = id_of(a);
  VcPool::Handle vc = find(id);
  NetHandler* home = vc ? vc->home() : nullptr;
  if (!home) return js_i32(env, kGone);
  JsPort* port = state.port_of(home);
  const uint32_t generation = a.u32(2);
  const int64_t nbytes = a.bytes(3);
  MIOBuffer* raw = a.i32(4) < 0 ? nullptr : state.buffer(a.u32(4));
  const bool told = raw && a.i32(5) != 0;
  const auto arm = [port, told, generation, nbytes](NetVConnection& at_home, Ref<MIOBuffer> m) {
    Continuation* c = told ? port : nullptr;
    if (VIO* vio = at_home.do_io_read(c, nbytes, std::move(m))) vio->generation = generation;
  };
  if (home->in_thread()) {
    arm(*vc, Ref<MIOBuffer>(raw));
    return js_i32(env, 0);
  }
  Lease lease = raw ? Lease(raw, raw->writer_lease) : Lease();
  auto command = [arm, port, told, lease = std::move(lease)](NetVConnection& at_home) {
    arm(at_home, lease.buffer());
    // What the operation before has read, and told too late to be heard, is told again.
    MIOBuffer* m = lease.buffer().get();
    if (told && m->max_read_avail() > 0 && !at_home.closed_now())
      port->handle_event(Event::kReadReady, &at_home.read_vio);
  };
  return js_i32(env, remote::post(id, std::move(command)) ? 0 : kGone);
}

// doIoWrite(slot, version, generation, nbytes, buffer | -1, reader, told)
napi_value JsDoIoWrite(napi_env env, Args<7>& a) {
  EnvState& state = a.state();
  const VersionedId id = id_of(a);
  VcPool::Handle vc = find(id);
  NetHandler* home = vc ? vc->home() : nullptr;
  if (!home) return js_i32(env, kGone);
  JsPort* port = state.port_of(home);
  const uint32_t generation = a.u32(2);
  const int64_t nbytes = a.bytes(3);
  MIOBuffer* raw = a.i32(4) < 0 ? nullptr : state.buffer(a.u32(4));
  IOBufferReader* reader = find_reader(raw, a.i32(5));
  const bool told = reader && a.i32(6) != 0;
  const auto arm = [port, told, generation, nbytes, reader](NetVConnection& at_home) {
    if (VIO* vio = at_home.do_io_write(told ? port : nullptr, nbytes, reader))
      vio->generation = generation;
  };
  if (home->in_thread()) {
    arm(*vc);
    return js_i32(env, 0);
  }
  Lease lease = reader ? Lease(raw, reader->lease) : Lease();
  auto command = [arm, lease = std::move(lease)](NetVConnection& at_home) { arm(at_home); };
  return js_i32(env, remote::post(id, std::move(command)) ? 0 : kGone);
}

// reenableRead, reenableWrite (slot, version): two, since only one of them sends something.
template <Side kSide>
napi_value JsReenable(napi_env env, Args<2>& a) {
  const VersionedId id = id_of(a);
  NetVConnection* vc = mine(a.state(), id);
  if (!vc) return js_i32(env, remote::reenable(id, kSide) ? 0 : kGone);
  vc->reenable(kSide == Side::kRead ? &vc->read_vio : &vc->write_vio);
  return js_i32(env, 0);
}

// reenableRe(slot, version, side): inline, the I/O and its handlers run before it returns (RE-5).
napi_value JsReenableRe(napi_env env, Args<3>& a) {
  const VersionedId id = id_of(a);
  const Side side = a.i32(2) ? Side::kWrite : Side::kRead;
  VcPool::Handle vc = find(id);
  if (!vc || !vc->home()) return js_i32(env, kGone);
  if (!vc->home()->in_thread()) return js_i32(env, remote::reenable(id, side) ? 0 : kGone);
  JsPort* port = a.state().port_of(vc->home());
  vc->reenable_re(side == Side::kRead ? &vc->read_vio : &vc->write_vio);
  vc = {};
  a.state().drain_nested(*port);
  return js_i32(env, 0);
}

// setNbytes(slot, version, side, generation, nbytes)
napi_value JsSetNbytes(napi_env env, Args<5>& a) {
  const Side side = a.i32(2) ? Side::kWrite : Side::kRead;
  const uint32_t generation = a.u32(3);
  const int64_t n = a.bytes(4);
  return js_i32(env, run(id_of(a), [side, generation, n](NetVConnection& vc) {
                  VIO& vio = side == Side::kRead ? vc.read_vio : vc.write_vio;
                  if (vio.generation == generation) vio.nbytes = n;
                }));
}

// setContinuation(slot, version, side, generation, told, ready, end, errno): told 0: nothing is
// read, written or told until there is somebody again (VIO-5), who is told first what was under way
// then: two events, or 0
napi_value JsSetContinuation(napi_env env, Args<8>& a) {
  const Side side = a.i32(2) ? Side::kWrite : Side::kRead;
  const uint32_t generation = a.u32(3);
  const bool told = a.i32(4) != 0;
  const int32_t ready = a.i32(5), end = a.i32(6), error = a.i32(7);
  VcPool::Handle found = find(id_of(a));
  NetHandler* home = found ? found->home() : nullptr;
  if (!home) return js_i32(env, kGone);
  JsPort* port = a.state().port_of(home);
  return js_i32(env, run(id_of(a), [=](NetVConnection& vc) {
                  VIO& vio = side == Side::kRead ? vc.read_vio : vc.write_vio;
                  if (vio.generation != generation) return;
                  vio.set_continuation(told ? port : nullptr);
                  vio.generation = generation;  // records under way are still of this operation
                  if (!told) return;
                  if (ready != 0) port->post_vio(ready, vio, 0);
                  if (end != 0) port->post_vio(end, vio, error);
                  if (vio.buffer) vc.reenable(&vio);
                }));
}

// setBuffer(slot, version, side, generation, buffer | -1, reader): the operation goes on with it
napi_value JsSetBuffer(napi_env env, Args<6>& a) {
  const bool reads = a.i32(2) == 0;
  const uint32_t generation = a.u32(3);
  EnvState& state = a.state();
  MIOBuffer* m = a.i32(4) < 0 ? nullptr : state.buffer(a.u32(4));
  IOBufferReader* reader = reads ? nullptr : find_reader(m, a.i32(5));
  const auto use = [reads, generation, reader](NetVConnection& vc, const Ref<MIOBuffer>& to) {
    VIO& vio = reads ? vc.read_vio : vc.write_vio;
    if (vio.generation != generation || vc.closed_now()) return;
    if (reads) {
      if (MIOBuffer* before = vio.buffer.writer()) before->release_if_drained();
      vio.buffer.writer_for(to);
    } else {
      vio.buffer.reader_for(reader);
    }
    if (vio.buffer) vc.reenable(&vio);
  };
  VcPool::Handle vc = find(id_of(a));
  NetHandler* home = vc ? vc->home() : nullptr;
  if (!home) return js_i32(env, kGone);
  if (home->in_thread()) {
    use(*vc, Ref<MIOBuffer>(m));
    return js_i32(env, 0);
  }
  Lease lease = reader         ? Lease(m, reader->lease)
                : (m && reads) ? Lease(m, m->writer_lease)
                               : Lease();
  auto command = [use, lease = std::move(lease)](NetVConnection& at_home) {
    use(at_home, lease.buffer());
  };
  return js_i32(env, remote::post(id_of(a), std::move(command)) ? 0 : kGone);
}

// done(slot, version, side, generation): nbytes := what has moved and what the reader has (VIO-2)
napi_value JsDone(napi_env env, Args<4>& a) {
  const Side side = a.i32(2) ? Side::kWrite : Side::kRead;
  const uint32_t generation = a.u32(3);
  return js_i32(env, run(id_of(a), [side, generation](NetVConnection& vc) {
                  VIO& vio = side == Side::kRead ? vc.read_vio : vc.write_vio;
                  if (vio.generation == generation) vio.done();
                }));
}

// shutdown(slot, version, how): what was written before leaves first.
napi_value JsShutdown(napi_env env, Args<3>& a) {
  const auto how = static_cast<Shutdown>(a.i32(2));
  return js_i32(env, run(id_of(a), [how](NetVConnection& vc) { vc.do_io_shutdown(how); }));
}

// Of the three ways to close, the last argument: the owner of the connection has to be told (GONE).

// close(slot, version, lerrno, tell)
napi_value JsClose(napi_env env, Args<4>& a) {
  const int lerrno = a.i32(2);
  const bool tell = a.i32(3) != 0;
  return js_i32(env, run(id_of(a), [lerrno, tell](NetVConnection& vc) {
                  vc.tell_close |= tell;
                  vc.do_io_close(lerrno);
                }));
}

// closeGracefully(slot, version, ms, tell): see NetVConnection::close_gracefully
napi_value JsCloseGracefully(napi_env env, Args<4>& a) {
  const Nanos limit = a.bytes(2) * kMillisecond;
  const bool tell = a.i32(3) != 0;
  return js_i32(env, run(id_of(a), [limit, tell](NetVConnection& vc) {
                  vc.tell_close |= tell;
                  vc.close_gracefully(limit);
                }));
}

// closeWithReset(slot, version, tell)
napi_value JsCloseWithReset(napi_env env, Args<3>& a) {
  const bool tell = a.i32(2) != 0;
  return js_i32(env, run(id_of(a), [tell](NetVConnection& vc) {
                  vc.tell_close |= tell;
                  vc.close_with_reset();
                }));
}

// address(slot, version, 0 remote | 1 local): [url, host, port, family] or undefined
napi_value JsAddress(napi_env env, Args<3>& a) {
  Address address;
  if (a.i32(2) == 0) {
    VcPool::Handle vc = find(id_of(a));
    if (!vc) return nullptr;
    address = vc->remote_addr();  // never changes after creation
  } else if (!call_at_home(id_of(a),
                           [&address](NetVConnection& vc) { address = vc.local_addr(); })) {
    return nullptr;
  }
  napi_value array = nullptr;
  napi_create_array_with_length(env, 4, &array);
  napi_set_element(env, array, 0, js_text(env, address.url()));
  napi_set_element(env, array, 1, js_text(env, address.host()));
  napi_set_element(env, array, 2, js_i32(env, address.port()));
  napi_set_element(env, array, 3,
                   js_i32(env, address.is_unix()              ? 1
                               : address.family() == AF_INET6 ? 6
                               : address.is_ip()              ? 4
                                                              : 0));
  return array;
}

// inspect(slot, version): a snapshot for people and tests, or undefined
napi_value JsInspect(napi_env env, Args<2>& a) {
  struct Snapshot {
    struct Dir {
      int64_t nbytes, ndone, buffered;
      bool armed, enabled, triggered, scheduled;
    } read, write;
    int64_t sequence, fd, unsent, outstanding, bytes_in, bytes_out, shut, thread, context, error,
        age_ms, idle_ms;
  } s{};
  const bool alive = call_at_home(id_of(a), [&s](NetVConnection& vc) {
    const auto dir = [&vc](const VIO& vio, const Direction& d) {
      int64_t buffered = 0;
      if (vio.op == Op::kRead && vio.buffer) buffered = vio.buffer.writer()->max_read_avail();
      if (vio.op == Op::kWrite && vio.buffer.reader()) buffered = vio.buffer.reader()->read_avail();
      return Snapshot::Dir{vio.nbytes,
                           vio.ndone,
                           buffered,
                           vio.op != Op::kNone,
                           vio.enabled,
                           d.triggered,
                           vc.handler->is_scheduled(d)};
    };
    const Nanos now = monotonic_now();
    s = {dir(vc.read_vio, vc.read),
         dir(vc.write_vio, vc.write),
         vc.sequence(),
         vc.get_socket(),
         vc.unsent(),
         vc.outstanding(),
         vc.bytes_in(),
         vc.bytes_out(),
         vc.shut_sides(),
         vc.handler->index,
         static_cast<int>(vc.context()),
         vc.latched_error(),
         (now - vc.submit_time()) / kMillisecond,
         (now - vc.last_activity()) / kMillisecond};
  });
  if (!alive) return nullptr;
  napi_value o = nullptr;
  napi_create_object(env, &o);
  const auto put_dir = [&](const char* name, const Snapshot::Dir& d) {
    napi_value v = nullptr;
    napi_create_object(env, &v);
    napi_value n = nullptr;
    napi_create_double(env, d.nbytes == INT64_MAX ? __builtin_inf() : static_cast<double>(d.nbytes),
                       &n);
    set(env, v, "nbytes", n);
    set(env, v, "ndone", d.ndone);
    set(env, v, "buffered", d.buffered);
    for (auto [key, on] : {std::pair{"armed", d.armed},
                           {"enabled", d.enabled},
                           {"triggered", d.triggered},
                           {"scheduled", d.scheduled}}) {
      napi_value b = nullptr;
      napi_get_boolean(env, on, &b);
      set(env, v, key, b);
    }
    set(env, o, name, v);
  };
  put_dir("read", s.read);
  put_dir("write", s.write);
  for (auto [key, n] : {std::pair{"sequence", s.sequence},
                        {"fd", s.fd},
                        {"unsent", s.unsent},
                        {"outstanding", s.outstanding},
                        {"bytesIn", s.bytes_in},
                        {"bytesOut", s.bytes_out},
                        {"shut", s.shut},
                        {"thread", s.thread},
                        {"context", s.context},
                        {"errno", s.error},
                        {"ageMs", s.age_ms},
                        {"idleMs", s.idle_ms}}) {
    set(env, o, key, n);
  }
  return o;
}

// trapWriteBufferEmpty(slot, version, on)
napi_value JsTrap(napi_env env, Args<3>& a) {
  const bool on = a.i32(2) != 0;
  return js_i32(env, run(id_of(a), [on](NetVConnection& vc) {
                  vc.trap_write_buffer_empty(on, Event::kWriteBufferEmpty);
                }));
}

// setTimeout(slot, version, 0 inactivity | 1 active, ms, tag of the event)
napi_value JsSetTimeout(napi_env env, Args<5>& a) {
  const auto kind = a.i32(2) == 0 ? TimeoutKind::kInactivity : TimeoutKind::kActive;
  const Nanos t = a.bytes(3) * kMillisecond;
  const uint32_t tag = a.u32(4);
  return js_i32(env, run(id_of(a), [=](NetVConnection& vc) { vc.set_timeout(kind, t, tag); }));
}

// --- tunnels
// --------------------------------------------------------------------------------------

// tunnel(reactor, id, aSlot, aVersion, bSlot, bVersion, blockSizeIndex, waterMark, aBuffer | -1,
// bBuffer | -1, inactivity, active, halfClose, stall): the buffers of their read operations are
// taken over; the last four in ms, 0 for none. 1, or 0 when it could not start, then both are
// closed
napi_value JsTunnelStart(napi_env env, Args<14>& a) {
  EnvState& state = a.state();
  JsReactor* r = state.reactor(a.u32(0));
  const VersionedId left = id_of(a, 2), right = id_of(a, 4);
  if (!r || !find(left)) {
    remote::close(right, 0);
    return js_i32(env, 0);
  }
  const auto ms = [&a](size_t i) { return a.bytes(i) * kMillisecond; };
  const TunnelOptions options{a.i32(6), a.bytes(7), {ms(10), ms(11), ms(12), ms(13)}};
  JsTunnel& t = r->add_tunnel(a.u32(1), options);
  for (size_t buffer : {8, 9}) {
    if (a.i32(buffer) >= 0) t.held.emplace_back(state.buffer(a.u32(buffer)));
  }
  Tunnel::join(t.tunnel, left, right);
  return js_i32(env, 1);
}

// closeTunnel(reactor, id, aSlot, aVersion, bSlot, bVersion)
napi_value JsCloseTunnel(napi_env, Args<6>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  if (JsTunnel* t = r ? r->tunnel(a.u32(1)) : nullptr)
    Tunnel::close(t->tunnel, id_of(a, 2), id_of(a, 4));
  return nullptr;
}

// tunnelBytes(reactor, id, direction)
napi_value JsTunnelBytes(napi_env env, Args<3>& a) {
  JsReactor* r = a.state().reactor(a.u32(0));
  JsTunnel* t = r ? r->tunnel(a.u32(1)) : nullptr;
  return js_int(env, t ? t->tunnel->bytes(a.i32(2)) : 0);
}

// freeTunnel(reactor, id): after its end was told
napi_value JsFreeTunnel(napi_env, Args<2>& a) {
  if (JsReactor* r = a.state().reactor(a.u32(0))) r->free_tunnel(a.u32(1));
  return nullptr;
}

}  // namespace

void register_vc_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {
      entry<JsDoIoRead, kTouch>("doIoRead"),
      entry<JsDoIoWrite, kCommand>("doIoWrite"),
      entry<JsReenable<Side::kRead>, kTouch>("reenableRead"),
      entry<JsReenable<Side::kWrite>, kCommand>("reenableWrite"),
      entry<JsReenableRe, kCommand>("reenableRe"),
      entry<JsSetNbytes, kCommand>("setNbytes"),
      entry<JsDone, kCommand>("done"),
      entry<JsShutdown, kCommand>("shutdown"),
      entry<JsClose, kCommand>("close"),
      entry<JsCloseGracefully, kCommand>("closeGracefully"),
      entry<JsCloseWithReset, kCommand>("closeWithReset"),
      entry<JsAddress, kPlain>("address"),
      entry<JsInspect, kFlush>("inspect"),
      entry<JsTrap, kCommand>("trapWriteBufferEmpty"),
      entry<JsSetTimeout, kTouch>("setTimeout"),
      entry<JsTunnelStart, kCommand>("tunnel"),
      entry<JsCloseTunnel, kCommand>("closeTunnel"),
      entry<JsTunnelBytes, kPlain>("tunnelBytes"),
      entry<JsFreeTunnel, kPlain>("freeTunnel"),
      entry<JsSetContinuation, kCommand>("setContinuation"),
      entry<JsSetBuffer, kCommand>("setBuffer"),
  };
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
