// Random operations on one thread, against a model: the whole stream as one string, each reader as
// a position in it (INV-4).
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "buffer/mio_buffer.h"
#include "support/buffer_helpers.h"
#include "support/counting.h"
#include "support/pattern.h"
#include "support/random.h"

using namespace netvc;
using namespace netvc::test;

namespace {

struct Model {
  IOBufferReader* reader = nullptr;
  size_t at = 0;
  int64_t limit = kNoLimit;
};

class Machine {
 public:
  Machine(Random& random, bool shared) : random_(random) {
    const int64_t mark = random.one_in(2) ? 0 : random.size(2000);
    const int index =
        random.one_in(4) ? -static_cast<int>(random.size(300)) : static_cast<int>(random.below(4));
    m_ = random.one_in(2) ? MIOBuffer::create(index, mark) : MIOBuffer::create_empty(index, mark);
    if (shared) m_->set_shared();
  }

  void step() {
    switch (random_.below(12)) {
      case 0:
        return alloc();
      case 1:
        return clone();
      case 2:
        return random_.one_in(3) ? dealloc() : void();
      case 3:
        return write();
      case 4:
        return fill();
      case 5:
        return append();
      case 6:
        return write_own();
      case 7:
        return limit();
      case 8:
        return void(m_->add_block());
      case 9:
        return rest();
      default:
        return consume();
    }
  }

  void check() {
    REQUIRE(m_->produced() == all_.size());
    int64_t most = 0;
    for (Model& r : readers_) {
      if (!r.reader) continue;
      REQUIRE(r.reader->consumed() == r.at);
      REQUIRE(r.reader->read_avail() == avail(r));
      REQUIRE(r.reader->size_limit() == r.limit);
      most = std::max(most, avail(r));
      const int64_t offset = random_.below(avail(r) + 1);
      const int64_t n = random_.one_in(2) ? kNoLimit : random_.size(500);
      REQUIRE(peek(r.reader, n, offset) == expected(r, n, offset));
      const char c = pattern_at(static_cast<uint64_t>(random_.below(1000)));
      const size_t hit = expected(r, n, offset).find(c);
      const int64_t found = hit == std::string::npos ? -1 : static_cast<int64_t>(hit) + offset;
      REQUIRE(r.reader->memchr(c, n, offset) == found);
      const int64_t here = r.reader->block_read_avail();
      REQUIRE((here > 0) == (avail(r) > 0));
      REQUIRE(here <= avail(r));
      REQUIRE(std::string(r.reader->start(), r.reader->end()) == expected(r, here, 0));
    }
    if (m_->reader_count() > 0) REQUIRE(m_->max_read_avail() == most);
  }

 private:
  std::string make(int64_t n) { return pattern(all_.size(), static_cast<size_t>(n)); }
  int64_t avail(const Model& r) const {
    return std::min(static_cast<int64_t>(all_.size() - r.at), r.limit);
  }
  std::string expected(const Model& r, int64_t n, int64_t offset) const {
    const int64_t most = std::min(n, avail(r) - offset);
    return all_.substr(r.at + static_cast<size_t>(offset), static_cast<size_t>(most));
  }
  Model* any() { return random_.one_in(8) ? nullptr : pick(); }
  Model* pick() {
    for (int tries = 0; tries < 8; ++tries) {
      Model& r = readers_[random_.below(MIOBuffer::kMaxReaders)];
      if (r.reader) return &r;
    }
    return nullptr;
  }
  void keep(IOBufferReader* reader, size_t at, int64_t limit) {
    if (!reader) {
      REQUIRE(m_->reader_count() == MIOBuffer::kMaxReaders);
      return;
    }
    Model& r = readers_[m_->index_of(reader)];
    REQUIRE(r.reader == nullptr);
    r = {reader, at, limit};
  }

