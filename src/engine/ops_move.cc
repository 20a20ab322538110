// Operators that move elements without changing them.
#include <algorithm>

#include "base/str_cat.h"
#include "engine/kernels/move.h"
#include "engine/kernels/widen.h"
#include "engine/ops.h"

namespace shoal::engine {

namespace {

// Whether the elements of a row are neighbours: nothing but ones stands before the dim that grows.
// Only then may Reshape redistribute them without mixing rows.
bool IsRowMajor(const Shape& shape) {
  for (const Extent& extent : shape) {
    if (!extent.IsFixed()) return true;
    if (extent.factor != 1) return false;
  }
  return true;
}

// The number of elements before, along and after one dim of a fixed shape.
struct AroundAxis {
  size_t outer = 1;
  size_t axis = 1;
  size_t inner = 1;
};
AroundAxis SplitAt(const std::vector<size_t>& dims, size_t axis) {
  AroundAxis around;
  for (size_t d = 0; d < dims.size(); ++d) {
    (d < axis ? around.outer : d == axis ? around.axis : around.inner) *= dims[d];
  }
  return around;
}

// Looks tokens up in a table: the embedding.
class TokenGatherStep : public Step {
 public:
  TokenGatherStep(const Weight& table, AroundAxis around, ValueId out)
      : table_(table), around_(around), out_(out) {}

  void Run(RunFrame& frame) const override {
    Gather(table_.bytes.data(), table_.type, around_.outer, around_.axis, around_.inner,
           frame.tokens, frame.data[out_]);
  }

 private:
  const Weight& table_;
  AroundAxis around_;
  ValueId out_;
};

// Picks the rows whose logits are wanted.
class RowGatherStep : public Step {
 public:
  RowGatherStep(ValueId x, size_t width, ValueId out) : x_(x), width_(width), out_(out) {}

  void Run(RunFrame& frame) const override {
    Gather(reinterpret_cast<const uint8_t*>(frame.data[x_]), DType::kF32, 1, frame.counts.rows,
           width_, frame.logit_rows, frame.data[out_]);
  }

 private:
  ValueId x_;
  size_t width_;
  ValueId out_;
};

Result<PlannedNode> PlanTokenGather(const NodeContext& context, int64_t given_axis) {
  ASSIGN_OR_RETURN(const Weight* table, context.Constant(0));
  if (!IsWeightType(table->type)) {
    return Unsupported(StrCat("table ", table->name, " must be f32, f16 or bf16"));
  }
  const std::vector<size_t>& dims = table->dims;
  ASSIGN_OR_RETURN(const size_t axis, context.Axis(given_axis, dims.size()));
  const Shape& tokens = context.inputs[1]->shape;
  PlannedNode planned;
  for (size_t d = 0; d < dims.size(); ++d) {
    if (d == axis) {
      planned.shape.insert(planned.shape.end(), tokens.begin(), tokens.end());
    } else {
      planned.shape.push_back({dims[d], Unit::kOne});
    }
  }
  uint32_t& vocabulary = context.facts.vocabulary;
  vocabulary = static_cast<uint32_t>(std::min<size_t>(vocabulary, dims[axis]));
  planned.step = std::make_unique<TokenGatherStep>(*table, SplitAt(dims, axis), context.output);
  return planned;
}

Result<PlannedNode> PlanRowGather(const NodeContext& context, int64_t given_axis) {
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  const Shape& shape = x->shape;
  ASSIGN_OR_RETURN(const size_t axis, context.Axis(given_axis, shape.size()));
  if (axis != 0 || shape[0] != Extent{1, Unit::kRows} || shape.size() != 2) {
    return Unsupported(StrCat("rows are picked from [rows, width] along axis 0, not from ",
                              ToString(shape), " along axis ", given_axis));
  }
  PlannedNode planned;
  planned.shape = {{1, Unit::kSelected}, shape[1]};
  planned.step = std::make_unique<RowGatherStep>(x->id, shape[1].factor, context.output);
  return planned;
}

class TransposeStep : public Step {
 public:
  TransposeStep(ValueId x, Shape shape, std::vector<size_t> order, ValueId out)
      : x_(x), shape_(std::move(shape)), order_(std::move(order)), out_(out) {}

