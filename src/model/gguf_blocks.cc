#include "model/gguf_blocks.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/str_cat.h"
#include "tensor/convert.h"

namespace shoal::model {

namespace {

constexpr size_t kMaxBlockValues = 256;

float F16At(const uint8_t* bytes) {
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof(bits));
  return F16ToF32(bits);
}

// Two codes a byte: the low nibbles are the first half of the block.
int NibbleAt(const uint8_t* codes, size_t i) { return i < 16 ? codes[i] & 15 : codes[i - 16] >> 4; }

void DecodeQ4_1(const uint8_t* block, float* out) {
  const float scale = F16At(block), least = F16At(block + 2);
  for (size_t i = 0; i < 32; ++i) {
    out[i] = static_cast<float>(NibbleAt(block + 4, i)) * scale + least;
  }
}

// The fifth bits of a block's codes lie together in a word.
int FiveBitsAt(const uint8_t* high, const uint8_t* codes, size_t i) {
  uint32_t bits;
  std::memcpy(&bits, high, sizeof(bits));
  return NibbleAt(codes, i) | static_cast<int>((bits >> i) & 1) << 4;
}

void DecodeQ5_0(const uint8_t* block, float* out) {
  const float scale = F16At(block);
  for (size_t i = 0; i < 32; ++i) {
    out[i] = static_cast<float>(FiveBitsAt(block + 2, block + 6, i) - 16) * scale;
  }
}

void DecodeQ5_1(const uint8_t* block, float* out) {
  const float scale = F16At(block), least = F16At(block + 2);
  for (size_t i = 0; i < 32; ++i) {
    out[i] = static_cast<float>(FiveBitsAt(block + 4, block + 8, i)) * scale + least;
  }
}

// Scale and minimum `index` of the eight of a block of Q4_K or Q5_K: 6 bits each, in 12 bytes.
struct ScaleAndMin {
  int scale;
  int min;
};
ScaleAndMin SixBitsAt(const uint8_t* packed, size_t index) {
  if (index < 4) return {packed[index] & 63, packed[index + 4] & 63};
  return {(packed[index + 4] & 15) | (packed[index - 4] >> 6) << 4,
          (packed[index + 4] >> 4) | (packed[index] >> 6) << 4};
}

// `high` holds the fifth bits of Q5_K, or is null.
void DecodeK(const uint8_t* block, const uint8_t* high, const uint8_t* codes, float* out) {
  const float scale = F16At(block), least = F16At(block + 2);
  for (size_t group = 0; group < 8; ++group) {
    const ScaleAndMin six = SixBitsAt(block + 4, group);
    const float group_scale = scale * static_cast<float>(six.scale);
    const float group_min = least * static_cast<float>(six.min);
    for (size_t i = 0; i < 32; ++i) {
      const uint8_t byte = codes[group / 2 * 32 + i];
      int code = group % 2 == 0 ? byte & 15 : byte >> 4;
      if (high != nullptr) code |= ((high[i] >> group) & 1) << 4;
      out[group * 32 + i] = group_scale * static_cast<float>(code) - group_min;
    }
  }
}

void DecodeQ4K(const uint8_t* block, float* out) { DecodeK(block, nullptr, block + 16, out); }

void DecodeQ5K(const uint8_t* block, float* out) { DecodeK(block, block + 16, block + 48, out); }

void DecodeQ6K(const uint8_t* block, float* out) {
  const float scale = F16At(block + 208);
  for (size_t i = 0; i < 256; ++i) {
    const size_t half = i / 128;  // Each has 64 bytes of low bits and 32 of high ones.
    const size_t quarter = i % 128 / 32;
    const size_t column = i % 32;
    const uint8_t low = block[half * 64 + quarter % 2 * 32 + column];
    const uint8_t high = block[128 + half * 32 + column];
    const int code = (quarter < 2 ? low & 15 : low >> 4) | ((high >> (2 * quarter)) & 3) << 4;
    const auto group_scale = static_cast<int8_t>(block[192 + i / 16]);
    out[i] = scale * static_cast<float>(group_scale) * static_cast<float>(code - 32);
  }
}

void DecodeMxfp4(const uint8_t* block, float* out) {
  constexpr float kE2m1[8] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  const float scale = block[0] == 255 ? std::numeric_limits<float>::quiet_NaN()
                                      : std::ldexp(1.0f, static_cast<int>(block[0]) - 127);
  for (size_t i = 0; i < 32; ++i) {
    const int code = NibbleAt(block + 1, i);
    out[i] = (code < 8 ? kE2m1[code] : -kE2m1[code - 8]) * scale;
  }
}

// `decode` is null for plain floats, and for the coded types.
struct BlockType {
  uint32_t number;
  std::string_view name;
  uint64_t values;
  uint64_t bytes;
  void (*decode)(const uint8_t* block, float* out);
  DType plain = DType::kF32;
};
constexpr uint32_t kQ4_0 = 2;
constexpr uint32_t kQ8_0 = 8;
constexpr BlockType kBlockTypes[] = {
    {0, "F32", 1, 4, nullptr},
    {1, "F16", 1, 2, nullptr, DType::kF16},
    {30, "BF16", 1, 2, nullptr, DType::kBF16},
    {kQ4_0, "Q4_0", 32, 18, nullptr},
    {3, "Q4_1", 32, 20, DecodeQ4_1},
    {6, "Q5_0", 32, 22, DecodeQ5_0},
    {7, "Q5_1", 32, 24, DecodeQ5_1},
    {kQ8_0, "Q8_0", 32, 34, nullptr},
    {12, "Q4_K", 256, 144, DecodeQ4K},
    {13, "Q5_K", 256, 176, DecodeQ5K},
    {14, "Q6_K", 256, 210, DecodeQ6K},
    {39, "MXFP4", 32, 17, DecodeMxfp4},
};

Result<const BlockType*> FindType(const GgufTensor& tensor, std::string_view where) {
  for (const BlockType& type : kBlockTypes) {
    if (type.number != tensor.type) continue;
    if (tensor.shape.back() % type.values != 0) {
      return Fail(Code::kInvalidArgument,
                  StrCat(where, ": tensor \"", tensor.name, "\" is ", type.name, " ",
                         ShowShape(tensor.shape), "; rows of it are made of ", type.values,
                         " values each"));
    }
    return &type;
  }
  std::string known;
  for (const BlockType& type : kBlockTypes) known += StrCat(known.empty() ? "" : ", ", type.name);
  return Fail(Code::kUnimplemented, StrCat(where, ": tensor \"", tensor.name, "\" is of type ",
                                           tensor.type, "; these are read: ", known));
}

class Blocks : public Encoding {
 public:
  Blocks(Bytes data, const BlockType& type) : Encoding({data}), type_(type) {}

