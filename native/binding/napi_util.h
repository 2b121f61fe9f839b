// binding/napi_util.h - internal to native/binding.
//
// The few lines of raw Node-API that every file here needs. Arguments are checked in TypeScript
// (lib/options.ts); here they are only converted. No C++ exception exists on either side.
// Functions callable from JavaScript are named Js...; their data pointer is the EnvState.
#pragma once

#include <node_api.h>

#include <cstdint>
#include <string>

namespace netvc {

class EnvState;

/// The arguments of one call from JavaScript.
template <size_t N>
class Args {
 public:
  Args(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = N;
    napi_get_cb_info(env, info, &count, values_, nullptr, &data_);
  }
  EnvState& state() const { return *static_cast<EnvState*>(data_); }
  napi_value operator[](size_t i) const { return values_[i]; }
  int32_t i32(size_t i) const {
    int32_t v = 0;
    napi_get_value_int32(env_, values_[i], &v);
    return v;
  }
  uint32_t u32(size_t i) const { return static_cast<uint32_t>(i32(i)); }
  double number(size_t i) const {
    double v = 0;
    napi_get_value_double(env_, values_[i], &v);
    return v;
  }
  /// Byte counts: Infinity (and anything beyond 2^63) means "no limit".
  int64_t bytes(size_t i) const {
    const double v = number(i);
    return v >= 9223372036854775807.0 ? INT64_MAX : static_cast<int64_t>(v);
  }
  std::string text(size_t i) const {
    size_t n = 0;
    if (napi_get_value_string_utf8(env_, values_[i], nullptr, 0, &n) != napi_ok) return {};
    std::string s(n, '\0');
    napi_get_value_string_utf8(env_, values_[i], s.data(), n + 1, &n);
    return s;
  }
  /// The memory of a Uint8Array (or Buffer); false for anything else, or a detached one.
  bool memory(size_t i, char** data, size_t* n) const {
    napi_typedarray_type type;
    void* p = nullptr;
    if (napi_get_typedarray_info(env_, values_[i], &type, n, &p, nullptr, nullptr) != napi_ok)
      return false;
    *data = static_cast<char*>(p);
    return type == napi_uint8_array;
  }

 private:
  napi_env env_;
  napi_value values_[N];
  void* data_ = nullptr;
};

inline napi_value js_int(napi_env env, int64_t n) {
  napi_value v = nullptr;
  napi_create_int64(env, n, &v);
  return v;
}
inline napi_value js_i32(napi_env env, int32_t n) {
  napi_value v = nullptr;
  napi_create_int32(env, n, &v);
  return v;
}
inline napi_value js_text(napi_env env, const std::string& s) {
  napi_value v = nullptr;
  napi_create_string_utf8(env, s.data(), s.size(), &v);
  return v;
}
inline void set(napi_env env, napi_value object, const char* name, napi_value v) {
  napi_set_named_property(env, object, name, v);
}
inline void set(napi_env env, napi_value object, const char* name, int64_t n) {
  set(env, object, name, js_int(env, n));
}

/// Reads options from a plain object: a missing or undefined property leaves the default.
class Options {
 public:
  Options(napi_env env, napi_value object) : env_(env), object_(object) {}
  int64_t number(const char* name, int64_t otherwise) const {
    double v = static_cast<double>(otherwise);
    napi_value p = nullptr;
    if (napi_get_named_property(env_, object_, name, &p) == napi_ok)
      napi_get_value_double(env_, p, &v);
    return static_cast<int64_t>(v);
  }
  bool flag(const char* name, bool otherwise) const {
    bool v = otherwise;
    napi_value p = nullptr;
    if (napi_get_named_property(env_, object_, name, &p) == napi_ok)
      napi_get_value_bool(env_, p, &v);
    return v;
  }
  std::string text(const char* name) const {
    napi_value p = nullptr;
    size_t n = 0;
    if (napi_get_named_property(env_, object_, name, &p) != napi_ok) return {};
    if (napi_get_value_string_utf8(env_, p, nullptr, 0, &n) != napi_ok) return {};
    std::string s(n, '\0');
    napi_get_value_string_utf8(env_, p, s.data(), n + 1, &n);
    return s;
  }

 private:
  napi_env env_;
  napi_value object_;
};

}  // namespace netvc
