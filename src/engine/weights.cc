#include "engine/weights.h"

#include "base/str_cat.h"
#include "engine/kernels/widen.h"

namespace shoal::engine {

Result<const Weight*> WeightTable::Add(const onnx::Tensor& tensor, WeightSource& source) {
  Weight weight{tensor.name, tensor.type, {}, {}};
  for (const int64_t dim : tensor.dims) weight.dims.push_back(static_cast<size_t>(dim));
  bool needs_copy = true;
  weight.bytes = tensor.raw;
  if (tensor.external) {
    Result<Bytes> view = source.Map(*tensor.external);
    if (!view) return FailWithContext(std::move(view).error(), StrCat("weight ", tensor.name));
    if (view->size() != tensor.external->length) {
      return Fail(Code::kDataLoss, StrCat("weight ", tensor.name, ": ", view->size(),
                                          " bytes came for ", tensor.external->length));
    }
    weight.bytes = *view;
    needs_copy = reinterpret_cast<uintptr_t>(view->data()) % DTypeBytes(tensor.type) != 0;
  }
  if (needs_copy) {
    copies_.emplace_back(weight.bytes.begin(), weight.bytes.end());
    weight.bytes = copies_.back();
  }
  stored_bytes_ += weight.bytes.size();
  weights_.push_back(std::move(weight));
  return &weights_.back();
}

Result<std::span<const float>> WeightTable::AsFloats(const Weight& weight) {
  if (!IsWeightType(weight.type)) {
    return Fail(Code::kInvalidArgument, StrCat("constant ", weight.name, " is ",
                                               DTypeName(weight.type), ", not f32, f16 or bf16"));
  }
  const size_t count = weight.ElementCount();
  std::vector<float> scratch(weight.type == DType::kF32 ? 0 : count);
  const float* floats = Widen(weight.type, weight.bytes.data(), count, scratch.data());
  if (!scratch.empty()) floats = floats_.emplace_back(std::move(scratch)).data();
  return std::span(floats, count);
}

Result<std::vector<int64_t>> WeightTable::AsInts(const Weight& weight) {
  std::vector<int64_t> ints(weight.ElementCount());
  ByteReader reader(weight.bytes);
  for (int64_t& value : ints) {
    if (weight.type == DType::kI64) {
      value = reader.Read<int64_t>();
    } else if (weight.type == DType::kI32) {
      value = reader.Read<int32_t>();
    } else {
      return Fail(Code::kInvalidArgument, StrCat("constant ", weight.name, " is ",
                                                 DTypeName(weight.type), ", not i64 or i32"));
    }
  }
  return ints;
}

}  // namespace shoal::engine
