// Shapes, and operators that move elements without changing them.
#include <algorithm>
#include <cmath>

#include "base/bytes.h"
#include "base/str_cat.h"
#include "partition/operators.h"
#include "tensor/convert.h"

namespace shoal::partition {

namespace {

// An array of these dims whose elements are those of `x` at the indices that `source` gives for
// each place.
template <typename SourceIndex>
Result<Array> Pick(const Array& x, std::vector<int64_t> dims, SourceIndex source) {
  ASSIGN_OR_RETURN(const int64_t count, CountOf(dims));
  if (!x.known()) return ShapeOnly(x.type, std::move(dims));
  if (count > kMaxElements) return Fail(Code::kResourceExhausted, "a value that is too large");
  std::vector<double> values(static_cast<size_t>(count));
  Odometer at(dims);
  for (double& value : values) {
    value = x[static_cast<size_t>(source(at.at()))];
    at.Next();
  }
  return MakeArray(x.type, std::move(dims), std::move(values));
}

// The same elements under other dims.
Result<Array> WithDims(const Array& x, std::vector<int64_t> dims) {
  ASSIGN_OR_RETURN(const int64_t count, CountOf(dims));
  if (count != x.count()) return Wrong("the number of elements changes");
  return Array{x.type, std::move(dims), x.data};
}

Result<Array> ScalarInput(const Call& call, size_t index) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(index));
  if (!x->known() || x->data->size() != 1) return Wrong(StrCat("input ", index, " is no number"));
  return *x;
}

Result<Array> Part(const Array& x, size_t axis, int64_t begin, int64_t size, int64_t step = 1) {
  std::vector<int64_t> dims = x.dims;
  dims[axis] = size;
  const std::vector<int64_t> strides = StridesOf(x.dims);
  return Pick(x, std::move(dims), [&](const std::vector<int64_t>& at) {
    int64_t from = 0;
    for (size_t d = 0; d < at.size(); ++d) {
      from += (d == axis ? begin + at[d] * step : at[d]) * strides[d];
    }
    return from;
  });
}

}  // namespace

Result<Array> ArrayOf(const onnx::Tensor& tensor) {
  const auto count = static_cast<size_t>(tensor.ElementCount());
  if (tensor.external) return ShapeOnly(tensor.type, tensor.dims);
  std::vector<double> values(count);
  ByteReader reader(tensor.raw);
  for (double& value : values) {
    switch (tensor.type) {
      case DType::kF32:
        value = reader.Read<float>();
        break;
      case DType::kF64:
        value = reader.Read<double>();
        break;
      case DType::kF16:
        value = F16ToF32(reader.Read<uint16_t>());
        break;
      case DType::kBF16:
        value = BF16ToF32(reader.Read<uint16_t>());
        break;
      case DType::kI64:
        value = static_cast<double>(reader.Read<int64_t>());
        break;
      case DType::kI32:
        value = reader.Read<int32_t>();
        break;
      case DType::kI8:
        value = reader.Read<int8_t>();
        break;
      case DType::kU8:
      case DType::kBool:
        value = reader.Read<uint8_t>();
        break;
      default:
        return ShapeOnly(tensor.type, tensor.dims);
    }
  }
  return MakeArray(tensor.type, tensor.dims, std::move(values));
}

Arrays EvaluateCast(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  const auto type = DTypeFromOnnx(static_cast<int32_t>(call.node.IntAttribute("to", 0)));
  if (!type) return Fail(Code::kUnimplemented, "a type that Shoal does not know");
  if (!x->known()) return std::vector{ShapeOnly(*type, x->dims)};
  return std::vector{MakeArray(*type, x->dims, *x->data)};
}

Arrays EvaluateShape(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  const auto rank = static_cast<int64_t>(x->dims.size());
  const auto clamp = [&](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank);
  };
  const int64_t begin = clamp(call.node.IntAttribute("start", 0));
  const int64_t end = clamp(call.node.IntAttribute("end", rank));
  std::vector<double> values;
  for (int64_t d = begin; d < end; ++d) {
    values.push_back(static_cast<double>(x->dims[static_cast<size_t>(d)]));
  }
  const auto count = static_cast<int64_t>(values.size());
  return std::vector{MakeArray(DType::kI64, {count}, std::move(values))};
}

