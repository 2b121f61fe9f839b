#include "base/versioned_pool.h"

#include <doctest/doctest.h>

#include <set>
#include <utility>
#include <vector>

using namespace netvc;

namespace {

int g_alive = 0;
int g_deaths = 0;

struct Thing {
  Thing(VersionedId its_id, int its_value) : id(its_id), value(its_value) { ++g_alive; }
  ~Thing() {
    --g_alive;
    ++g_deaths;
  }
  VersionedId id;
  int value;
};

using Pool = VersionedPool<Thing>;

// A pool is never destroyed: its chunks stay until the process ends.
Pool& pool() {
  static auto* p = new Pool();
  return *p;
}

struct Fixture {
  Fixture() { g_deaths = 0; }
  ~Fixture() {
    CHECK(pool().live() == 0);
    CHECK(g_alive == 0);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "SK-2 create gives a living object that its id finds") {
  Thing* t = pool().create(42);
  REQUIRE(t != nullptr);
  CHECK(t->id != 0);
  CHECK(version_of(t->id) % 2 == 0);
  CHECK(pool().live() == 1);
  Pool::Handle h = pool().address(t->id);
  REQUIRE(h);
  CHECK(h.get() == t);
  CHECK(h->value == 42);
  CHECK((*h).id == t->id);
  CHECK(pool().fail(t->id));
}

TEST_CASE_FIXTURE(Fixture, "SK-4 fail succeeds once, after it address finds nothing") {
  const VersionedId id = pool().create(1)->id;
  CHECK(pool().fail(id));
  CHECK(g_deaths == 1);
  CHECK_FALSE(pool().fail(id));
  CHECK_FALSE(pool().address(id));
  CHECK(g_deaths == 1);
}

TEST_CASE_FIXTURE(Fixture, "SK-3 SK-5 a handle keeps a failed object, the last one destroys it") {
  const VersionedId id = pool().create(7)->id;
  Pool::Handle a = pool().address(id);
  Pool::Handle b = pool().address(id);
  REQUIRE(pool().fail(id));
  CHECK_FALSE(pool().address(id));
  CHECK_FALSE(pool().fail(id));
  CHECK(a->value == 7);
  a = {};
  CHECK(g_deaths == 0);
  CHECK(pool().live() == 1);
  CHECK(b->value == 7);
  // The slot is not used again while a handle exists.
  const VersionedId other = pool().create(8)->id;
  CHECK(slot_of(other) != slot_of(id));
  pool().fail(other);
  CHECK(g_deaths == 1);
  b = {};
  CHECK(g_deaths == 2);
}

TEST_CASE_FIXTURE(Fixture, "SK-1 a slot that is used again has the next even version") {
  const VersionedId first = pool().create(1)->id;
  pool().fail(first);
  const VersionedId second = pool().create(2)->id;
  CHECK(slot_of(second) == slot_of(first));
  CHECK(version_of(second) == version_of(first) + 2);
  CHECK_FALSE(pool().address(first));
  CHECK_FALSE(pool().fail(first));
  CHECK(pool().address(second)->value == 2);
  pool().fail(second);
}

TEST_CASE_FIXTURE(Fixture, "INV-11 ids that were never given are answered with nothing") {
  const VersionedId id = pool().create(1)->id;
  const uint32_t version = version_of(id);
  for (VersionedId bad :
       {VersionedId{0}, make_id(slot_of(id), 0), make_id(slot_of(id), version + 2),
        make_id(slot_of(id), version - 2), make_id(slot_of(id), version + 1),
        make_id(1u << 30, version), make_id(UINT32_MAX, version), ~VersionedId{0}}) {
    CAPTURE(bad);
    CHECK_FALSE(pool().address(bad));
    CHECK_FALSE(pool().fail(bad));
  }
  CHECK(pool().address(id));
  pool().fail(id);
  const VersionedId next = make_id(slot_of(id), version + 2);  // of the object that comes next
  CHECK_FALSE(pool().address(next));
  CHECK_FALSE(pool().fail(next));
  CHECK(g_deaths == 1);
}

TEST_CASE_FIXTURE(Fixture, "INV-11 the odd version of a failed object is no id either") {
  const VersionedId id = pool().create(1)->id;
  const VersionedId odd = make_id(slot_of(id), version_of(id) + 1);
  Pool::Handle h = pool().address(id);
  pool().fail(id);
  CHECK_FALSE(pool().address(odd));
  CHECK_FALSE(pool().fail(odd));
  CHECK(g_deaths == 0);
  h = {};
  CHECK(g_deaths == 1);
}

TEST_CASE_FIXTURE(Fixture, "handles move, an empty one is harmless") {
  const VersionedId id = pool().create(3)->id;
  Pool::Handle none;
  CHECK_FALSE(none);
  CHECK(none.get() == nullptr);
  Pool::Handle a = pool().address(id);
  Pool::Handle b = std::move(a);
  CHECK_FALSE(a);
  CHECK(b->value == 3);
  none = std::move(b);
  CHECK(none->value == 3);
  pool().fail(id);
  CHECK(g_deaths == 0);
}

TEST_CASE_FIXTURE(Fixture, "many objects at once have different ids, and no id is 0") {
  std::set<VersionedId> ids;
  for (int i = 0; i < 1000; ++i)
    ids.insert(pool().create(i)->id);
  CHECK(ids.size() == 1000);
  CHECK(ids.count(0) == 0);
  CHECK(pool().live() == 1000);
  std::set<int> values;
  for (VersionedId id : ids)
    values.insert(pool().address(id)->value);
  CHECK(values.size() == 1000);
  for (VersionedId id : ids)
    CHECK(pool().fail(id));
  CHECK(g_deaths == 1000);
}

TEST_CASE("VersionedPool does not care how large its objects are aligned") {
  struct alignas(64) Wide {
    explicit Wide(VersionedId) {}
    char bytes[100];
  };
  static auto* wide = new VersionedPool<Wide>();
  std::vector<VersionedId> ids;
  for (int i = 0; i < 100; ++i) {
    Wide* w = wide->create();
    CHECK(reinterpret_cast<uintptr_t>(w) % 64 == 0);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "SK-5 an object belongs to nobody at first, whoever had its slot before") {
  const int here = 0, elsewhere = 0;
  const VersionedId first = pool().create(1)->id;
  CHECK(pool().peek(first, &here) == nullptr);
  pool().set_owner(first, &here);
  CHECK(pool().peek(first, &here) != nullptr);
  CHECK(pool().peek(first, &elsewhere) == nullptr);
  CHECK(pool().fail(first));
  CHECK(pool().peek(first, &here) == nullptr);

  const VersionedId second = pool().create(2)->id;
  REQUIRE(slot_of(second) == slot_of(first));
  CHECK(pool().peek(second, &here) == nullptr);  // it may be on its way to another thread
  CHECK(pool().fail(second));
}