  void alloc() {
    const size_t in_block = m_->has_writer_block() ? m_->first_write_block()->read_avail() : 0;
    keep(m_->alloc_reader(), all_.size() - in_block, kNoLimit);
  }
  void clone() {
    if (Model* r = pick()) keep(m_->clone_reader(r->reader), r->at, r->limit);
  }
  void dealloc() {
    if (Model* r = pick()) {
      m_->dealloc_reader(r->reader);
      REQUIRE(r->reader->read_avail() == 0);
      r->reader = nullptr;
    }
  }
  void write() {
    const std::string s = make(random_.below(2) ? random_.size(1500) : random_.size(20));
    REQUIRE(put(*m_, s) == static_cast<int64_t>(s.size()));
    all_ += s;
  }
  // As a read from a socket does it: over the room, in one or more calls.
  void fill() {
    const int64_t room = m_->write_avail();
    const int64_t want = std::min<int64_t>(room, random_.size(600));
    iovec iov[4];
    int64_t got = 0;
    while (got < want) {
      const int64_t part = random_.size(want - got);
      const int n = m_->room_iovecs(iov, 1 + static_cast<int>(random_.below(4)), part, got);
      REQUIRE(n > 0);
      for (int i = 0; i < n; ++i) {
        fill_pattern(iov[i].iov_base, all_.size() + static_cast<size_t>(got), iov[i].iov_len);
        got += static_cast<int64_t>(iov[i].iov_len);
      }
    }
    REQUIRE_FALSE(m_->fill(m_->current_write_avail() + 1));
    const std::string s = make(got);
    REQUIRE(m_->fill(got));
    all_ += s;
  }
  void append() {
    const std::string s = make(random_.size(300));
    REQUIRE(m_->append_block(block_of(s, static_cast<int>(random_.below(40)))));
    all_ += s;
  }
  // By reference from a reader of this buffer. Keeps the stream short.
  void write_own() {
    Model* r = pick();
    if (!r || all_.size() > 200'000) return;
    const int64_t offset = random_.below(avail(*r) + 2);
    const int64_t n = random_.one_in(4) ? kNoLimit : random_.size(400);
    const std::string s = offset > avail(*r) ? "" : expected(*r, n, offset);
    REQUIRE(m_->write(r->reader, n, offset) == static_cast<int64_t>(s.size()));
    all_ += s;
  }
  void limit() {
    if (Model* r = any()) {
      r->limit = random_.one_in(2) ? kNoLimit : random_.below(1000);
      r->reader->set_size_limit(r->limit);
    }
  }
  void consume() {
    Model* r = any();
    if (!r) return;
    REQUIRE_FALSE(r->reader->consume(avail(*r) + 1));
    const int64_t n = random_.one_in(3) ? avail(*r) : random_.below(avail(*r) + 1);
    REQUIRE(r->reader->consume(n));
    r->at += static_cast<size_t>(n);
    if (r->limit != kNoLimit) r->limit -= n;
  }
  void rest() {
    if (random_.one_in(2)) {
      for (Model& r : readers_) {
        if (!r.reader) continue;
        r.limit = kNoLimit;
        r.reader->set_size_limit(kNoLimit);
        r.at = all_.size();
        r.reader->reset();
      }
    }
    bool drained = m_->reader_count() > 0 || !m_->has_writer_block() ||
                   m_->first_write_block()->read_avail() == 0;
    for (const Model& r : readers_)
      drained = drained && (!r.reader || r.at == all_.size());
    REQUIRE(m_->release_if_drained() == drained);
    if (drained) REQUIRE_FALSE(m_->has_writer_block());
  }

  Random& random_;
  Ref<MIOBuffer> m_;
  std::string all_;
  Model readers_[MIOBuffer::kMaxReaders];
};

}  // namespace

TEST_CASE("INV-4 F-001..F-011 random operations of one thread against a string") {
  BlockCount count;
  Random random(take_seed("mio_buffer_property"));
  for (int round = 0; round < 400; ++round) {
    Machine machine(random, round % 2 == 1);
    for (int step = 0; step < 80; ++step) {
      machine.step();
      machine.check();
    }
  }
}
