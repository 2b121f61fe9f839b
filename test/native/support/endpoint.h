// support/endpoint.h - for tests.
//
// Endpoint: one end of a stream test. Sends `total` bytes of the pattern and checks that what it
// reads is the pattern of the other end, through buffers of any shape, in chunks of any size;
// half-closes when it has sent everything, closes when both directions are done.
//
// A reader that leaves bytes in a full buffer must come back to them: that is tick(), which a test
// calls once per turn. With `greedy` everything is consumed at once and no tick is needed.
#pragma once

#include <atomic>

#include "support/event_recorder.h"
#include "support/pattern.h"
#include "support/random.h"

namespace netvc::test {

struct Shape {
  int in_index = kIndexLarge, out_index = kIndexLarge;
  int64_t in_mark = 4096, out_mark = 4096;
  int64_t chunk = 4096;  // bytes put per WRITE_READY at most
  bool greedy = true;

  static Shape random(Random& r) {
    Shape s;
    s.in_index = static_cast<int>(r.below(11));
    s.out_index = static_cast<int>(r.below(11));
    s.in_mark = r.one_in(4) ? 0 : r.size(200'000);
    s.out_mark = r.one_in(4) ? 0 : r.size(200'000);
    s.chunk = r.size(300'000);
    s.greedy = r.one_in(2);
    return s;
  }
};

class Endpoint final : public Recorder {
 public:
  Endpoint(uint64_t sends_from, int64_t total, uint64_t reads_from, Shape shape, uint64_t seed)
      : sends_from_(sends_from),
        reads_from_(reads_from),
        total_(total),
        shape_(shape),
        random_(seed) {
    in_ = MIOBuffer::create_empty(shape.in_index, shape.in_mark);
    reader_ = in_->alloc_reader();
    out_ = MIOBuffer::create_empty(shape.out_index, shape.out_mark);
    out_reader_ = out_->alloc_reader();
  }
  ~Endpoint() override = default;

  /// On the connection's thread.
  void start(NetVConnection& vc) {
    vc_ = &vc;
    vc.do_io_read(this, VIO::kUnlimited, in_);
    vc.do_io_write(this, total_, out_reader_);
    if (total_ == 0) finish_writing();
  }
  void tick() {
    if (!vc_ || reader_->read_avail() == 0) return;
    consume(reader_->read_avail());
    if (!read_done_) vc_->reenable(&vc_->read_vio);
  }

  int handle_event(Event e, VIO* vio) override {
    Recorder::handle_event(e, vio);
    switch (e) {
      case Event::kReadReady:
        consume(shape_.greedy ? reader_->read_avail() : random_.below(reader_->read_avail() + 1));
        vio->reenable();
        break;
      case Event::kWriteReady:
        put();
        break;
      case Event::kWriteComplete:
        finish_writing();
        break;
      case Event::kEos:
        consume(reader_->read_avail());
        read_done_ = true;
        if (vc_->lerrno) error = vc_->lerrno;
        maybe_close();
        break;
      default:
        error = vc_->lerrno;
        read_done_ = write_done_ = true;
        maybe_close();
    }
    return 0;
  }

  std::atomic<int64_t> right{0};  // bytes received that were the right ones
  std::atomic<bool> wrong{false};
  std::atomic<int> error{0};
  std::atomic<bool> done{false};

 private:
  void put() {
    std::string s;
    int64_t n =
        std::min(total_ - put_, shape_.greedy ? shape_.chunk : 1 + random_.below(shape_.chunk));
    if (n <= 0) return;
    s = pattern(sends_from_ + static_cast<uint64_t>(put_), static_cast<size_t>(n));
    out_->write(s.data(), n);
    put_ += n;
    vc_->reenable(&vc_->write_vio);
    // Asked again as soon as this has left, also when it leaves in this very activation.
    vc_->trap_write_buffer_empty(true);
  }
  void consume(int64_t n) {
    std::string s(static_cast<size_t>(n), '\0');
    reader_->read(s.data(), n);
    const auto from = reads_from_ + static_cast<uint64_t>(right.load());
    const size_t ok = matching_pattern(s.data(), from, s.size());
    right += static_cast<int64_t>(ok);
    if (ok != s.size()) wrong = true;
  }
  void finish_writing() {
    write_done_ = true;
    vc_->do_io_shutdown(Shutdown::kWrite);
    maybe_close();
  }
  void maybe_close() {
    if (!read_done_ || !write_done_) return;
    expect_silence();
    std::exchange(vc_, nullptr)->do_io_close();
    done = true;
  }

  uint64_t sends_from_, reads_from_;
  int64_t total_, put_ = 0;
  Shape shape_;
  Random random_;
  NetVConnection* vc_ = nullptr;
  Ref<MIOBuffer> in_, out_;
  IOBufferReader* reader_ = nullptr;
  IOBufferReader* out_reader_ = nullptr;
  bool read_done_ = false, write_done_ = false;
};

}  // namespace netvc::test