Arrays EvaluateSize(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  return std::vector{MakeArray(DType::kI64, {}, {static_cast<double>(x->count())})};
}

Arrays EvaluateConstant(const Call& call) {
  for (const onnx::Attribute& attribute : call.node.attributes) {
    if (const auto* tensor = std::get_if<onnx::Tensor>(&attribute.value)) {
      ASSIGN_OR_RETURN(Array array, ArrayOf(*tensor));
      return std::vector{std::move(array)};
    }
    if (const auto* number = std::get_if<int64_t>(&attribute.value)) {
      return std::vector{MakeArray(DType::kI64, {}, {static_cast<double>(*number)})};
    }
    if (const auto* number = std::get_if<float>(&attribute.value)) {
      return std::vector{MakeArray(DType::kF32, {}, {*number})};
    }
    if (const auto* numbers = std::get_if<std::vector<int64_t>>(&attribute.value)) {
      return std::vector{MakeArray(DType::kI64, {static_cast<int64_t>(numbers->size())},
                                   {numbers->begin(), numbers->end()})};
    }
    if (const auto* numbers = std::get_if<std::vector<float>>(&attribute.value)) {
      return std::vector{MakeArray(DType::kF32, {static_cast<int64_t>(numbers->size())},
                                   {numbers->begin(), numbers->end()})};
    }
  }
  return Fail(Code::kUnimplemented, "a constant that is no tensor");
}

Arrays EvaluateConstantOfShape(const Call& call) {
  ASSIGN_OR_RETURN(const auto dims, call.Ints(0, ""));
  if (!dims) return Wrong("input 0 is missing");
  Array value = MakeArray(DType::kF32, {}, {0});
  if (const onnx::Attribute* attribute = call.node.FindAttribute("value")) {
    if (const auto* tensor = std::get_if<onnx::Tensor>(&attribute->value)) {
      ASSIGN_OR_RETURN(value, ArrayOf(*tensor));
    }
  }
  ASSIGN_OR_RETURN(const int64_t count, CountOf(*dims));
  if (count > kMaxElements || !value.known() || value.data->empty()) {
    return Wrong("a constant that is too large, or has no value");
  }
  return std::vector{
      MakeArray(value.type, *dims, std::vector<double>(static_cast<size_t>(count), value[0]))};
}

Arrays EvaluateRange(const Call& call) {
  ASSIGN_OR_RETURN(const Array start, ScalarInput(call, 0));
  ASSIGN_OR_RETURN(const Array limit, ScalarInput(call, 1));
  ASSIGN_OR_RETURN(const Array delta, ScalarInput(call, 2));
  const double steps = std::ceil((limit[0] - start[0]) / delta[0]);
  if (!(steps <= static_cast<double>(kMaxElements))) return Wrong("a range that does not end");
  std::vector<double> values;
  for (double i = 0; i < steps; ++i) values.push_back(start[0] + i * delta[0]);
  const auto count = static_cast<int64_t>(values.size());
  return std::vector{MakeArray(start.type, {count}, std::move(values))};
}

Arrays EvaluateGather(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const Array* indices, call.Input(1));
  ASSIGN_OR_RETURN(const size_t axis,
                   Call::Axis(call.node.IntAttribute("axis", 0), x->dims.size()));
  std::vector<int64_t> dims(x->dims.begin(), x->dims.begin() + static_cast<ptrdiff_t>(axis));
  dims.insert(dims.end(), indices->dims.begin(), indices->dims.end());
  dims.insert(dims.end(), x->dims.begin() + static_cast<ptrdiff_t>(axis) + 1, x->dims.end());
  if (!call.AllKnown()) return std::vector{ShapeOnly(x->type, std::move(dims))};
  const int64_t size = x->dims[axis];
  std::vector<int64_t> picks = ToInts(*indices);
  for (int64_t& pick : picks) {
    if (pick < -size || pick >= size) return Wrong(StrCat("index ", pick, " of ", size));
    if (pick < 0) pick += size;
  }
  const std::vector<int64_t> strides = StridesOf(x->dims);
  const std::vector<int64_t> index_strides = StridesOf(indices->dims);
  const size_t index_rank = indices->dims.size();
  ASSIGN_OR_RETURN(Array picked, Pick(*x, std::move(dims), [&](const std::vector<int64_t>& at) {
                     int64_t pick = 0;
                     for (size_t d = 0; d < index_rank; ++d)
                       pick += at[axis + d] * index_strides[d];
                     int64_t from = picks[static_cast<size_t>(pick)] * strides[axis];
                     for (size_t d = 0; d < axis; ++d) from += at[d] * strides[d];
                     for (size_t d = axis + 1; d < strides.size(); ++d)
                       from += at[d - 1 + index_rank] * strides[d];
                     return from;
                   }));
  return std::vector{std::move(picked)};
}

