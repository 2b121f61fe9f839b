// A directory for unix sockets that disappears with the test.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace netvc::test {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "netvc-XXXXXX").string();
    path_ = ::mkdtemp(name.data()) ? name : "";
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace netvc::test
