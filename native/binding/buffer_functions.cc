// Functions on MIOBuffers and their readers: (buffer number, reader index, ...). -EBUSY when an I/O
// operation of a net thread uses that side of the buffer.
#include <cerrno>

#include "binding/functions.h"
#include "buffer/block_pool.h"

namespace netvc {

namespace {

template <size_t N>
IOBufferReader* reader_of(const Args<N>& a, size_t at = 0) {
  return find_reader(a.state().buffer(a.u32(at)), a.i32(at + 1));
}

// Bytes are about to be added. A net thread that writes from this buffer may send them at once:
// what this thread has written before goes first (AD-1).
void before_adding(EnvState& state, const MIOBuffer& m) {
  if (m.shared()) state.flush_commands();
}

// createBuffer(sizeIndex, waterMark)
napi_value JsCreateBuffer(napi_env env, Args<2>& a) {
  return js_i32(env, static_cast<int32_t>(
                         a.state().add_buffer(MIOBuffer::create_empty(a.i32(0), a.bytes(1)))));
}

napi_value JsFreeBuffer(napi_env, Args<1>& a) {
  a.state().drop_buffer(a.u32(0));
  return nullptr;
}

// allocReader(buffer): its number, -EMFILE when there are five, -EBUSY
napi_value JsAllocReader(napi_env env, Args<1>& a) {
  MIOBuffer* m = a.state().buffer(a.u32(0));
  if (writer_busy(*m)) return js_i32(env, -EBUSY);
  IOBufferReader* r = m->alloc_reader();
  return js_i32(env, r ? reader_number(*m, *r) : -EMFILE);
}

napi_value JsCloneReader(napi_env env, Args<2>& a) {
  IOBufferReader* from = reader_of(a);
  if (!from) return js_i32(env, -EBADF);
  if (reader_busy(*from) || writer_busy(*from->mbuf())) return js_i32(env, -EBUSY);
  IOBufferReader* r = from->mbuf()->clone_reader(from);
  return js_i32(env, r ? reader_number(*from->mbuf(), *r) : -EMFILE);
}

// onlyReader(buffer): the most advanced one under a new number, the others are deallocated; -EBADF
// when there is none
napi_value JsOnlyReader(napi_env env, Args<1>& a) {
  MIOBuffer* m = a.state().buffer(a.u32(0));
  IOBufferReader* front = m->most_advanced_reader();
  if (!front) return js_i32(env, -EBADF);
  for (int i = 0; i < m->places(); ++i) {
    IOBufferReader* r = m->reader_at(i);
    if (r != front && MIOBuffer::is_active(*r) && !reader_busy(*r)) m->dealloc_reader(r);
  }
  if (!reader_busy(*front)) m->renew_reader(front);
  return js_i32(env, reader_number(*m, *front));
}

// deallocReader(buffer, reader, 1: its user has forgotten it): an operation of this thread loses a
// reader that is deallocated, but keeps one that is only forgotten (-EBUSY)
napi_value JsDeallocReader(napi_env env, Args<3>& a) {
  IOBufferReader* r = reader_of(a);
  if (!r) return js_i32(env, -EBADF);
  const bool used = r->lease.load(std::memory_order_acquire) > 0;
  if (reader_busy(*r) || (used && a.i32(2) != 0)) return js_i32(env, -EBUSY);
  r->mbuf()->dealloc_reader(r);
  return js_i32(env, 0);
}

// deallocAllReaders(buffer)
napi_value JsDeallocAllReaders(napi_env env, Args<1>& a) {
  MIOBuffer* m = a.state().buffer(a.u32(0));
  for (int i = 0; i < m->places(); ++i) {
    if (MIOBuffer::is_active(*m->reader_at(i)) && reader_busy(*m->reader_at(i)))
      return js_i32(env, -EBUSY);
  }
  m->dealloc_all_readers();
  return js_i32(env, 0);
}

// bufferWrite(buffer, bytes)
napi_value JsBufferWrite(napi_env env, Args<2>& a) {
  MIOBuffer* m = a.state().buffer(a.u32(0));
  char* data = nullptr;
  size_t n = 0;
  if (!a.memory(1, &data, &n)) return js_i32(env, -EINVAL);
  if (writer_busy(*m)) return js_i32(env, -EBUSY);
  before_adding(a.state(), *m);
  const int64_t written = m->write(data, static_cast<int64_t>(n));
  return js_int(env, written == 0 && n > 0 ? -ENOMEM : written);
}

// bufferWriteFrom(buffer, sourceBuffer, sourceReader, n, offset): by reference, small pieces by
// copy
napi_value JsBufferWriteFrom(napi_env env, Args<5>& a) {
  MIOBuffer* m = a.state().buffer(a.u32(0));
  IOBufferReader* from = reader_of(a, 1);
  if (!from) return js_i32(env, -EBADF);
  if (writer_busy(*m) || reader_busy(*from)) return js_i32(env, -EBUSY);
  before_adding(a.state(), *m);
  const int64_t n = std::min(a.bytes(3), from->read_avail() - a.bytes(4));
  const int64_t added = m->add(from, n, a.bytes(4));
  return js_int(env, added == 0 && n > 0 ? -ENOMEM : added);
}

// bufferInfo(buffer, what): 0 maxReadAvail, 1 currentWriteAvail, 2 waterMark, 3 highWater, 4
// readers, 5 produced, 6 full for who fills it, 7 currentLowWater
napi_value JsBufferInfo(napi_env env, Args<2>& a) {
  MIOBuffer* m = a.state().buffer(a.u32(0));
  switch (a.i32(1)) {
    case 0:
      return js_int(env, m->max_read_avail());
    case 1:
      return writer_busy(*m) ? js_i32(env, -EBUSY) : js_int(env, m->current_write_avail());
    case 2:
      return js_int(env, m->water_mark);
    case 3:
      return js_int(env, m->high_water());
    case 4:
      return js_int(env, m->reader_count());
    case 6:
      return js_int(env, m->is_full());
    case 7:
      return writer_busy(*m) ? js_i32(env, -EBUSY) : js_int(env, m->current_low_water());
    default:
      return js_int(env, static_cast<int64_t>(m->produced()));
  }
}

napi_value JsSetWaterMark(napi_env env, Args<2>& a) {
  MIOBuffer* m = a.state().buffer(a.u32(0));
  if (writer_busy(*m)) return js_i32(env, -EBUSY);
  m->water_mark = a.bytes(1);
  return js_i32(env, 0);
}

// readAvail(buffer, reader)
napi_value JsReadAvail(napi_env env, Args<2>& a) {
  IOBufferReader* r = reader_of(a);
  return js_int(env, r ? r->read_avail() : -EBADF);
}

// readerInfo(buffer, reader, what, i): 0 blockReadAvail, 1 blockCount, 2 highWater, 3 the byte at i
napi_value JsReaderInfo(napi_env env, Args<4>& a) {
  IOBufferReader* r = reader_of(a);
  if (!r) return js_i32(env, -EBADF);
  if (reader_busy(*r)) return js_i32(env, -EBUSY);
  switch (a.i32(2)) {
    case 0:
      return js_int(env, r->block_read_avail());
    case 1:
      return js_i32(env, r->block_count());
    case 2:
      return js_i32(env, r->high_water());
    default: {
      unsigned char byte = 0;
      return js_i32(env, r->memcpy(&byte, 1, a.bytes(3)) == 1 ? byte : -ERANGE);
    }
  }
}

// read(buffer, reader, max, room): copies min(max, available) into the pool at the end of what fits
// in `room` bytes and consumes it; if it does not fit, nothing happens and the answer is the number
// needed plus room. The pool offset is pool size - room.
napi_value JsRead(napi_env env, Args<4>& a) {
  IOBufferReader* r = reader_of(a);
  if (!r) return js_i32(env, -EBADF);
  if (reader_busy(*r)) return js_i32(env, -EBUSY);
  const int64_t room = a.i32(3);
  const int64_t n = std::min(r->read_avail(), a.bytes(2));
  if (n > room) return js_int(env, n + room);
  EnvState& s = a.state();
  return js_int(env, r->read(s.pool() + s.pool_size() - room, n));
}

// readInto(buffer, reader, target, consume): copies as much as target holds
napi_value JsReadInto(napi_env env, Args<5>& a) {
  IOBufferReader* r = reader_of(a);
  if (!r) return js_i32(env, -EBADF);
  if (reader_busy(*r)) return js_i32(env, -EBUSY);
  char* data = nullptr;
  size_t n = 0;
  if (!a.memory(2, &data, &n)) return js_i32(env, -EINVAL);
  const auto size = static_cast<int64_t>(n);
  return js_int(env, a.i32(3) ? r->read(data, size) : r->memcpy(data, size, a.bytes(4)));
}

napi_value JsConsume(napi_env env, Args<3>& a) {
  IOBufferReader* r = reader_of(a);
  if (!r) return js_i32(env, -EBADF);
  if (reader_busy(*r)) return js_i32(env, -EBUSY);
  return js_i32(env, r->consume(a.bytes(2)) ? 0 : -ERANGE);
}

// memchr(buffer, reader, byte, n, offset)
napi_value JsMemchr(napi_env env, Args<5>& a) {
  IOBufferReader* r = reader_of(a);
  if (!r) return js_i32(env, -EBADF);
  if (reader_busy(*r)) return js_i32(env, -EBUSY);
  return js_int(env, r->memchr(static_cast<char>(a.i32(2)), a.bytes(3), a.bytes(4)));
}

// sizeLimit(buffer, reader, n): sets it; n < 0 only asks. The limit, Infinity for none.
napi_value JsSizeLimit(napi_env env, Args<3>& a) {
  IOBufferReader* r = reader_of(a);
  if (!r) return js_i32(env, -EBADF);
  if (a.number(2) >= 0) {
    if (reader_busy(*r)) return js_i32(env, -EBUSY);
    r->set_size_limit(a.bytes(2));
  }
  napi_value v = nullptr;
  napi_create_double(
      env, r->size_limit() == kNoLimit ? __builtin_inf() : static_cast<double>(r->size_limit()),
      &v);
  return v;
}

// borrow(buffer, reader, out Int32Array(2)): the slab and offset of the contiguous bytes at the
// position, and their number as the answer; 0 when there are none
napi_value JsBorrow(napi_env env, Args<3>& a) {
  IOBufferReader* r = reader_of(a);
  if (!r) return js_i32(env, -EBADF);
  if (reader_busy(*r)) return js_i32(env, -EBUSY);
  const char* from = nullptr;
  int64_t n = 0;
  const IOBufferBlock* block = r->contiguous(&from, &n);
  if (n == 0) return js_i32(env, 0);
  const IOBufferData& data = *block->data();
  if (data.slab() < 0) return js_i32(env, -ENOTSUP);
  napi_typedarray_type type;
  size_t length = 0;
  void* where = nullptr;
  if (napi_get_typedarray_info(env, a[2], &type, &length, &where, nullptr, nullptr) != napi_ok ||
      length < 2) {
    return js_i32(env, -EINVAL);
  }
  static_cast<int32_t*>(where)[0] = data.slab();
  static_cast<int32_t*>(where)[1] =
      static_cast<int32_t>(data.slab_offset() + static_cast<size_t>(from - data.data()));
  return js_int(env, n);
}

// slab(position): an ArrayBuffer over it; made once per env by lib/pool.ts
napi_value JsSlab(napi_env env, Args<1>& a) {
  const Slab s = BlockPool::slab(a.i32(0));
  napi_value v = nullptr;
  napi_create_external_arraybuffer(
      env, s.memory, s.bytes, [](napi_env, void*, void*) {}, nullptr, &v);
  return v;
}

napi_value JsSetPool(napi_env, Args<1>& a) {
  char* data = nullptr;
  size_t n = 0;
  if (a.memory(0, &data, &n)) a.state().set_pool(a[0], data, n);
  return nullptr;
}

}  // namespace

void register_buffer_functions(napi_env env, napi_value exports, EnvState& state) {
  const Function table[] = {
      entry<JsCreateBuffer, kPlain>("createBuffer"),
      entry<JsFreeBuffer, kPlain>("freeBuffer"),
      entry<JsAllocReader, kPlain>("allocReader"),
      entry<JsCloneReader, kPlain>("cloneReader"),
      entry<JsDeallocReader, kPlain>("deallocReader"),
      entry<JsBufferWrite, kPlain>("bufferWrite"),
      entry<JsBufferWriteFrom, kPlain>("bufferWriteFrom"),
      entry<JsBufferInfo, kPlain>("bufferInfo"),
      entry<JsSetWaterMark, kPlain>("setWaterMark"),
      entry<JsReadAvail, kPlain>("readAvail"),
      entry<JsRead, kPlain>("read"),
      entry<JsReadInto, kPlain>("readInto"),
      entry<JsConsume, kPlain>("consume"),
      entry<JsMemchr, kPlain>("memchr"),
      entry<JsSizeLimit, kPlain>("sizeLimit"),
      entry<JsBorrow, kPlain>("borrow"),
      entry<JsSlab, kPlain>("slab"),
      entry<JsSetPool, kPlain>("setPool"),
      entry<JsOnlyReader, kPlain>("onlyReader"),
      entry<JsDeallocAllReaders, kPlain>("deallocAllReaders"),
      entry<JsReaderInfo, kPlain>("readerInfo"),
  };
  register_functions(env, exports, state, table, std::size(table));
}

}  // namespace netvc
