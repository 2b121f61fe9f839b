// Functions on connections that any JavaScript thread may call, by id: messages and failure.
#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "binding/functions.h"
#include "binding/js_reactor.h"
#include "binding/write_batch.h"
#include "vc/write.h"

namespace netvc {

namespace {

template <size_t N>
VcPool::Handle find(const Args<N>& a) {
  return NetVConnection::pool().address(make_id(a.u32(0), a.u32(1)));
}

// One Uint8Array, or several that are one message. False when one of them is something else.
bool gather(napi_env env, napi_value value, std::string* joined, const char** data, size_t* n) {
  bool is_array = false;
  napi_is_array(env, value, &is_array);
  uint32_t count = 1;
  if (is_array) napi_get_array_length(env, value, &count);
  for (uint32_t i = 0; i < count; ++i) {
    napi_value part = value;
    if (is_array) napi_get_element(env, value, i, &part);
    napi_typedarray_type type;
    void* p = nullptr;
    if (napi_get_typedarray_info(env, part, &type, n, &p, nullptr, nullptr) != napi_ok ||
        type != napi_uint8_array)
      return false;
    *data = static_cast<const char*>(p);
    if (is_array) joined->append(*data, *n);
  }
  if (is_array) {
    *data = joined->data();
    *n = joined->size();
  }
  return true;
}

enum SubmitFlags : uint32_t { kIgnoreOvercrowded = 1, kWithAuth = 2 };

// submit(slot, version, bytes | bytes[], flags, token | 0, timeout ms | 0, pipelinedCount): the
// positive code of the refusal; otherwise the bytes that wait now, negative or 0, and with a token
// one NOTICE follows.
napi_value JsSubmit(napi_env env, Args<7>& a) {
  EnvState& state = a.state();
  std::string joined;
  const char* data = nullptr;
  size_t n = 0;
  if (!gather(env, a[2], &joined, &data, &n)) return js_i32(env, EINVAL);
  WriteOptions o;
  const uint32_t flags = a.u32(3);
  o.ignore_overcrowded = flags & kIgnoreOvercrowded;
  o.with_auth = flags & kWithAuth;
  o.told = state.notice(a.u32(4));
  if (const double ms = a.number(5); ms > 0)
    o.deadline = monotonic_now() + static_cast<Nanos>(ms * 1e6);
  o.pipelined_count = static_cast<uint32_t>(std::min(a.number(6), double{UINT32_MAX}));
  VcPool::Handle vc = find(a);
  const int code = write(vc.again(), data, n, o);
  if (code) {
    if (o.told) JsNotice::drop(static_cast<JsNotice*>(o.told));
    return js_i32(env, code);
  }
  return js_int(env, -vc->unsent());
}

// write(slot, version, bytes): a message of the connection's own thread, too large for the shared
// memory, and admitted. 0, -ENOMEM or kGone.
napi_value JsWrite(napi_env env, Args<3>& a) {
  char* data = nullptr;
  size_t n = 0;
  if (!a.memory(2, &data, &n)) return js_i32(env, -EINVAL);
  NetVConnection* vc = NetVConnection::pool().peek(make_id(a.u32(0), a.u32(1)), &a.state());
  if (!vc) {
    const int code = write(find(a), data, n, {.ignore_overcrowded = true});
    return js_i32(env, code == ENOMEM ? -ENOMEM : code ? kGone : 0);
  }
  if (vc->write_now(data, n)) return js_i32(env, 0);
  return js_i32(env, vc->can_send() ? -ENOMEM : kGone);
}

// writeMany(ids Int32Array of [slot, version], n, bytes, results Int32Array of n): how many have
// accepted it; results are codes as of submit. The bytes are copied once, and shared.
napi_value JsWriteMany(napi_env env, Args<4>& a) {
  napi_typedarray_type type;
  size_t length = 0;
  void *ids = nullptr, *results = nullptr;
  char* data = nullptr;
  size_t bytes = 0;
  napi_get_typedarray_info(env, a[0], &type, &length, &ids, nullptr, nullptr);
  napi_get_typedarray_info(env, a[3], &type, &length, &results, nullptr, nullptr);
  if (!ids || !results || !a.memory(2, &data, &bytes)) return js_i32(env, -EINVAL);
  const int n = WriteBatch::fan_out(static_cast<const int32_t*>(ids), a.u32(1), data, bytes,
                                    static_cast<int32_t*>(results), &a.state());
  return js_i32(env, n);
}

// failure(slot, version): 0 alive, else a positive code; ENET_CLOSED also when it is gone
napi_value JsFailure(napi_env env, Args<2>& a) {
  VcPool::Handle vc = find(a);
  const int code = !vc ? ENET_CLOSED : vc->failure() ? vc->failure() : 0;
  return js_i32(env, code ? code : vc->closed_to_all() ? ENET_CLOSED : 0);
}

// failureText(slot, version): what setFailed was given, or ''
napi_value JsFailureText(napi_env env, Args<2>& a) {
  VcPool::Handle vc = find(a);
  return js_text(env, vc ? vc->failure_text() : a.state().last_words(make_id(a.u32(0), a.u32(1))));
}

// noticeText(token): the same for a NOTICE with an error, which tells it once
napi_value JsNoticeText(napi_env env, Args<1>& a) {
  return js_text(env, a.state().take_reason(a.u32(0)));
}

// setFailed(slot, version, code, text): 1 for the first caller, else 0
napi_value JsSetFailed(napi_env env, Args<4>& a) {
  VcPool::Handle vc = find(a);
  const bool first =
      vc && !vc->closed_to_all() && NetVConnection::set_failed(std::move(vc), a.i32(2), a.text(3));
  return js_i32(env, first);
}

// onFailed(slot, version, token): the ticket to give it up with, or 0 when it has failed; then one
// NOTICE follows. kGone: it is gone, nothing follows
napi_value JsOnFailed(napi_env env, Args<3>& a) {
  VcPool::Handle vc = find(a);
  if (!vc) return js_i32(env, kGone);
  return js_int(env, static_cast<int64_t>(vc->on_failed(a.state().notice(a.u32(2)))));
}

// giveUpOnFailed(slot, version, ticket): 1: no NOTICE follows; 0: it is on its way
napi_value JsGiveUpOnFailed(napi_env env, Args<3>& a) {
  VcPool::Handle vc = find(a);
  Notice* told = vc ? vc->give_up_on_failed(static_cast<uint64_t>(a.bytes(2))) : nullptr;
  if (told) JsNotice::drop(static_cast<JsNotice*>(told));
  return js_i32(env, told != nullptr);
}

// logOff(slot, version, 1 sets it | 0): 1 when it is available
napi_value JsLogOff(napi_env env, Args<3>& a) {
  VcPool::Handle vc = find(a);
  if (vc && a.i32(2) != 0) vc->set_log_off();
  return js_i32(env, vc && vc->available() ? 1 : 0);
}

// unsent(slot, version)
napi_value JsUnsent(napi_env env, Args<2>& a) {
  VcPool::Handle vc = find(a);
  return js_int(env, vc ? vc->unsent() : kGone);
}

// maxUnwritten(slot, version, bytes | -1): sets it, unless -1; the value, or kGone
napi_value JsMaxUnwritten(napi_env env, Args<3>& a) {
  VcPool::Handle vc = find(a);
  if (!vc) return js_int(env, kGone);
  if (const int64_t n = a.bytes(2); n >= 0) vc->set_max_unwritten(n);
  return js_int(env, vc->max_unwritten());
}

// overcrowded(slot, version): 1 when a message would be refused for that
napi_value JsOvercrowded(napi_env env, Args<2>& a) {
  VcPool::Handle vc = find(a);
  return js_i32(env, vc && vc->overcrowded() ? 1 : 0);
}

// notifyDrained(slot, version, mark, token): 0, then one NOTICE follows; or kGone
napi_value JsNotifyDrained(napi_env env, Args<4>& a) {
  EnvState& state = a.state();
  const int64_t mark = a.bytes(2);
  Notice* told = state.notice(a.u32(3));
  VcPool::Handle vc = find(a);
  NetHandler* home = vc ? vc->home() : nullptr;
  if (home && home->in_thread()) {
    vc->when_drained(mark, told);
  } else {
    remote::post(make_id(a.u32(0), a.u32(1)),
                 [mark, w = PendingNotice(told)](NetVConnection& at_home) mutable {
                   at_home.when_drained(mark, w.take());
                 });
  }
  return js_i32(env, 0);
}

// popPipelined(slot, version): [count, auth] or undefined
napi_value JsPopPipelined(napi_env env, Args<2>& a) {
  VcPool::Handle vc = find(a);
  NetVConnection::Pipelined p{};
  if (!vc || !vc->pop_pipelined(&p)) return nullptr;
  napi_value array = nullptr;
  napi_create_array_with_length(env, 2, &array);
  napi_set_element(env, array, 0, js_int(env, p.count));
  napi_set_element(env, array, 1, js_i32(env, p.with_auth));
  return array;
}

// inbox(): the number of the port where the NOTICEs of this thread arrive
napi_value JsInbox(napi_env env, Args<1>& a) {
  return js_i32(env, static_cast<int32_t>(a.state().inbox_port()));
}

// refNotices(on): whether pending notices keep this thread alive
napi_value JsRefNotices(napi_env, Args<1>& a) {
  a.state().inbox();
  a.state().ref_async(a.i32(0) != 0);
  return nullptr;
}

}  // namespace

void register_message_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {
      entry<JsSubmit, kCommand>("submit"),
      entry<JsWrite, kCommand>("write"),
      entry<JsWriteMany, kCommand>("writeMany"),
      entry<JsFailure, kPlain>("failure"),
      entry<JsFailureText, kPlain>("failureText"),
      entry<JsNoticeText, kPlain>("noticeText"),
      entry<JsSetFailed, kCommand>("setFailed"),
      entry<JsOnFailed, kTouch>("onFailed"),
      entry<JsGiveUpOnFailed, kPlain>("giveUpOnFailed"),
      entry<JsLogOff, kPlain>("logOff"),
      entry<JsUnsent, kFlush>("unsent"),
      entry<JsMaxUnwritten, kPlain>("maxUnwritten"),
      entry<JsOvercrowded, kFlush>("overcrowded"),
      entry<JsNotifyDrained, kCommand>("notifyDrained"),
      entry<JsPopPipelined, kPlain>("popPipelined"),
      entry<JsInbox, kPlain>("inbox"),
      entry<JsRefNotices, kPlain>("refNotices"),
  };
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