  void Run(RunFrame& frame) const override {
    const Dims dims = DimsIn(shape_, frame.counts);
    Transpose(frame.data[x_], std::span(dims).first(shape_.size()), order_, frame.data[out_]);
  }

 private:
  ValueId x_;
  Shape shape_;
  std::vector<size_t> order_;
  ValueId out_;
};

class ConcatStep : public Step {
 public:
  struct Part {
    ValueId value = 0;
    Extent inner;  // Elements from the axis on.
  };
  ConcatStep(std::vector<Part> parts, Extent outer, ValueId out)
      : parts_(std::move(parts)), outer_(outer), out_(out) {}

  void Run(RunFrame& frame) const override {
    size_t inner = 0;
    for (const Part& part : parts_) inner += part.inner.In(frame.counts);
    size_t offset = 0;
    for (const Part& part : parts_) {
      const size_t part_inner = part.inner.In(frame.counts);
      Place(frame.data[part.value], outer_.In(frame.counts), part_inner, inner, offset,
            frame.data[out_]);
      offset += part_inner;
    }
  }

 private:
  std::vector<Part> parts_;
  Extent outer_;
  ValueId out_;
};

class SliceStep : public Step {
 public:
  // Takes `size` elements from `begin` along `axis`, and all of the other dims.
  SliceStep(ValueId x, Shape shape, size_t axis, size_t begin, size_t size, ValueId out)
      : x_(x), shape_(std::move(shape)), axis_(axis), begin_(begin), size_(size), out_(out) {}

  void Run(RunFrame& frame) const override {
    const Dims dims = DimsIn(shape_, frame.counts);
    Dims begin = {};
    Dims size = dims;
    begin[axis_] = begin_;
    size[axis_] = size_;
    const size_t rank = shape_.size();
    Slice(frame.data[x_], std::span(dims).first(rank), std::span(begin).first(rank),
          std::span(size).first(rank), frame.data[out_]);
  }

 private:
  ValueId x_;
  Shape shape_;
  size_t axis_;
  size_t begin_;
  size_t size_;
  ValueId out_;
};

// Rows of `width` values, each with zeros after them.
class PadStep : public Step {
 public:
  PadStep(ValueId x, Extent rows, size_t width, size_t zeros, ValueId out)
      : x_(x), rows_(rows), width_(width), zeros_(zeros), out_(out) {}

  void Run(RunFrame& frame) const override {
    const float* from = frame.data[x_];
    float* to = frame.data[out_];
    const size_t rows = rows_.In(frame.counts);
    for (size_t row = 0; row < rows; ++row, from += width_) {
      to = std::copy_n(from, width_, to);
      to = std::fill_n(to, zeros_, 0.0f);
    }
  }

