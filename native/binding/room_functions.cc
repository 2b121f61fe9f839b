// Functions that put bytes into a MIOBuffer without copying them: memory that is lent (BUF-13), and
// the room of its own blocks (BUF-7). -EBUSY when a net thread uses the writer side.
#include <cerrno>

#include "binding/functions.h"

namespace netvc {

namespace {

// bufferLend(buffer, bytes, token): the notice is told when nothing uses the bytes any more; lib
// holds them until then (AD-8). It may be told at once, and is told also of -ENOMEM.
napi_value JsBufferLend(napi_env env, Args<3>& a) {
  MIOBuffer* m = a.state().buffer(a.u32(0));
  char* data = nullptr;
  size_t n = 0;
  if (!a.memory(1, &data, &n) || n == 0) return js_i32(env, -EINVAL);
  if (writer_busy(*m)) return js_i32(env, -EBUSY);
  if (m->shared()) a.state().flush_commands();
  const auto release = [](void* lender) { static_cast<Notice*>(lender)->tell(0); };
  Notice* told = a.state().notice(a.u32(2));
  Ref<IOBufferData> lent = IOBufferData::constant(data, n, release, told);
  if (!lent) told->tell(ENOMEM);
  if (!m->append_block(IOBufferBlock::make(std::move(lent)))) return js_i32(env, -ENOMEM);
  return js_int(env, static_cast<int64_t>(n));
}

// bufferReserve(buffer, out Int32Array(2)): the slab and offset of contiguous room, at least a
// byte, and its size as the answer
napi_value JsBufferReserve(napi_env env, Args<2>& a) {
  MIOBuffer* m = a.state().buffer(a.u32(0));
  if (writer_busy(*m)) return js_i32(env, -EBUSY);
  if (m->current_write_avail() == 0 && !m->add_block()) return js_i32(env, -ENOMEM);
  const IOBufferBlock* block = m->first_write_block();
  while (block->write_avail() == 0)
    block = block->next();
  const IOBufferData& data = *block->data();
  if (data.slab() < 0) return js_i32(env, -ENOTSUP);
  napi_typedarray_type type;
  size_t length = 0;
  void* where = nullptr;
  if (napi_get_typedarray_info(env, a[1], &type, &length, &where, nullptr, nullptr) != napi_ok ||
      length < 2) {
    return js_i32(env, -EINVAL);
  }
  static_cast<int32_t*>(where)[0] = data.slab();
  static_cast<int32_t*>(where)[1] =
      static_cast<int32_t>(data.slab_offset() + static_cast<size_t>(block->end() - data.data()));
  return js_int(env, static_cast<int64_t>(block->write_avail()));
}

// bufferFill(buffer, n): publishes n bytes of the room; -ERANGE when there are not so many
napi_value JsBufferFill(napi_env env, Args<2>& a) {
  MIOBuffer* m = a.state().buffer(a.u32(0));
  if (writer_busy(*m)) return js_i32(env, -EBUSY);
  if (m->shared()) a.state().flush_commands();
  return js_i32(env, m->fill(a.bytes(1)) ? 0 : -ERANGE);
}

}  // namespace

void register_room_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {
      entry<JsBufferLend, kPlain>("bufferLend"),
      entry<JsBufferReserve, kPlain>("bufferReserve"),
      entry<JsBufferFill, kPlain>("bufferFill"),
  };
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
