// support/json.h - writes the one line of JSON a run prints. Keys are literals,
// values are numbers, booleans and short texts: no more than that is supported.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <type_traits>

namespace netvc::bench {

class JsonLine {
 public:
  JsonLine& Field(std::string_view key, std::string_view text) {
    Key(key);
    text_ += '"';
    for (const char c : text) {
      if (c == '"' || c == '\\') text_ += '\\';
      text_ += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    text_ += '"';
    return *this;
  }
  JsonLine& Field(std::string_view key, const char* text) {
    return Field(key, std::string_view(text));
  }
  JsonLine& Field(std::string_view key, bool value) {
    Key(key);
    text_ += value ? "true" : "false";
    return *this;
  }
  template <typename Integer>
    requires std::is_integral_v<Integer>
  JsonLine& Field(std::string_view key, Integer value) {
    Key(key);
    text_ += std::to_string(value);
    return *this;
  }
  // NaN and infinity mean "not measured" and become null.
  JsonLine& Field(std::string_view key, double value) {
    Key(key);
    if (!std::isfinite(value)) {
      text_ += "null";
    } else {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%.6g", value);
      text_ += digits;
    }
    return *this;
  }
  JsonLine& Open(std::string_view key) {
    Key(key);
    text_ += '{';
    return *this;
  }
  JsonLine& Close() {
    text_ += '}';
    return *this;
  }
  std::string Finish() { return text_ + "}\n"; }

 private:
  void Key(std::string_view key) {
    if (text_.back() != '{') text_ += ',';
    text_ += '"';
    text_ += key;
    text_ += "\":";
  }

  std::string text_ = "{";
};

}  // namespace netvc::bench