Arrays EvaluateReshape(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const auto given, call.Ints(1, "shape"));
  if (!given) return Wrong("has no shape");
  const bool zero_is_zero = call.node.IntAttribute("allowzero", 0) != 0;
  std::vector<int64_t> dims = *given;
  std::optional<size_t> open;
  int64_t known = 1;
  for (size_t d = 0; d < dims.size(); ++d) {
    if (dims[d] == 0 && !zero_is_zero) {
      if (d >= x->dims.size()) return Wrong("keeps a dim that is not there");
      dims[d] = x->dims[d];
    }
    if (dims[d] == -1) {
      if (open) return Wrong("leaves two dims open");
      open = d;
    } else if (dims[d] < 0 || (dims[d] > 0 && known > (int64_t{1} << 40) / dims[d])) {
      return Wrong(StrCat("reshapes to a dim of ", dims[d]));
    } else {
      known *= dims[d];
    }
  }
  if (open) {
    if (known == 0 || x->count() % known != 0) return Wrong("the number of elements changes");
    dims[*open] = x->count() / known;
  }
  ASSIGN_OR_RETURN(Array result, WithDims(*x, std::move(dims)));
  return std::vector{std::move(result)};
}

Arrays EvaluateFlatten(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  const auto rank = static_cast<int64_t>(x->dims.size());
  int64_t axis = call.node.IntAttribute("axis", 1);
  if (axis < 0) axis += rank;
  if (axis < 0 || axis > rank) return Wrong("the axis is not there");
  std::vector<int64_t> dims(2, 1);
  for (int64_t d = 0; d < rank; ++d) dims[d < axis ? 0 : 1] *= x->dims[static_cast<size_t>(d)];
  ASSIGN_OR_RETURN(Array result, WithDims(*x, std::move(dims)));
  return std::vector{std::move(result)};
}

Arrays EvaluateSqueeze(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const auto axes, call.Ints(1, "axes"));
  std::vector<bool> gone(x->dims.size(), false);
  for (size_t d = 0; d < gone.size(); ++d) gone[d] = !axes && x->dims[d] == 1;
  if (axes) {
    for (const int64_t axis : *axes) {
      ASSIGN_OR_RETURN(const size_t at, Call::Axis(axis, gone.size()));
      gone[at] = true;
    }
  }
  std::vector<int64_t> dims;
  for (size_t d = 0; d < gone.size(); ++d) {
    if (!gone[d]) dims.push_back(x->dims[d]);
  }
  ASSIGN_OR_RETURN(Array result, WithDims(*x, std::move(dims)));
  return std::vector{std::move(result)};
}

Arrays EvaluateUnsqueeze(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const auto axes, call.Ints(1, "axes"));
  if (!axes || axes->size() > 16) return Wrong("has no axes, or too many");
  std::vector<bool> fresh(x->dims.size() + axes->size(), false);
  for (const int64_t axis : *axes) {
    ASSIGN_OR_RETURN(const size_t at, Call::Axis(axis, fresh.size()));
    if (fresh[at]) return Wrong("has an axis twice");
    fresh[at] = true;
  }
  std::vector<int64_t> dims;
  size_t next = 0;
  for (const bool is_fresh : fresh) dims.push_back(is_fresh ? 1 : x->dims[next++]);
  ASSIGN_OR_RETURN(Array result, WithDims(*x, std::move(dims)));
  return std::vector{std::move(result)};
}

