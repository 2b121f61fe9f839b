// support/echo.h - for tests.
//
// EchoServer: accepts and sends back what it reads until the end, over read and write VIO with one
// buffer, as a user of the engine would write it. EchoClient: connects, sends n bytes of the
// pattern, reads them back, half-closes, waits for the end. Both run on any handler.
#pragma once

#include <atomic>
#include <memory>

#include "server/acceptor.h"
#include "server/connect.h"
#include "support/event_recorder.h"
#include "support/pattern.h"

namespace netvc::test {

/// Deletes itself when its connection has ended.
class EchoConnection final : public Recorder {
 public:
  EchoConnection(NetVConnection& vc, std::atomic<int>* live) : vc_(vc), live_(live) {
    live_->fetch_add(1);
    buf_ = MIOBuffer::create_empty(kIndexLarge, 32768);
    reader_ = buf_->alloc_reader();
    vc_.do_io_read(this, VIO::kUnlimited, buf_);
    vc_.do_io_write(this, VIO::kUnlimited, reader_);
  }
  ~EchoConnection() override { live_->fetch_sub(1); }

  int handle_event(Event e, VIO* vio) override {
    Recorder::handle_event(e, vio);
    switch (e) {
      case Event::kReadReady:
        vc_.reenable(&vc_.write_vio);
        return 0;
      case Event::kWriteReady:
        vc_.trap_write_buffer_empty(true);
        vc_.reenable(&vc_.read_vio);
        return 0;
      case Event::kEos:
        if (vio->op == Op::kWrite) break;  // reset: nothing more will leave
        vc_.write_vio.done();
        if (vc_.write_vio.ntodo() > 0) return vc_.reenable(&vc_.write_vio), 0;
        break;
      default:
        break;
    }
    vc_.do_io_close();
    delete this;
    return 0;
  }

 private:
  NetVConnection& vc_;
  std::atomic<int>* live_;
  Ref<MIOBuffer> buf_;
  IOBufferReader* reader_;
};

class EchoServer final : public AcceptHandler {
 public:
  void on_accept(NetVConnection& vc) override {
    accepted.fetch_add(1);
    new EchoConnection(vc, &live);
  }
  void on_accept_error(int error) override { failed.store(error); }
  void on_accept_stopped() override { stopped.fetch_add(1); }

  std::atomic<int> accepted{0};
  std::atomic<int> live{0};
  std::atomic<int> failed{0};
  std::atomic<int> stopped{0};
};

class EchoClient final : public ConnectHandler, public Recorder {
 public:
  explicit EchoClient(size_t bytes) : bytes_(bytes) {}
  ~EchoClient() override = default;

  void on_open(NetVConnection& vc) override {
    vc_ = &vc;
    out_ = MIOBuffer::create_empty(kIndex32K);
    IOBufferReader* r = out_->alloc_reader();
    const std::string s = pattern(0, bytes_);
    out_->write(s.data(), static_cast<int64_t>(s.size()));
    in_ = MIOBuffer::create_empty(kIndexLarge, 4096);
    reader_ = in_->alloc_reader();
    vc.do_io_read(this, VIO::kUnlimited, in_);
    vc.do_io_write(this, static_cast<int64_t>(bytes_), r);
  }
  void on_open_failed(ConnectError e) override {
    error = e.error_number ? e.error_number : e.code;
    done = true;
  }
  int handle_event(Event e, VIO* vio) override {
    Recorder::handle_event(e, vio);
    std::string piece(static_cast<size_t>(reader_->read_avail()), '\0');
    reader_->read(piece.data(), static_cast<int64_t>(piece.size()));
    right += matching_pattern(piece.data(), right, piece.size());
    if (e == Event::kReadReady) {
      vc_->reenable(&vc_->read_vio);
    } else if (e == Event::kWriteComplete) {
      vc_->do_io_shutdown(Shutdown::kWrite);
    } else if (e == Event::kEos || e == Event::kError) {
      error = vc_->lerrno;
      expect_silence();
      vc_->do_io_close();
      done = true;
    }
    return 0;
  }

  std::atomic<size_t> right{0};
  std::atomic<int> error{0};
  std::atomic<bool> done{false};

 private:
  size_t bytes_;
  NetVConnection* vc_ = nullptr;
  Ref<MIOBuffer> out_, in_;
  IOBufferReader* reader_ = nullptr;
};

}  // namespace netvc::test
