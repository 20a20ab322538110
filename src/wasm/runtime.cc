// What the portable core needs of a C++ runtime when there is no operating system: how it starts
// and how it dies. These definitions stand before those of libc, libc++abi and base/check.cc, whose
// own would print through WASI imports.

#include <__verbose_abort>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>

#include "base/check.h"

extern "C" void __wasm_call_ctors();

namespace {

constexpr size_t kMessageBytes = 1024;
char abort_message[kMessageBytes];

void Append(std::string_view text) {
  const size_t used = std::strlen(abort_message);
  const size_t count =
      text.size() < kMessageBytes - 1 - used ? text.size() : kMessageBytes - 1 - used;
  std::memcpy(abort_message + used, text.data(), count);
}

[[noreturn]] void Die(std::string_view message) {
  Append(message);
  __builtin_trap();
}

}  // namespace

extern "C" {

__attribute__((export_name("_initialize"))) void ShoalInitialize() { __wasm_call_ctors(); }

// Why the last call trapped; zero-terminated, empty when no invariant was broken.
__attribute__((export_name("shoal_abort_message"))) const char* ShoalAbortMessage() {
  return abort_message;
}

void abort() { Die("abort"); }

// One instruction each, where libc has loops.
void* memcpy(void* __restrict target, const void* __restrict source, size_t bytes) {
  return __builtin_memcpy(target, source, bytes);
}
void* memmove(void* target, const void* source, size_t bytes) {
  return __builtin_memmove(target, source, bytes);
}
void* memset(void* target, int byte, size_t bytes) { return __builtin_memset(target, byte, bytes); }

}  // extern "C"

namespace shoal {

void CheckFailed(const char* file, int line, const char* condition, const std::string& detail) {
  Append(file);
  Append(":");
  Append(std::to_string(line));
  Append(": CHECK failed: ");
  Append(condition);
  if (!detail.empty()) Append(": ");
  Die(detail);
}

}  // namespace shoal

void* operator new(size_t bytes) {
  void* const memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) Die("out of memory");
  return memory;
}
void* operator new[](size_t bytes, std::align_val_t alignment) {
  const auto align = static_cast<size_t>(alignment);
  void* const memory = std::aligned_alloc(align, (bytes + align - 1) / align * align);
  if (memory == nullptr) Die("out of memory");
  return memory;
}
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

// libc++'s hardening, and what would be exceptions elsewhere.
void std::__libcpp_verbose_abort(const char* format, ...) { Die(format); }