Arrays EvaluateTranspose(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  const size_t rank = x->dims.size();
  ASSIGN_OR_RETURN(const auto given, call.Ints(SIZE_MAX, "perm"));
  std::vector<int64_t> order;
  for (size_t d = 0; d < rank; ++d) order.push_back(static_cast<int64_t>(rank - 1 - d));
  if (given) order = *given;
  if (order.size() != rank) return Wrong("perm has another number of dims");
  const std::vector<int64_t> strides = StridesOf(x->dims);
  std::vector<int64_t> dims;
  std::vector<int64_t> from;
  for (const int64_t d : order) {
    ASSIGN_OR_RETURN(const size_t at, Call::Axis(d, rank));
    dims.push_back(x->dims[at]);
    from.push_back(strides[at]);
  }
  ASSIGN_OR_RETURN(Array result, Pick(*x, std::move(dims), [&](const std::vector<int64_t>& at) {
                     int64_t index = 0;
                     for (size_t d = 0; d < rank; ++d) index += at[d] * from[d];
                     return index;
                   }));
  return std::vector{std::move(result)};
}

Arrays EvaluateConcat(const Call& call) {
  ASSIGN_OR_RETURN(const Array* first, call.Input(0));
  ASSIGN_OR_RETURN(const size_t axis,
                   Call::Axis(call.node.IntAttribute("axis", 0), first->dims.size()));
  std::vector<int64_t> dims = first->dims;
  dims[axis] = 0;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    ASSIGN_OR_RETURN(const Array* part, call.Input(i));
    std::vector<int64_t> expected = first->dims;
    if (part->dims.size() == expected.size()) expected[axis] = part->dims[axis];
    if (part->dims != expected) return Wrong("the parts do not fit");
    dims[axis] += part->dims[axis];
  }
  ASSIGN_OR_RETURN(const int64_t count, CountOf(dims));
  if (!call.AllKnown()) return std::vector{ShapeOnly(first->type, std::move(dims))};
  if (count > kMaxElements) return Fail(Code::kResourceExhausted, "a value that is too large");
  size_t outer = 1;
  for (size_t d = 0; d < axis; ++d) outer *= static_cast<size_t>(dims[d]);
  std::vector<double> values;
  values.reserve(static_cast<size_t>(count));
  for (size_t o = 0; o < outer; ++o) {
    for (const Array* part : call.inputs) {
      const size_t inner = part->data->size() / outer;
      const auto begin = part->data->begin() + static_cast<ptrdiff_t>(o * inner);
      values.insert(values.end(), begin, begin + static_cast<ptrdiff_t>(inner));
    }
  }
  return std::vector{MakeArray(first->type, std::move(dims), std::move(values))};
}

Arrays EvaluateSlice(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const auto starts, call.Ints(1, "starts"));
  ASSIGN_OR_RETURN(const auto ends, call.Ints(2, "ends"));
  ASSIGN_OR_RETURN(const auto axes, call.Ints(3, "axes"));
  ASSIGN_OR_RETURN(const auto steps, call.Ints(4, "steps"));
  if (!starts || !ends || starts->size() != ends->size() ||
      (axes && axes->size() != starts->size()) || (steps && steps->size() != starts->size())) {
    return Wrong("starts, ends, axes and steps do not fit");
  }
  Array result = *x;
  for (size_t i = 0; i < starts->size(); ++i) {
    ASSIGN_OR_RETURN(const size_t axis,
                     Call::Axis(axes ? (*axes)[i] : static_cast<int64_t>(i), result.dims.size()));
    const int64_t step = steps ? (*steps)[i] : 1;
    if (step < 1) return Fail(Code::kUnimplemented, StrCat("a step of ", step));
    const int64_t size = result.dims[axis];
    const auto clamp = [&](int64_t at) {
      return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size);
    };
    const int64_t begin = clamp((*starts)[i]);
    const int64_t end = std::max(begin, clamp((*ends)[i]));
    ASSIGN_OR_RETURN(result, Part(result, axis, begin, (end - begin + step - 1) / step, step));
  }
  return std::vector{std::move(result)};
}

