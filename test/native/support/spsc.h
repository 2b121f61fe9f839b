// One writing thread and several reading threads on one shared MIOBuffer (INV-4): the writer adds a
// byte stream in every way and gives the blocks back at random moments; each reader checks that
// every byte has its place.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/pattern.h"
#include "support/random.h"
#include "support/spin.h"

namespace netvc::test {

struct SpscOptions {
  uint64_t seed = 0;
  int readers = 2;
  int size_index = 0;
  int64_t water_mark = 0;
  int64_t bytes = 1 << 20;  // or as many as 10 s let through: a yield may cost a time slice
  bool deallocs = false;    // readers leave half way, at random, on their own threads
};

struct SpscResult {
  std::atomic<int64_t> end{0};   // of the stream; the writer may bring it nearer
  std::atomic<int> wrong{0};     // bytes out of place, refusals
  std::atomic<int> rests{0};     // release_if_drained() gave blocks back
  std::atomic<int> negative{0};  // read_avail() below 0 on a third thread
};

namespace spsc {

inline void add(MIOBuffer& m, Random& random, uint64_t at, int64_t most, SpscResult& result) {
  if (random.one_in(2)) {  // as the network does it
    int64_t n = m.write_avail();
    if (n > most) n = most;
    n = n > 0 ? random.size(n) : 0;
    iovec iov[8];
    const int pieces = m.room_iovecs(iov, 8, n);
    int64_t got = 0;
    for (int i = 0; i < pieces; ++i) {
      fill_pattern(iov[i].iov_base, at + static_cast<uint64_t>(got), iov[i].iov_len);
      got += static_cast<int64_t>(iov[i].iov_len);
    }
    if (!m.fill(got)) ++result.wrong;
  } else if (!m.high_water()) {
    const std::string s = pattern(at, static_cast<size_t>(random.size(most < 900 ? most : 900)));
    if (random.one_in(4)) {
      if (!m.append_block(block_of(s, static_cast<int>(random.below(30))))) ++result.wrong;
    } else {
      put(m, s);
    }
  } else {
    ::sched_yield();
  }
}

inline void write_all(MIOBuffer& m, const SpscOptions& options, SpscResult& result) {
  Random random(options.seed);
  Rounds rounds;
  while (const int64_t left = result.end.load() - static_cast<int64_t>(m.produced())) {
    if (m.reader_count() == 0) return;  // nobody will ever make room
    add(m, random, m.produced(), left, result);
    if (random.one_in(16)) {
      ::sched_yield();
      if (!rounds.next()) result.end.store(static_cast<int64_t>(m.produced()));
    }
    if (random.one_in(2) && m.has_writer_block() && m.release_if_drained()) ++result.rests;
  }
}

inline void read_all(MIOBuffer& m, IOBufferReader* r, const SpscOptions& options, uint64_t salt,
                     SpscResult& result) {
  Random random(options.seed + salt);
  const int64_t leaves = options.deallocs ? random.below(options.bytes) : options.bytes;
  char copy[700];
  while (static_cast<int64_t>(r->consumed()) < std::min(leaves, result.end.load())) {
    const uint64_t at = r->consumed();
    int64_t n = 0;
    switch (random.below(4)) {
      case 0:  // as a write to the network does it
      {
        iovec iov[4];
        const int pieces = r->iovecs(iov, 4, random.size(3000), &n);
        uint64_t seen = at;
        for (int i = 0; i < pieces; ++i) {
          if (matching_pattern(iov[i].iov_base, seen, iov[i].iov_len) != iov[i].iov_len)
            ++result.wrong;
          seen += iov[i].iov_len;
        }
        n = n > 0 ? random.below(n + 1) : 0;  // a short write
        break;
      }
      case 1:
        n = r->block_read_avail();
        if (n > 0 &&
            matching_pattern(r->start(), at, static_cast<size_t>(n)) != static_cast<size_t>(n)) {
          ++result.wrong;
        }
        break;
      case 2:
        n = r->memcpy(copy, random.size(700));
        if (matching_pattern(copy, at, static_cast<size_t>(n)) != static_cast<size_t>(n))
          ++result.wrong;
        break;
      default: {
        const int64_t got = r->read(copy, random.size(700));
        if (matching_pattern(copy, at, static_cast<size_t>(got)) != static_cast<size_t>(got))
          ++result.wrong;
        if (got == 0) ::sched_yield();
        continue;
      }
    }
    if (!r->consume(n)) ++result.wrong;
    if (n == 0) ::sched_yield();
  }
  m.dealloc_reader(r);
}

}  // namespace spsc

inline void run_spsc(const SpscOptions& options, SpscResult& result) {
  Ref<MIOBuffer> m = MIOBuffer::create_empty(options.size_index, options.water_mark);
  m->set_shared();
  result.end.store(options.bytes);
  std::vector<IOBufferReader*> readers;
  for (int i = 0; i < options.readers; ++i)
    readers.push_back(m->alloc_reader());
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < options.readers; ++i) {
    threads.emplace_back([&, i] {
      spsc::read_all(*m, readers[static_cast<size_t>(i)], options, static_cast<uint64_t>(i) + 1,
                     result);
    });
  }
  std::thread watcher([&] {  // what any thread may ask
    while (!done.load()) {
      for (IOBufferReader* r : readers) {
        if (r->read_avail() < 0) ++result.negative;
      }
      ::sched_yield();
    }
  });
  spsc::write_all(*m, options, result);
  for (auto& t : threads)
    t.join();
  done.store(true);
  watcher.join();
}

}  // namespace netvc::test
