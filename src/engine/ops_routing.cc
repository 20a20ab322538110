// Operators by which a mixture chooses its experts.
//
// Indices are held as floats, which are exact below 2^24; only the operators here read them.
#include <algorithm>
#include <cfloat>
#include <numeric>

#include "base/str_cat.h"
#include "engine/ops.h"

namespace shoal::engine {

namespace {

constexpr size_t kTopKWidthMax = 1 << 16;

class TopKStep : public Step {
 public:
  TopKStep(ValueId x, RowsOf rows, size_t count, ValueId out)
      : x_(x), rows_(rows), count_(count), out_(out) {}

  // Of equal values that of the lower index comes first, as ONNX asks.
  void Run(RunFrame& frame) const override {
    std::vector<uint32_t> order(rows_.width);
    std::vector<float> keys(rows_.width);
    const size_t rows = rows_.rows.In(frame.counts);
    for (size_t r = 0; r < rows; ++r) {
      const float* x = frame.data[x_] + r * rows_.width;
      std::iota(order.begin(), order.end(), 0u);
      // A NaN, as damaged weights make it, must not upset the order.
      for (size_t i = 0; i < keys.size(); ++i) keys[i] = x[i] == x[i] ? x[i] : -FLT_MAX;
      std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count_), order.end(),
                        [&](uint32_t a, uint32_t b) {
                          return keys[a] > keys[b] || (keys[a] == keys[b] && a < b);
                        });
      for (size_t i = 0; i < count_; ++i) {
        frame.data[out_][r * count_ + i] = x[order[i]];
        frame.data[out_ + 1][r * count_ + i] = static_cast<float>(order[i]);
      }
    }
  }

 private:
  ValueId x_;
  RowsOf rows_;
  size_t count_;
  ValueId out_;  // The values; the next one are the indices.
};

class GatherElementsStep : public Step {
 public:
  GatherElementsStep(ValueId x, ValueId indices, RowsOf rows, size_t count, ValueId out)
      : x_(x), indices_(indices), rows_(rows), count_(count), out_(out) {}

  void Run(RunFrame& frame) const override {
    const size_t rows = rows_.rows.In(frame.counts);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t i = r * count_; i < (r + 1) * count_; ++i) {
        const auto at = static_cast<size_t>(frame.data[indices_][i]);
        frame.data[out_][i] = frame.data[x_][r * rows_.width + at];
      }
    }
  }

 private:
  ValueId x_;
  ValueId indices_;
  RowsOf rows_;
  size_t count_;
  ValueId out_;
};

class ScatterElementsStep : public Step {
 public:
  ScatterElementsStep(ValueId x, ValueId indices, ValueId updates, RowsOf rows, size_t count,
                      ValueId out)
      : x_(x), indices_(indices), updates_(updates), rows_(rows), count_(count), out_(out) {}

  void Run(RunFrame& frame) const override {
    const size_t rows = rows_.rows.In(frame.counts);
    std::copy_n(frame.data[x_], rows * rows_.width, frame.data[out_]);
    for (size_t r = 0; r < rows; ++r) {
      for (size_t i = r * count_; i < (r + 1) * count_; ++i) {
        const auto at = static_cast<size_t>(frame.data[indices_][i]);
        frame.data[out_][r * rows_.width + at] = frame.data[updates_][i];
      }
    }
  }

 private:
  ValueId x_;
  ValueId indices_;
  ValueId updates_;
  RowsOf rows_;
  size_t count_;
  ValueId out_;
};

// Indices that TopK found in a value of x's shape, into whose last dim they point.
Result<const Value*> ReadIndices(const NodeContext& context, const Value& x) {
  ASSIGN_OR_RETURN(const Value* indices, context.Required(1));
  if (indices->kind != Value::Kind::kIndices) {
    return Unsupported(StrCat("input 1 \"", indices->name, "\" must be the indices of a TopK"));
  }
  Shape expected = x.shape;
  expected.back() = indices->shape.back();
  if (indices->shape != expected || indices->index_end > x.shape.back().factor) {
    return Invalid(StrCat("indices of shape ", ToString(indices->shape), " below ",
                          indices->index_end, " into ", ToString(x.shape)));
  }
  return indices;
}

Status CheckLastAxis(const NodeContext& context, const Value& x, int64_t otherwise) {
  ASSIGN_OR_RETURN(const int64_t given, context.Int("axis", otherwise));
  ASSIGN_OR_RETURN(const size_t axis, context.Axis(given, x.shape.size()));
  if (axis + 1 != x.shape.size()) return Unsupported("axis must be the last one");
  return {};
}

}  // namespace

Result<PlannedNode> PlanTopK(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 2, 2, {"axis", "largest", "sorted"}));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  RETURN_IF_ERROR(CheckLastAxis(context, *x, -1));
  ASSIGN_OR_RETURN(const int64_t largest, context.Int("largest", 1));
  if (largest != 1) return Unsupported("largest must be 1");
  ASSIGN_OR_RETURN(const Weight* weight, context.Constant(1));
  ASSIGN_OR_RETURN(const std::vector<int64_t> count, WeightTable::AsInts(*weight));
  ASSIGN_OR_RETURN(const RowsOf rows, SplitLastDim(x->shape));
  if (rows.width > kTopKWidthMax) return Unsupported(StrCat("chooses among ", rows.width));
  if (count.size() != 1 || count[0] < 1 || static_cast<uint64_t>(count[0]) > rows.width) {
    return Invalid(StrCat("k must be one number from 1 to ", rows.width));
  }
  PlannedNode planned;
  planned.shape = x->shape;
  planned.shape.back() = {static_cast<uint64_t>(count[0]), Unit::kOne};
  planned.indices = planned.shape;
  planned.index_end = rows.width;
  planned.step =
      std::make_unique<TopKStep>(x->id, rows, static_cast<size_t>(count[0]), context.output);
  return planned;
}

Result<PlannedNode> PlanGatherElements(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(2, 2, 1, {"axis"}));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  RETURN_IF_ERROR(CheckLastAxis(context, *x, 0));
  ASSIGN_OR_RETURN(const Value* indices, ReadIndices(context, *x));
  ASSIGN_OR_RETURN(const RowsOf rows, SplitLastDim(x->shape));
  PlannedNode planned;
  planned.shape = indices->shape;
  planned.step = std::make_unique<GatherElementsStep>(x->id, indices->id, rows,
                                                      indices->shape.back().factor, context.output);
  return planned;
}

Result<PlannedNode> PlanScatterElements(const NodeContext& context) {
  RETURN_IF_ERROR(context.Expect(3, 3, 1, {"axis"}));
  ASSIGN_OR_RETURN(const Value* x, context.Computed(0));
  RETURN_IF_ERROR(CheckLastAxis(context, *x, 0));
  ASSIGN_OR_RETURN(const Value* indices, ReadIndices(context, *x));
  ASSIGN_OR_RETURN(const Value* updates, context.Computed(2));
  if (updates->shape != indices->shape) {
    return Invalid(StrCat("updates of shape ", ToString(updates->shape), " for indices of ",
                          ToString(indices->shape)));
  }
  ASSIGN_OR_RETURN(const RowsOf rows, SplitLastDim(x->shape));
  PlannedNode planned;
  planned.shape = x->shape;
  planned.step = std::make_unique<ScatterElementsStep>(
      x->id, indices->id, updates->id, rows, indices->shape.back().factor, context.output);
  return planned;
}

}  // namespace shoal::engine
