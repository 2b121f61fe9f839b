// A buffer between threads. What one thread can see of it is in the other files; here is what only
// several can break. Meant for ThreadSanitizer too.
#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"
#include "support/random.h"
#include "support/spin.h"
#include "support/spsc.h"

using namespace netvc;
using namespace netvc::test;

namespace {

void check(const SpscOptions& options) {
  BlockCount count;
  CAPTURE(options.seed);
  SpscResult result;
  run_spsc(options, result);
  CHECK(result.wrong.load() == 0);
  CHECK(result.negative.load() == 0);
  if (!options.deallocs) CHECK(result.rests.load() > 0);
}

}  // namespace

TEST_CASE("INV-4 shared: one writer, one reader, rest at random moments") {
  const uint64_t seed = take_seed("shared one reader");
  check({.seed = seed, .readers = 1, .size_index = 0, .water_mark = 0, .bytes = 4'000'000});
  check({.seed = seed + 1, .readers = 1, .size_index = 2, .water_mark = 3000, .bytes = 4'000'000});
}

TEST_CASE("INV-4 shared: one writer, three readers on three threads") {
  const uint64_t seed = take_seed("shared three readers");
  check({.seed = seed, .readers = 3, .size_index = 0, .water_mark = 0, .bytes = 2'000'000});
  check({.seed = seed + 1, .readers = 3, .size_index = 1, .water_mark = 1000, .bytes = 2'000'000});
}

TEST_CASE("INV-4 shared: blocks of one byte") {
  const uint64_t seed = take_seed("shared one byte");
  check({.seed = seed, .readers = 1, .size_index = -1, .water_mark = 0, .bytes = 100'000});
  check({.seed = seed + 1, .readers = 1, .size_index = -1, .water_mark = 9, .bytes = 100'000});
}

TEST_CASE("INV-4 shared: readers leave on their own threads while the writer works") {
  const uint64_t seed = take_seed("shared deallocs");
  for (uint64_t i = 0; i < 60; ++i) {
    check(
        {.seed = seed + 10 * i, .readers = 2, .water_mark = 200, .bytes = 4'000, .deallocs = true});
  }
}

TEST_CASE("BUF-3 shared: a drained reader leaves while the writer begins a chain or rests") {
  BlockCount count;
  // The narrow moment: both sides may change the position of a reader with nothing unread.
  std::atomic<IOBufferReader*> leaving{nullptr};
  std::atomic<bool> done{false};
  std::thread reader([&] {
    Spin spin;
    for (int turn = 0; !done.load(); ++turn) {
      IOBufferReader* r = leaving.load();
      if (!r) {
        spin.once();
        continue;
      }
      for (int i = turn % 4; i >= 0; --i)
        r->reset();
      r->mbuf()->dealloc_reader(r);
      leaving.store(nullptr);
    }
  });
  Spin spin;
  for (Rounds rounds(20'000); rounds.next();) {
    Ref<MIOBuffer> m = MIOBuffer::create_empty(0);
    m->set_shared();
    leaving.store(m->alloc_reader());
    while (leaving.load()) {
      put(*m, "x");
      m->release_if_drained();
      spin.once();
    }
  }
  done.store(true);
  reader.join();
}

TEST_CASE("BUF-3 shared: a reader's place is given again while its dealloc ends elsewhere") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create_empty(0);
  m->set_shared();
  std::atomic<IOBufferReader*> next{nullptr};
  std::atomic<bool> done{false};
  std::thread reader([&] {
    Spin spin;
    while (!done.load()) {
      IOBufferReader* r = next.exchange(nullptr);
      if (!r) {
        spin.once();
        continue;
      }
      r->reset();
      m->dealloc_reader(r);
    }
  });
  Spin spin;
  for (Rounds rounds(20'000); rounds.next();) {
    IOBufferReader* r = m->alloc_reader();
    REQUIRE(r != nullptr);
    put(*m, "x");
    next.store(r);
    while (MIOBuffer::is_active(*r))
      spin.once();
  }
  done.store(true);
  reader.join();
  CHECK(m->reader_count() == 0);
}

TEST_CASE("BUF-8 shared: readers come and go while another thread asks how full the buffer is") {
  // As a net thread does that drains one reader, while the buffer's owner makes others.
  BlockCount count;
  for (const bool has_reader : {true, false}) {
    CAPTURE(has_reader);
    for (Rounds rounds(300); rounds.next();) {
      Ref<MIOBuffer> m = MIOBuffer::create_empty(0, 1000);
      m->set_shared();
      IOBufferReader* drained = has_reader ? m->alloc_reader() : nullptr;
      std::atomic<bool> done{false};
      std::atomic<int64_t> least{0};
      std::thread other([&] {
        Spin spin;
        while (!done.load()) {
          (void)m->can_take_more();
          (void)m->is_full();
          (void)m->reader_count();
          least.store(std::min(least.load(), m->max_read_avail()));
          if (drained) drained->reset();
          spin.once();
        }
      });
      for (int i = 0; i < 20; ++i) {
        put(*m, "some bytes");
        IOBufferReader* made = m->alloc_reader();
        REQUIRE(made != nullptr);
        IOBufferReader* cloned = m->clone_reader(made);
        REQUIRE(cloned != nullptr);
        m->dealloc_reader(made);
        cloned->reset();
        m->dealloc_reader(cloned);
      }
      done.store(true);
      other.join();
      CHECK(least.load() >= 0);
    }
  }
}

TEST_CASE("BUF-8 shared: the water mark may be moved by any thread") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(0);
  m->set_shared();
  IOBufferReader* r = m->alloc_reader();
  std::thread other([&] {
    for (int i = 0; i < 1000; ++i) {
      (void)r->high_water();
      (void)m->can_take_more();
      m->water_mark = i;
    }
  });
  for (int i = 0; i < 1000; ++i) {
    m->write_avail();
    m->water_mark = i;
  }
  other.join();
}

TEST_CASE("BUF-4 shared: read_avail on a third thread is never negative") {
  BlockCount count;
  Ref<MIOBuffer> m = MIOBuffer::create(kIndexLarge);
  m->set_shared();
  IOBufferReader* r = m->alloc_reader();
  std::atomic<bool> done{false};
  std::atomic<int> negative{0};
  std::thread reader([&] {
    Spin spin;
    while (!done.load(std::memory_order_relaxed)) {
      r->reset();
      spin.once();
    }
  });
  std::thread watcher([&] {
    Spin spin;
    while (!done.load(std::memory_order_relaxed)) {
      if (r->read_avail() < 0) ++negative;
      spin.once();
    }
  });
  Spin spin;
  for (Rounds rounds(300'000); rounds.next();) {
    put(*m, "0123456789");
    spin.once();
  }
  done.store(true);
  reader.join();
  watcher.join();
  CHECK(negative.load() == 0);
}
