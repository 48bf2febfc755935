// How what C++ throws comes to Rust (shim.rs): as a message that the caller frees with free(), or nullptr.
#pragma once

#include <cstring>
#include <exception>

namespace {

template <typename Work>
char* guarded(Work work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception that is not a std::exception");
  }
}

}  // namespace