Arrays EvaluateSplit(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const size_t axis,
                   Call::Axis(call.node.IntAttribute("axis", 0), x->dims.size()));
  ASSIGN_OR_RETURN(const auto given, call.Ints(1, "split"));
  const auto parts = static_cast<int64_t>(call.node.outputs.size());
  const int64_t each = (x->dims[axis] + parts - 1) / parts;
  std::vector<Array> outputs;
  int64_t begin = 0;
  for (int64_t i = 0; i < parts; ++i) {
    if (given && static_cast<int64_t>(given->size()) != parts) return Wrong("parts do not fit");
    const int64_t left = x->dims[axis] - begin;
    const int64_t size = given ? (*given)[static_cast<size_t>(i)] : std::min(each, left);
    if (size < 0 || size > left) return Wrong("the parts do not fit");
    ASSIGN_OR_RETURN(Array part, Part(*x, axis, begin, size));
    outputs.push_back(std::move(part));
    begin += size;
  }
  return outputs;
}

Arrays EvaluateExpand(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const auto given, call.Ints(1, ""));
  if (!given) return Wrong("has no shape");
  ASSIGN_OR_RETURN(std::vector<int64_t> dims, BroadcastDims(x->dims, *given));
  const std::vector<int64_t> strides = BroadcastStrides(x->dims, dims);
  ASSIGN_OR_RETURN(Array result, Pick(*x, std::move(dims), [&](const std::vector<int64_t>& at) {
                     int64_t index = 0;
                     for (size_t d = 0; d < at.size(); ++d) index += at[d] * strides[d];
                     return index;
                   }));
  return std::vector{std::move(result)};
}

Arrays EvaluateTile(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const auto repeats, call.Ints(1, ""));
  if (!repeats || repeats->size() != x->dims.size()) return Wrong("the repeats do not fit");
  std::vector<int64_t> dims;
  for (size_t d = 0; d < x->dims.size(); ++d) {
    if ((*repeats)[d] < 0 || (*repeats)[d] > kMaxElements) return Wrong("the repeats do not fit");
    dims.push_back(x->dims[d] * (*repeats)[d]);
  }
  const std::vector<int64_t> strides = StridesOf(x->dims);
  ASSIGN_OR_RETURN(Array result, Pick(*x, std::move(dims), [&](const std::vector<int64_t>& at) {
                     int64_t index = 0;
                     for (size_t d = 0; d < at.size(); ++d)
                       index += at[d] % x->dims[d] * strides[d];
                     return index;
                   }));
  return std::vector{std::move(result)};
}

Arrays EvaluateTrilu(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const auto given, call.Ints(1, ""));
  const int64_t diagonal = given && given->size() == 1 ? given->front() : 0;
  const bool upper = call.node.IntAttribute("upper", 1) != 0;
  if (x->dims.size() < 2) return Wrong("needs two dims");
  if (!x->known()) return std::vector{*x};
  std::vector<double> values = *x->data;
  Odometer at(x->dims);
  for (double& value : values) {
    const int64_t row = at.at()[x->dims.size() - 2];
    const int64_t beyond = at.at().back() - row - diagonal;
    if (upper ? beyond < 0 : beyond > 0) value = 0;
    at.Next();
  }
  return std::vector{MakeArray(x->type, x->dims, std::move(values))};
}

Arrays EvaluateScatterNd(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const Array* indices, call.Input(1));
  ASSIGN_OR_RETURN(const Array* updates, call.Input(2));
  if (!call.AllKnown()) return std::vector{ShapeOnly(x->type, x->dims)};
  const size_t depth = indices->dims.empty() ? 0 : static_cast<size_t>(indices->dims.back());
  if (depth == 0 || depth > x->dims.size()) return Wrong("the indices do not fit");
  const std::vector<int64_t> strides = StridesOf(x->dims);
  const auto inner = static_cast<size_t>(strides[depth - 1]);
  const std::vector<int64_t> picks = ToInts(*indices);
  const size_t rows = picks.size() / depth;
  if (updates->data->size() != rows * inner) return Wrong("the updates do not fit");
  std::vector<double> values = *x->data;
  for (size_t row = 0; row < rows; ++row) {
    int64_t to = 0;
    for (size_t d = 0; d < depth; ++d) {
      int64_t pick = picks[row * depth + d];
      if (pick < -x->dims[d] || pick >= x->dims[d]) return Wrong("an index is outside");
      if (pick < 0) pick += x->dims[d];
      to += pick * strides[d];
    }
    const auto from = updates->data->begin() + static_cast<ptrdiff_t>(row * inner);
    std::copy_n(from, inner, values.begin() + to);
  }
  return std::vector{MakeArray(x->type, x->dims, std::move(values))};
}

}  // namespace shoal::partition