 private:
  ValueId x_;
  Extent rows_;
  size_t width_;
  size_t zeros_;
  ValueId out_;
};

// The one number that a constant input of Slice must hold.
Result<int64_t> OneInt(const NodeContext& context, size_t index) {
  ASSIGN_OR_RETURN(const Weight* weight, context.Constant(index));
  ASSIGN_OR_RETURN(const std::vector<int64_t> ints, WeightTable::AsInts(*weight));
  if (ints.size() == 1) return ints[0];
  return Unsupported(StrCat("constant ", weight->name, " has ", ints.size(),
                            " numbers; only one axis at a time is sliced"));
}

// The result's shape for Reshape's numbers: 0 keeps a dim, -1 takes what is left.
Result<Shape> ReshapedTo(const Shape& from, const std::vector<int64_t>& numbers) {
  Shape shape;
  std::optional<size_t> open;
  for (size_t d = 0; d < numbers.size(); ++d) {
    if (numbers[d] > 0) {
      shape.push_back({static_cast<uint64_t>(numbers[d]), Unit::kOne});
    } else if (numbers[d] == 0 && d < from.size()) {
      shape.push_back(from[d]);
    } else if (numbers[d] == -1 && !open) {
      open = d;
      shape.push_back({});
    } else {
      return Invalid(StrCat("cannot reshape to the dim ", numbers[d]));
    }
  }
  const std::optional<Extent> total = ElementCount(from);
  const std::optional<Extent> known = ElementCount(shape);
  if (!total || !known) return Invalid("has too many elements");
  if (open && total->factor % known->factor == 0 &&
      (known->IsFixed() || known->unit == total->unit)) {
    shape[*open] = {total->factor / known->factor, known->IsFixed() ? total->unit : Unit::kOne};
  }
  if (ElementCount(shape) != total) {
    return Invalid(StrCat("cannot reshape ", ToString(from), " to ", ToString(shape)));
  }
  return shape;
}

}  // namespace

Result<PlannedNode> PlanGather(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 2, 1, {"axis"}));
  ASSIGN_OR_RETURN(const int64_t axis, context.Int("axis", 0));
  ASSIGN_OR_RETURN(const Value* indices, context.Required(1));
  switch (indices->kind) {
    case Value::Kind::kTokenInput:
      return PlanTokenGather(context, axis);
    case Value::Kind::kPositionInput:
      return PlanPositionGather(context);
    case Value::Kind::kLogitRowInput:
      return PlanRowGather(context, axis);
    default:
      return Unsupported(StrCat("indices \"", indices->name, "\" must be the graph input ", kTokens,
                                ", ", kPositions, " or ", kLogitRows));
  }
}

Result<PlannedNode> PlanReshape(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 2, 1, {"allowzero"}));
  ASSIGN_OR_RETURN(const Value* x, context.Required(0));
  const bool is_constant = x->kind == Value::Kind::kConstant;
  if (!is_constant) {
    ASSIGN_OR_RETURN(x, context.Computed(0));
  }
  ASSIGN_OR_RETURN(const int64_t allow_zero, context.Int("allowzero", 0));
  ASSIGN_OR_RETURN(const Weight* weight, context.Constant(1));
  ASSIGN_OR_RETURN(const std::vector<int64_t> numbers, WeightTable::AsInts(*weight));
  if (allow_zero != 0) return Unsupported("attribute allowzero = 1");
  ASSIGN_OR_RETURN(Shape shape, ReshapedTo(x->shape, numbers));
  if (!is_constant && (!IsRowMajor(x->shape) || !IsRowMajor(shape))) {
    return Unsupported(
        StrCat("reshaping ", ToString(x->shape), " to ", ToString(shape), " would mix rows"));
  }
  PlannedNode planned{std::move(shape), nullptr, x};
  if (is_constant) {
    std::vector<size_t> dims;
    for (const Extent& extent : planned.shape) dims.push_back(extent.factor);
    planned.weight = context.weights.WithDims(*x->weight, std::move(dims));
  }
  return planned;
}

Result<PlannedNode> PlanTranspose(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(1, 1, 1, {"perm"}));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  const size_t rank = x->shape.size();
  std::vector<size_t> order(rank);
  for (size_t d = 0; d < rank; ++d) order[d] = rank - 1 - d;
  if (const onnx::Attribute* attribute = context.node.FindAttribute("perm")) {
    const auto* perm = std::get_if<std::vector<int64_t>>(&attribute->value);
    std::vector<int64_t> sorted = perm != nullptr ? *perm : std::vector<int64_t>();
    std::ranges::sort(sorted);
    bool is_order = sorted.size() == rank;
    for (size_t d = 0; is_order && d < rank; ++d) is_order = sorted[d] == static_cast<int64_t>(d);
    if (!is_order) return Invalid(StrCat("perm is not an order of ", rank, " dims"));
    for (size_t d = 0; d < rank; ++d) order[d] = static_cast<size_t>((*perm)[d]);
  }
  PlannedNode planned;
  for (const size_t from : order) planned.shape.push_back(x->shape[from]);
  planned.step = std::make_unique<TransposeStep>(x->id, x->shape, std::move(order), context.output);
  return planned;
}

