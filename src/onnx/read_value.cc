#include "base/str_cat.h"
#include "onnx/fields.h"
#include "onnx/read.h"
#include "onnx/read_parts.h"

namespace shoal::onnx::internal {

namespace {

Result<Dim> ReadDim(Bytes message) {
  namespace f = fields::type;
  Dim dim;
  FieldReader field(message);
  while (field.Next()) {
    if (field.number() == f::kDimValue) {
      ASSIGN_OR_RETURN(const int64_t value, IntOf(field, "a dim's value"));
      dim = Dim::Fixed(value);
    } else if (field.number() == f::kDimParam) {
      ASSIGN_OR_RETURN(std::string symbol, NameOf(field, "a dim's name"));
      dim = Dim::Symbolic(std::move(symbol));
    }
  }
  RETURN_IF_ERROR(CheckEnd(field, "a dim"));
  if (dim.symbol.empty() && dim.value < 0) {
    return Fail(Code::kInvalidArgument, "a dim has neither a name nor a number of at least 0");
  }
  return dim;
}

Status ReadShape(Bytes message, PartBudget& budget, std::vector<Dim>& dims) {
  FieldReader field(message);
  while (field.Next()) {
    if (field.number() != fields::type::kDim) continue;
    RETURN_IF_ERROR(budget.Take());
    if (dims.size() == kMaxRank) {
      return Fail(Code::kResourceExhausted, StrCat("has more than ", kMaxRank, " dims"));
    }
    ASSIGN_OR_RETURN(const Bytes dim_message, BytesOf(field, "a dim"));
    ASSIGN_OR_RETURN(Dim dim, ReadDim(dim_message));
    dims.push_back(std::move(dim));
  }
  return CheckEnd(field, "its shape");
}

Status ReadTensorType(Bytes message, PartBudget& budget, ValueInfo& value) {
  namespace f = fields::type;
  bool has_shape = false;
  int64_t type_number = 0;
  FieldReader field(message);
  while (field.Next()) {
    if (field.number() == f::kElementType) {
      ASSIGN_OR_RETURN(type_number, IntOf(field, "its element type"));
    } else if (field.number() == f::kShape) {
      if (has_shape) return Fail(Code::kInvalidArgument, "has two shapes");
      has_shape = true;
      ASSIGN_OR_RETURN(const Bytes shape, BytesOf(field, "its shape"));
      RETURN_IF_ERROR(ReadShape(shape, budget, value.dims));
    }
  }
  RETURN_IF_ERROR(CheckEnd(field, "its tensor type"));
  if (!has_shape) return Fail(Code::kInvalidArgument, "has no shape");
  const auto type = type_number >= 0 && type_number < 256
                        ? DTypeFromOnnx(static_cast<int32_t>(type_number))
                        : std::nullopt;
  if (!type) {
    return Fail(Code::kUnimplemented,
                StrCat("has element type ", type_number, ", which Shoal does not know"));
  }
  value.type = *type;
  return {};
}

Status ReadType(Bytes message, PartBudget& budget, ValueInfo& value) {
  bool has_tensor_type = false;
  FieldReader field(message);
  while (field.Next()) {
    if (field.number() != fields::type::kTensorType) continue;
    if (has_tensor_type) return Fail(Code::kInvalidArgument, "has two types");
    has_tensor_type = true;
    ASSIGN_OR_RETURN(const Bytes tensor_type, BytesOf(field, "its type"));
    RETURN_IF_ERROR(ReadTensorType(tensor_type, budget, value));
  }
  RETURN_IF_ERROR(CheckEnd(field, "its type"));
  if (!has_tensor_type) return Fail(Code::kUnimplemented, "is not a tensor");
  return {};
}

Status ReadValueInfoFields(FieldReader& field, PartBudget& budget, ValueInfo& value) {
  namespace f = fields::value_info;
  bool has_type = false;
  while (field.Next()) {
    if (field.number() == f::kName) {
      ASSIGN_OR_RETURN(value.name, NameOf(field, "its name"));
    } else if (field.number() == f::kType) {
      if (has_type) return Fail(Code::kInvalidArgument, "has two types");
      has_type = true;
      ASSIGN_OR_RETURN(const Bytes type, BytesOf(field, "its type"));
      RETURN_IF_ERROR(ReadType(type, budget, value));
    }
  }
  RETURN_IF_ERROR(CheckEnd(field, "its message"));
  if (!has_type) return Fail(Code::kInvalidArgument, "has no type");
  return {};
}

}  // namespace

Result<ValueInfo> ReadValueInfo(Bytes message, PartBudget& budget) {
  ValueInfo value;
  FieldReader field(message);
  Status status = ReadValueInfoFields(field, budget, value);
  if (!status) {
    return FailWithContext(std::move(status).error(), StrCat("value \"", value.name, "\""));
  }
  return value;
}

}  // namespace shoal::onnx::internal
