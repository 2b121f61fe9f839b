#include <doctest/doctest.h>
#include <pthread.h>

#include <functional>

#include "buffer/block_chain.h"
#include "buffer/mio_buffer.h"
#include "support/counting.h"

using namespace netvc;
using test::BlockCount;

namespace {

constexpr int kMillion = 1'000'000;

// Runs f on a thread whose stack holds a few thousand frames at most.
void on_small_stack(const std::function<void()>& f) {
  pthread_attr_t attr;
  REQUIRE(pthread_attr_init(&attr) == 0);
  REQUIRE(pthread_attr_setstacksize(&attr, 256 << 10) == 0);
  pthread_t thread;
  auto run = [](void* p) -> void* {
    (*static_cast<const std::function<void()>*>(p))();
    return nullptr;
  };
  REQUIRE(pthread_create(&thread, &attr, run, const_cast<std::function<void()>*>(&f)) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attr);
}

void append_one_byte_blocks(MIOBuffer& m, int n) {
  Ref<IOBufferBlock> source = IOBufferBlock::alloc(0);
  *source->end() = 'x';
  source->fill(1);
  for (int i = 0; i < n; ++i)
    (void)m.append_block(source->clone(0, 1));
}

}  // namespace

TEST_CASE("BUF-10 PV-31 a million one-byte blocks die with their buffer on a 256 KiB stack") {
  BlockCount count;
  int64_t avail = 0, blocks = 0;
  on_small_stack([&] {
    Ref<MIOBuffer> m = MIOBuffer::create_empty(0);
    IOBufferReader* r = m->alloc_reader();
    append_one_byte_blocks(*m, kMillion);
    avail = r->read_avail();
    blocks = count.blocks();
  });
  CHECK(avail == kMillion);
  CHECK(blocks == kMillion);
}

TEST_CASE("BUF-10 a million blocks are released by consume, by dealloc and by remove_append") {
  BlockCount count;
  int64_t left = -1;
  on_small_stack([&] {
    Ref<MIOBuffer> m = MIOBuffer::create_empty(0);
    IOBufferReader* r = m->alloc_reader();
    append_one_byte_blocks(*m, kMillion / 4);
    left = r->consume(kMillion / 4) ? r->read_avail() : -1;
    append_one_byte_blocks(*m, kMillion / 4);
    m->dealloc_reader(r);  // the chain hangs on the reader alone
    r = m->alloc_reader();
    append_one_byte_blocks(*m, kMillion / 4);
    Ref<MIOBuffer> to = MIOBuffer::create_empty(0);
    (void)to->remove_append(r);
  });
  CHECK(left == 0);
}

TEST_CASE("BUF-10 a long BlockChain is cleared on a small stack") {
  BlockCount count;
  on_small_stack([&] {
    BlockChain chain;
    Ref<IOBufferBlock> source = IOBufferBlock::alloc(0);
    source->fill(1);
    for (int i = 0; i < kMillion / 4; ++i)
      chain.append(source->clone(0, 1));
  });
}