  void Read(uint64_t first, std::span<float> out) const override {
    float values[kMaxBlockValues];
    for (size_t done = 0; done < out.size();) {
      const uint64_t block = (first + done) / type_.values;
      const uint64_t in_block = (first + done) % type_.values;
      const size_t count = std::min<uint64_t>(type_.values - in_block, out.size() - done);
      type_.decode(stored()[0].data() + block * type_.bytes, values);
      std::copy_n(values + in_block, count, out.begin() + static_cast<ptrdiff_t>(done));
      done += count;
    }
  }

 private:
  const BlockType& type_;
};

// Q4_0 and Q8_0: a scale in f16 and 32 codes, around 8 or signed.
class CodedBlocks : public CodedEncoding {
 public:
  CodedBlocks(Bytes data, uint64_t rows, uint64_t columns, const BlockType& type)
      : CodedEncoding({data}, rows, columns, type.number == kQ4_0 ? 4 : 8, 32, true),
        block_bytes_(type.bytes) {}

  void ReadCodes(uint64_t row, std::span<uint8_t> codes) const override {
    for (uint64_t column = 0; column < codes.size(); ++column) {
      const uint8_t* const packed = Block(row, column / 32) + 2;
      codes[column] = static_cast<uint8_t>(bits() == 4 ? NibbleAt(packed, column % 32)
                                                       : packed[column % 32] ^ 0x80);
    }
  }
  void ReadScales(uint64_t row, std::span<float> scales, std::span<uint8_t> zeros) const override {
    for (uint64_t group = 0; group < scales.size(); ++group) {
      scales[group] = F16At(Block(row, group));
      zeros[group] = static_cast<uint8_t>(1u << (bits() - 1));
    }
  }

 private:
  const uint8_t* Block(uint64_t row, uint64_t group) const {
    return stored()[0].data() + (row * groups_per_row() + group) * block_bytes_;
  }

  const uint64_t block_bytes_;
};

}  // namespace

Result<TensorView> ReadGgufTensor(const GgufTensor& tensor, std::string_view where) {
  ASSIGN_OR_RETURN(const BlockType* type, FindType(tensor, where));
  uint64_t count = 1;
  for (const uint64_t dim : tensor.shape) count *= dim;
  const uint64_t bytes = count / type->values * type->bytes;
  if (bytes > tensor.data.size()) {
    return Fail(Code::kDataLoss,
                StrCat(where, ": tensor \"", tensor.name, "\" needs ", bytes, " bytes, but only ",
                       tensor.data.size(), " follow: the file is truncated"));
  }
  TensorView view{.name = tensor.name,
                  .type = type->plain,
                  .shape = tensor.shape,
                  .data = tensor.data.first(bytes),
                  .encoding = nullptr};
  if (type->number == kQ4_0 || type->number == kQ8_0) {
    const uint64_t columns = tensor.shape.back();
    view.encoding = std::make_shared<CodedBlocks>(view.data, count / columns, columns, *type);
  } else if (type->decode != nullptr) {
    view.encoding = std::make_shared<Blocks>(view.data, *type);
  }
  return view;
}

Result<TensorView> ReadMatrixOfStack(const GgufTensor& stack, uint64_t index, std::string name,
                                     std::string_view where) {
  ASSIGN_OR_RETURN(const TensorView whole, ReadGgufTensor(stack, where));
  const uint64_t bytes = whole.data.size() / stack.shape[0];
  GgufTensor matrix{.name = std::move(name),
                    .type = stack.type,
                    .shape = {stack.shape.begin() + 1, stack.shape.end()},
                    .data = whole.data.subspan(index * bytes, bytes)};
  return ReadGgufTensor(matrix, where);
}

}  // namespace shoal::model
