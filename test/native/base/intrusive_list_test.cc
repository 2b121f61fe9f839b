#include "base/intrusive_list.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <vector>

#include "support/random.h"

using namespace netvc;

namespace {

struct Item {
  int id = 0;
  Link<Item> a;
  Link<Item> b;
};

using ListA = IntrusiveList<Item, &Item::a>;
using ListB = IntrusiveList<Item, &Item::b>;

std::vector<int> ids(const ListA& list) {
  std::vector<int> v;
  for (Item* i = list.front(); i; i = ListA::next(*i))
    v.push_back(i->id);
  return v;
}

}  // namespace

TEST_CASE("IntrusiveList is first in, first out") {
  Item x{1, {}, {}}, y{2, {}, {}}, z{3, {}, {}};
  ListA list;
  CHECK(list.empty());
  CHECK(list.front() == nullptr);
  CHECK(list.pop_front() == nullptr);
  for (Item* i : {&x, &y, &z})
    CHECK(list.push_back(*i));
  CHECK(list.size() == 3);
  CHECK(ids(list) == std::vector<int>{1, 2, 3});
  CHECK(list.pop_front() == &x);
  CHECK(list.pop_front() == &y);
  CHECK(list.pop_front() == &z);
  CHECK(list.empty());
  CHECK(list.size() == 0);
}

TEST_CASE("NH-3 an element that is in the list already keeps its place") {
  Item x{1, {}, {}}, y{2, {}, {}};
  ListA list;
  list.push_back(x);
  list.push_back(y);
  CHECK_FALSE(list.push_back(x));
  CHECK(list.size() == 2);
  CHECK(ids(list) == std::vector<int>{1, 2});
  list.remove(x);
  list.remove(y);
}

TEST_CASE("IntrusiveList removes from the front, the middle and the end, absent is no-op") {
  Item items[4] = {{0, {}, {}}, {1, {}, {}}, {2, {}, {}}, {3, {}, {}}};
  ListA list;
  CHECK_FALSE(list.remove(items[0]));
  for (Item& i : items)
    list.push_back(i);
  CHECK(list.remove(items[2]));
  CHECK_FALSE(list.remove(items[2]));
  CHECK(ids(list) == std::vector<int>{0, 1, 3});
  CHECK(list.remove(items[3]));
  CHECK(list.push_back(items[2]));
  CHECK(list.remove(items[0]));
  CHECK(ids(list) == std::vector<int>{1, 2});
  CHECK(list.remove(items[1]));
  CHECK(list.remove(items[2]));
  CHECK(list.empty());
  CHECK_FALSE(ListA::contains(items[1]));
}

TEST_CASE("IntrusiveList: one element in two lists, by two links") {
  Item x{1, {}, {}};
  ListA a;
  ListB b;
  CHECK(a.push_back(x));
  CHECK(b.push_back(x));
  CHECK(a.pop_front() == &x);
  CHECK(ListB::contains(x));
  CHECK_FALSE(ListA::contains(x));
  CHECK(b.pop_front() == &x);
}

TEST_CASE("IntrusiveList: random operations against a deque") {
  test::Random random(test::take_seed("IntrusiveList"));
  Item items[20];
  for (int i = 0; i < 20; ++i)
    items[i].id = i;
  ListA list;
  std::deque<int> model;
  for (int step = 0; step < 20'000; ++step) {
    Item& i = items[random.below(20)];
    const auto at = std::find(model.begin(), model.end(), i.id);
    REQUIRE(ListA::contains(i) == (at != model.end()));
    switch (random.below(3)) {
      case 0:
        REQUIRE(list.push_back(i) == (at == model.end()));
        if (at == model.end()) model.push_back(i.id);
        break;
      case 1:
        REQUIRE(list.remove(i) == (at != model.end()));
        if (at != model.end()) model.erase(at);
        break;
      default: {
        Item* front = list.pop_front();
        REQUIRE((front != nullptr) == !model.empty());
        if (front) REQUIRE(front->id == model.front());
        if (front) model.pop_front();
      }
    }
    REQUIRE(list.size() == model.size());
    if (step % 64 == 0) REQUIRE(ids(list) == std::vector<int>(model.begin(), model.end()));
  }
  while (list.pop_front()) {
  }
}
