// How a pair ends, on one side and on both (PV-10, PV-16, PV-20, PV-22, PV-23), and what its ends
// know (PV-25).
#include <netinet/in.h>

#include <cerrno>

#include <doctest/doctest.h>

#include "support/buf.h"
#include "support/ends.h"
#include "support/event_recorder.h"
#include "support/leak_check.h"
#include "support/notices.h"

namespace netvc::test {

namespace {

struct Fixture : PairFixture {
  void write(int64_t n = VIO::kUnlimited) { a.do_io_write(&writer, n, out.r); }
  void read(int64_t n = VIO::kUnlimited) { p.do_io_read(&reader, n, in.m); }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "PV-22 B-27: a shut writing side is EOS for an idle reader, at once") {
  read();
  loop.settle();
  a.do_io_shutdown(Shutdown::kWrite);
  loop.turn();
  CHECK_EQ(reader.story(), "EOS");
  CHECK_EQ(p.lerrno, 0);
}

TEST_CASE_FIXTURE(Fixture,
                  "PV-22 PV-10 F-108 F-110: a shut reading side is ERROR for an idle writer") {
  write();
  loop.settle();
  writer.forget();
  p.do_io_shutdown(Shutdown::kRead);
  loop.turn();
  CHECK_EQ(writer.story(), "ERROR");
  CHECK_EQ(a.lerrno, EPIPE);
  CHECK_EQ(a.failure(), EPIPE);
}

TEST_CASE_FIXTURE(Fixture, "PV-16 PV-23 F-107: EOS comes after the bytes that were sent before") {
  out.put(std::string(1000, 'x'));
  write(1000);
  loop.settle();
  a.do_io_close();
  loop.settle();
  CHECK_FALSE(is_alive(ends.a_id));
  read();
  loop.settle();
  CHECK_EQ(reader.story(), "RR EOS");
  CHECK_EQ(in.avail(), 1000);
}

TEST_CASE_FIXTURE(Fixture, "PV-16: EOS is told although the reader's buffer is full") {
  out.put(std::string(32768, 'x'));
  write();
  read();
  loop.settle();
  REQUIRE_EQ(in.avail(), 32768);
  a.do_io_close();
  loop.settle();
  CHECK_EQ(reader.endings(), "EOS");
  CHECK_EQ(in.avail(), 32768);
}

TEST_CASE_FIXTURE(Fixture, "PV-23 B-62 F-111: close wakes a peer that is armed both ways") {
  Buf back;
  p.do_io_read(&reader, VIO::kUnlimited, in.m);
  p.do_io_write(&writer, VIO::kUnlimited, back.r);
  loop.settle();
  reader.forget();
  writer.forget();
  a.do_io_close();
  loop.settle();
  CHECK_EQ(reader.story(), "EOS");
  CHECK_EQ(writer.story(), "ERROR");
  CHECK_EQ(p.lerrno, EPIPE);
}

TEST_CASE_FIXTURE(
    Fixture,
    "PV-20 B-30: EOS and ERROR are told once for an operation; a new one hears them again") {
  Buf back;
  p.do_io_read(&reader, VIO::kUnlimited, in.m);
  p.do_io_write(&writer, VIO::kUnlimited, back.r);
  a.do_io_close();
  loop.settle();
  const std::string before = reader.endings() + writer.endings();
  for (int i = 0; i < 3; ++i) {
    p.reenable(&p.read_vio);
    p.reenable(&p.write_vio);
    loop.settle();
  }
  CHECK_EQ(reader.endings() + writer.endings(), before);
  p.do_io_read(&reader, VIO::kUnlimited, in.m);
  loop.settle();
  CHECK_EQ(reader.endings(), "EOS EOS");
}

TEST_CASE_FIXTURE(Fixture, "PV-20: an end may close itself and the other one inside any event") {
  for (int which = 0; which < 4; ++which) {
    TwoEnds pair(loop);
    Recorder r, w;
    Buf from, to;
    from.put("hello");
    const auto close = [&](Event, VIO*) {
      if (which & 1) pair.a->do_io_close();
      if (which != 1) pair.p->do_io_close();
    };
    (which < 2 ? w : r).react = close;
    pair.a->do_io_write(&w, VIO::kUnlimited, from.r);
    pair.p->do_io_read(&r, VIO::kUnlimited, to.m);
    loop.settle();
    if (is_alive(pair.a_id)) pair.a->do_io_close();
    if (is_alive(pair.p_id)) pair.p->do_io_close();
    loop.settle();
    CHECK_FALSE(is_alive(pair.a_id));
    CHECK_FALSE(is_alive(pair.p_id));
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "SIG-2: an end without operations stays; its operations find the end later") {
  a.do_io_close();
  loop.settle();
  CHECK(is_alive(ends.p_id));
  read();
  loop.settle();
  CHECK_EQ(reader.story(), "EOS");
}

TEST_CASE_FIXTURE(Fixture,
                  "CL-6, RD-17: a reset end is ECONNRESET for its peer, after what it had sent") {
  out.put("sent");
  write();
  loop.settle();
  a.close_with_reset();
  read();
  loop.settle();
  CHECK_EQ(reader.story(), "RR EOS");
  CHECK_EQ(p.lerrno, ECONNRESET);
  CHECK_EQ(in.avail(), 4);
}

TEST_CASE_FIXTURE(Fixture, "SK-4: an end that was failed is the end of the stream for its peer") {
  read();
  write();
  loop.settle();
  writer.forget();
  NetVConnection::set_failed(NetVConnection::pool().address(ends.a_id), ECONNABORTED, "why not");
  loop.settle();
  CHECK_EQ(writer.story(), "ERROR");
  CHECK_EQ(a.lerrno, ECONNABORTED);
  CHECK_EQ(reader.story(), "EOS");
}

TEST_CASE_FIXTURE(
    Fixture,
    "CL-2 SW-11: messages that were accepted leave after close; they fail when the peer goes") {
  const std::string big(100'000, 'x');
  CHECK(a.queue_write(big.data(), big.size()));
  a.do_io_close();
  loop.settle();
  CHECK(is_alive(ends.a_id));  // lingers
  std::string got;
  reader.react = [&](Event, VIO* vio) {
    got += in.take();
    vio->reenable();
  };
  read();
  REQUIRE(loop.until([&] { return reader.has(Event::kEos); }));
  CHECK_EQ(got.size(), big.size());
  CHECK_FALSE(is_alive(ends.a_id));

  TwoEnds other(loop);
  Notices told;
  CHECK(other.a->queue_write(big.data(), big.size()));
  other.a->when_drained(0, told.notice());
  loop.settle();
  other.p->do_io_close();
  loop.settle();
  CHECK_EQ(told.codes, std::vector<int>{EPIPE});
  CHECK_FALSE(other.a->can_send());
}

TEST_CASE("PV-25 F-113: addresses, opaque values mirrored, CLOSED") {
  LeakCheck leaks;
  Loop loop;
  PairOptions options;
  REQUIRE(Address::from_ip("192.0.2.1", 80, &options.active_addr));
  REQUIRE(Address::from_ip("2001:db8::1", 443, &options.passive_addr));
  TwoEnds ends(loop, options);
  CHECK_EQ(ends.a->local_addr().url(), "tcp://192.0.2.1:80");
  CHECK_EQ(ends.a->remote_addr().url(), "tcp://[2001:db8::1]:443");
  CHECK_EQ(ends.p->local_addr().url(), "tcp://[2001:db8::1]:443");
  CHECK_EQ(ends.p->remote_addr().url(), "tcp://192.0.2.1:80");
  int mine = 0, theirs = 0;
  CHECK(ends.a->set_data(kDataLocal, &mine));
  CHECK(ends.a->set_data(kDataRemote, &theirs));
  CHECK_FALSE(ends.a->set_data(kDataClosed, &mine));
  void* seen = nullptr;
  CHECK(ends.a->get_data(kDataLocal, &seen));
  CHECK_EQ(seen, &mine);
  CHECK(ends.p->get_data(kDataRemote, &seen));
  CHECK_EQ(seen, &mine);
  CHECK(ends.p->get_data(kDataLocal, &seen));
  CHECK_EQ(seen, &theirs);
  int closed = 7;
  CHECK(ends.p->get_data(kDataClosed, &closed));
  CHECK_EQ(closed, 0);
  VcPool::Handle held = NetVConnection::pool().address(ends.p_id);
  ends.p->do_io_close();
  CHECK(held->get_data(kDataClosed, &closed));
  CHECK_EQ(closed, 1);
  Loop plain;
  VcAndPeer socket(plain, Family::kUnix);
  CHECK_FALSE(socket->get_data(kDataLocal, &seen));
  CHECK_FALSE(socket->set_data(kDataLocal, &mine));
}

TEST_CASE(
    "PV-25 KQ-5 F-114: tag, id, internal mark; what has no meaning without a socket does nothing") {
  LeakCheck leaks;
  Loop loop;
  PairOptions options;
  options.tag = "plugin";
  options.tag_id = 42;
  options.internal_request = true;
  TwoEnds ends(loop, options);
  for (NetVConnection* vc : {ends.a, ends.p}) {
    CHECK_EQ(vc->pair_end()->options().tag, "plugin");
    CHECK_EQ(vc->pair_end()->options().tag_id, 42);
    CHECK_EQ(vc->get_socket(), -1);
    CHECK_EQ(vc->set_tcp_init_cwnd(10), -1);
    CHECK_EQ(vc->apply_options({}), 0);
    CHECK_EQ(vc->outstanding(), -1);
    CHECK(vc->add_to_active_queue());
    CHECK(vc->add_to_keep_alive_queue());
    CHECK_EQ(static_cast<int>(vc->queue), static_cast<int>(Queue::kNone));
    vc->remove_from_queues();
  }
  CHECK(ends.a->pair_end()->is_active());
  CHECK_FALSE(ends.a->is_internal_request);
  CHECK(ends.p->is_internal_request);
  CHECK_EQ(ends.a->pair_end()->peer(), ends.p_id);
  CHECK_EQ(ends.p->pair_end()->peer(), ends.a_id);
}

TEST_CASE("PV-30 INV-11: 10^5 pairs made and closed, in each order, and never attached") {
  LeakCheck leaks;
  Loop loop;
  for (int i = 0; i < 100'000; ++i) {
    NetVConnection *a = nullptr, *p = nullptr;
    REQUIRE(PairEnd::create({}, &a, &p));
    if (i % 8 == 0) {
      a->release();
      p->release();
      continue;
    }
    a->start_here(loop.h);
    p->start_here(loop.h);
    if (i % 8 < 4) a->queue_write("x", i % 2 ? 1 : 0);
    NetVConnection* first = i % 3 ? a : p;
    first->do_io_close();
    if (i % 5 == 0) loop.turn();
    (first == a ? p : a)->do_io_close();
    if (i % 1000 == 0) loop.settle();
  }
  REQUIRE(loop.until([&] { return loop.h.open_count() == 0; }));
}

}  // namespace netvc::test