Result<PlannedNode> PlanConcat(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(1, 64, 1, {"axis"}));
  ASSIGN_OR_RETURN(const Value* first, context.Computed(0));
  if (context.node.FindAttribute("axis") == nullptr) return Invalid("attribute axis is missing");
  ASSIGN_OR_RETURN(const int64_t given_axis, context.Int("axis", 0));
  ASSIGN_OR_RETURN(const size_t axis, context.Axis(given_axis, first->shape.size()));
  PlannedNode planned;
  planned.shape = first->shape;
  planned.shape[axis].factor = 0;
  std::vector<ConcatStep::Part> parts;
  for (size_t i = 0; i < context.inputs.size(); ++i) {
    ASSIGN_OR_RETURN(const Value* part, context.Computed(i));
    Shape expected = first->shape;
    if (part->shape.size() == expected.size()) expected[axis] = part->shape[axis];
    if (part->shape != expected || !part->shape[axis].IsFixed()) {
      return Unsupported(StrCat("cannot join ", ToString(first->shape), " and ",
                                ToString(part->shape), " along axis ", axis));
    }
    planned.shape[axis].factor += part->shape[axis].factor;
    parts.push_back({part->id, *ElementCount(std::span(part->shape).subspan(axis))});
  }
  const Extent outer = *ElementCount(std::span(planned.shape).first(axis));
  planned.step = std::make_unique<ConcatStep>(std::move(parts), outer, context.output);
  return planned;
}

Result<PlannedNode> PlanSlice(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(4, 5, 1, {}));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  ASSIGN_OR_RETURN(int64_t begin, OneInt(context, 1));
  ASSIGN_OR_RETURN(int64_t end, OneInt(context, 2));
  ASSIGN_OR_RETURN(const int64_t given_axis, OneInt(context, 3));
  ASSIGN_OR_RETURN(const size_t axis, context.Axis(given_axis, x->shape.size()));
  if (context.inputs.size() == 5 && context.inputs[4] != nullptr) {
    ASSIGN_OR_RETURN(const int64_t step, OneInt(context, 4));
    if (step != 1) return Unsupported(StrCat("step ", step, "; only 1"));
  }
  if (!x->shape[axis].IsFixed()) {
    return Unsupported(StrCat("slices ", ToString(x->shape), " along the dim that grows"));
  }
  const auto dim = static_cast<int64_t>(x->shape[axis].factor);
  begin = std::clamp<int64_t>(begin < 0 ? begin + dim : begin, 0, dim);
  end = std::clamp<int64_t>(end < 0 ? end + dim : end, 0, dim);
  if (begin >= end) return Invalid(StrCat("takes nothing from a dim of ", dim));
  PlannedNode planned;
  planned.shape = x->shape;
  planned.shape[axis].factor = static_cast<uint64_t>(end - begin);
  planned.step = std::make_unique<SliceStep>(x->id, x->shape, axis, static_cast<size_t>(begin),
                                             static_cast<size_t>(end - begin), context.output);
  return planned;
}

Result<PlannedNode> PlanPad(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 2, 1, {"mode"}));
  ASSIGN_OR_RETURN(const std::string mode, context.Text("mode", "constant"));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  ASSIGN_OR_RETURN(const Weight* weight, context.Constant(1));
  ASSIGN_OR_RETURN(const std::vector<int64_t> pads, WeightTable::AsInts(*weight));
  if (pads.size() != 2 * x->shape.size()) {
    return Invalid(StrCat(pads.size(), " pads for ", x->shape.size(), " dims"));
  }
  const auto others = std::span(pads).first(pads.size() - 1);
  constexpr int64_t kPadMax = 1 << 20;
  if (mode != "constant" || pads.back() < 0 || pads.back() > kPadMax ||
      std::ranges::any_of(others, [](int64_t pad) { return pad != 0; })) {
    return Unsupported("pads with anything but zeros at the end of the last dim");
  }
  ASSIGN_OR_RETURN(const RowsOf rows, SplitLastDim(x->shape));
  const auto zeros = static_cast<size_t>(pads.back());
  PlannedNode planned;
  planned.shape = x->shape;
  planned.shape.back().factor += zeros;
  planned.step = std::make_unique<PadStep>(x->id, rows.rows, rows.width, zeros, context.output);
  return planned;
}

}  // namespace shoal::engine
