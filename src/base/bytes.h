// Bytes in memory: views, little-endian readers and writers, and sizes as people write them.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace shoal {

static_assert(std::endian::native == std::endian::little, "Shoal assumes a little-endian machine");

// A view of bytes that somebody else owns.
using Bytes = std::span<const uint8_t>;
using ByteVector = std::vector<uint8_t>;

inline Bytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view AsText(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Appends little-endian values to a vector it does not own.
class ByteWriter {
 public:
  explicit ByteWriter(ByteVector& out) : out_(out) {}

  template <typename T>
    requires std::is_arithmetic_v<T>
  void Write(T value) {
    const size_t at = out_.size();
    out_.resize(at + sizeof(T));
    std::memcpy(out_.data() + at, &value, sizeof(T));
  }
  void WriteBytes(Bytes bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

 private:
  ByteVector& out_;
};

// Reads little-endian values from untrusted bytes. After the first read past the end every read
// gives zero and ok() is false: check it once, before the values are used.
class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : bytes_(bytes) {}

  bool ok() const { return ok_; }
  size_t remaining() const { return bytes_.size() - position_; }
  size_t position() const { return position_; }

  template <typename T>
    requires std::is_arithmetic_v<T>
  T Read() {
    T value{};
    const Bytes bytes = ReadBytes(sizeof(T));
    if (bytes.size() == sizeof(T)) std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }
  // A view into the bytes given to the constructor; empty when fewer than `count` are left.
  Bytes ReadBytes(size_t count) {
    if (!ok_ || count > remaining()) {
      ok_ = false;
      return {};
    }
    const Bytes view = bytes_.subspan(position_, count);
    position_ += count;
    return view;
  }

 private:
  Bytes bytes_;
  size_t position_ = 0;
  bool ok_ = true;
};

// "512M", "4G", "65536", "1.5G": bytes; K, M, G and T are powers of 1024, in either case.
Result<uint64_t> ParseSize(std::string_view text);
// "153.0 MiB": for people.
std::string FormatSize(uint64_t bytes);

// Lower-case hexadecimal.
std::string ToHex(Bytes bytes);
Result<ByteVector> FromHex(std::string_view text);

}  // namespace shoal
