// GGUF files (ggml, docs/gguf.md, versions 2 and 3): metadata, a list of tensors, their bytes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace shoal::model {

struct GgufTensor {
  std::string name;
  uint32_t type = 0;            // ggml_type (gguf_blocks.h).
  std::vector<uint64_t> shape;  // Row-major: the last dim is that of neighbours.
  Bytes data;                   // From where it begins to the end of the file.
};

// A parsed file, a view of its bytes.
class Gguf {
 public:
  // Checks the header, that every name occurs once and that every value and tensor lies within the
  // file, within limits: 65,536 keys and tensors each, names of 1 KiB, texts of 16 MiB, lists of
  // 2^24 values without lists in them. `where` names the file in errors.
  static Result<Gguf> Parse(Bytes file, std::string_view where);

  const std::string& where() const { return where_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }
  bool Has(std::string_view key) const { return values_.contains(key); }

  // Values of the metadata. kInvalidArgument when a key is absent, of another type, or outside the
  // bounds (inclusive). Numbers may be stored as any number.
  Result<uint64_t> Uint(std::string_view key, uint64_t min, uint64_t max) const;
  Result<double> Number(std::string_view key) const;
  Result<bool> Bool(std::string_view key) const;
  Result<std::string_view> Text(std::string_view key) const;
  Result<std::vector<std::string_view>> Texts(std::string_view key) const;
  // A list of numbers; a single number is a list of one.
  Result<std::vector<double>> Numbers(std::string_view key) const;

 private:
  enum class Type : uint32_t {
    kU8,
    kI8,
    kU16,
    kI16,
    kU32,
    kI32,
    kF32,
    kBool,
    kText,
    kList,
    kU64,
    kI64,
    kF64
  };
  struct Value {
    Type type = Type::kU8;  // Of a list: its items'.
    bool is_list = false;
    uint64_t count = 1;
    Bytes data;  // All items.
  };

  static size_t BytesOf(Type type);  // Of a number; 0 for texts and lists.
  static double NumberAt(const Value& value, uint64_t index);
  Status ReadValues(ByteReader& reader, uint64_t count);
  Result<Value> ReadValue(ByteReader& reader) const;
  Status SkipTexts(ByteReader& reader, uint64_t count) const;
  Status ReadTensors(ByteReader& reader, uint64_t count, Bytes file);
  Result<GgufTensor> ReadTensor(ByteReader& reader, uint64_t& offset) const;
  Result<std::string_view> ReadText(ByteReader& reader, uint64_t max_bytes) const;
  Result<const Value*> Need(std::string_view key) const;
  std::unexpected<Error> Wrong(std::string_view key, std::string_view detail) const;
  std::unexpected<Error> Truncated() const;

  std::string where_;
  std::map<std::string, Value, std::less<>> values_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace shoal::model
