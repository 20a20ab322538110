// com.microsoft.GroupQueryAttention over the sessions' caches.
//
// The graph's past and present tensors, seqlens_k and total_sequence_length are how an executor
// without sessions is told where every row stands. Here the rows' places say it, and planning only
// makes sure that the graph means the same: past.{b} goes in, present.{b} comes out.
#include <algorithm>
#include <cmath>
#include <vector>

#include "base/str_cat.h"
#include "engine/kernels/attention.h"
#include "engine/ops.h"

namespace shoal::engine {

namespace {

// Of the operator's inputs (ONNX Runtime, contrib operators).
enum InputIndex : size_t {
  kQuery,
  kKey,
  kValue,
  kPastKey,
  kPastValue,
  kSeqlens,
  kTotalLength,
  kCosCache,
  kSinCache,
  kPositionIds,
  kAttentionBias,
  kHeadSink,
  kInputCount,  // Of those known.
};

// The tables of rotary positions; empty without them.
struct RotaryTables {
  std::span<const float> cos;  // [positions, rotary_pairs]
  std::span<const float> sin;  // [positions, rotary_pairs]
};

class AttentionStep : public Step {
 public:
  AttentionStep(const AttentionShape& shape, const RotaryTables& tables, ValueId query, ValueId key,
                ValueId value, size_t layer, ValueId out)
      : shape_(shape),
        tables_(tables),
        query_(query),
        key_(key),
        value_(value),
        layer_(layer),
        out_(out) {}

  void Run(RunFrame& frame) const override {
    const size_t kv_width = shape_.KvWidth();
    const size_t query_width = shape_.QueryWidth();
    std::vector<float> key;
    // All keys and values first: a row attends to the earlier rows of its session in this call.
    for (size_t r = 0; r < frame.rows.size(); ++r) {
      const RowPlace& row = frame.rows[r];
      key.assign(frame.data[key_] + r * kv_width, frame.data[key_] + (r + 1) * kv_width);
      RotateRow(row.position, shape_.kv_heads, key.data());
      row.cache->Store(layer_, row.position, key.data(), frame.data[value_] + r * kv_width);
    }
    // Then every key-value head of every row, spread over tasks that have scores of their own.
    const size_t units = frame.rows.size() * shape_.kv_heads;
    const size_t tasks = std::min(units, frame.tasks);
    const size_t group = shape_.heads / shape_.kv_heads;
    frame.parallel->For(tasks, [&](size_t task) {
      float* const scores = frame.scores.data() + task * frame.scores_per_task;
      for (size_t unit = task; unit < units; unit += tasks) {
        const size_t r = unit / shape_.kv_heads;
        const size_t head = unit % shape_.kv_heads * group;
        const RowPlace& row = frame.rows[r];
        float* const out = frame.data[out_] + r * query_width;
        std::copy_n(frame.data[query_] + r * query_width + head * shape_.head_size,
                    group * shape_.head_size, out + head * shape_.head_size);
        RotateRow(row.position, group, out + head * shape_.head_size);
        AttendHeads(shape_, out, row.cache->Keys(layer_), row.cache->Values(layer_),
                    size_t{row.position} + 1, head, head + group, scores, out);
      }
    });
  }

 private:
  void RotateRow(size_t position, size_t heads, float* data) const {
    const size_t at = position * shape_.rotary_pairs;
    Rotate(shape_, tables_.cos.data() + at, tables_.sin.data() + at, heads, data);
  }

  AttentionShape shape_;
  RotaryTables tables_;
  ValueId query_;
  ValueId key_;
  ValueId value_;
  size_t layer_;
  ValueId out_;
};

// Attributes whose only supported value means that the feature is off.
Status RefuseUnsupportedFeatures(const NodeContext& context) {
  struct Feature {
    std::string_view attribute;
    int64_t off;
  };
  for (const Feature& feature : {Feature{"smooth_softmax", 0}, Feature{"qk_output", 0}}) {
    ASSIGN_OR_RETURN(const int64_t value, context.Int(feature.attribute, feature.off));
    if (value != feature.off) {
      return Unsupported(StrCat("attribute ", feature.attribute, " = ", value));
    }
  }
  for (const size_t index : {kPositionIds, kAttentionBias}) {
    if (index < context.inputs.size() && context.inputs[index] != nullptr) {
      return Unsupported(StrCat("input ", index, " \"", context.inputs[index]->name, "\""));
    }
  }
  return {};
}

// The width of an input that must be [1, rows, width].
Result<size_t> WidthOf(const Value& value) {
  const Shape& shape = value.shape;
  if (shape.size() == 3 && shape[0] == Extent{} && shape[1] == Extent{1, Unit::kRows} &&
      shape[2].IsFixed()) {
    return shape[2].factor;
  }
  return Invalid(
      StrCat("input \"", value.name, "\" has shape ", ToString(shape), ", not [1, rows, width]"));
}

Result<AttentionShape> ReadShape(const NodeContext& context) {
  AttentionShape shape;
  ASSIGN_OR_RETURN(const int64_t heads, context.Int("num_heads", 0));
  ASSIGN_OR_RETURN(const int64_t kv_heads, context.Int("kv_num_heads", 0));
  ASSIGN_OR_RETURN(const int64_t interleaved, context.Int("rotary_interleaved", 0));
  ASSIGN_OR_RETURN(shape.scale, context.Float("scale", 0.0f));
  ASSIGN_OR_RETURN(shape.softcap, context.Float("softcap", 0.0f));
  ASSIGN_OR_RETURN(const Value* query, context.Computed(kQuery));
  ASSIGN_OR_RETURN(const Value* key, context.Computed(kKey));
  ASSIGN_OR_RETURN(const Value* value, context.Computed(kValue));
  ASSIGN_OR_RETURN(const size_t query_width, WidthOf(*query));
  ASSIGN_OR_RETURN(const size_t key_width, WidthOf(*key));
  ASSIGN_OR_RETURN(const size_t value_width, WidthOf(*value));
  constexpr int64_t kHeadsMax = 1 << 16;
  if (heads < 1 || heads > kHeadsMax || kv_heads < 1 || heads % kv_heads != 0) {
    return Invalid(StrCat(heads, " heads over ", kv_heads, " key-value heads"));
  }
  shape.heads = static_cast<size_t>(heads);
  shape.kv_heads = static_cast<size_t>(kv_heads);
  shape.head_size = query_width / shape.heads;
  shape.interleaved = interleaved != 0;
  if (shape.head_size == 0 || query_width != shape.QueryWidth() || key_width != shape.KvWidth() ||
      value_width != shape.KvWidth()) {
    return Invalid(StrCat("query, key and value of widths ", query_width, ", ", key_width, ", ",
                          value_width, " for ", heads, " heads and ", kv_heads,
                          " key-value heads"));
  }
  if (shape.scale == 0) shape.scale = 1.0f / std::sqrt(static_cast<float>(shape.head_size));
  if (!std::isfinite(shape.scale) || !(shape.softcap >= 0) || !std::isfinite(shape.softcap)) {
    return Invalid("scale must be finite, and softcap finite and at least 0");
  }
  return shape;
}

// Reads local_window_size and the sinks into the shape.
Status ReadWindowAndSinks(const NodeContext& context, AttentionShape& shape) {
  ASSIGN_OR_RETURN(const int64_t window, context.Int("local_window_size", -1));
  if (window == 0 || window < -1) return Invalid(StrCat("local_window_size is ", window));
  shape.window = window > 0 ? static_cast<size_t>(window) : 0;
  if (context.inputs.size() <= kHeadSink || context.inputs[kHeadSink] == nullptr) return {};
  ASSIGN_OR_RETURN(const Weight* sinks, context.Constant(kHeadSink));
  if (sinks->dims != std::vector<size_t>{shape.heads}) {
    return Invalid(StrCat("sinks ", sinks->name, " must have the one dim ", shape.heads));
  }
  ASSIGN_OR_RETURN(const std::span<const float> floats, context.weights.AsFloats(*sinks));
  shape.sinks = floats.data();
  return {};
}

// Reads do_rotary and the tables, and sets the shape's pairs and the stage's last position.
Result<RotaryTables> ReadRotary(const NodeContext& context, AttentionShape& shape) {
  RotaryTables tables;
  ASSIGN_OR_RETURN(const int64_t do_rotary, context.Int("do_rotary", 0));
  if (do_rotary == 0) return tables;
  ASSIGN_OR_RETURN(const Weight* cos, context.Constant(kCosCache));
  ASSIGN_OR_RETURN(const Weight* sin, context.Constant(kSinCache));
  if (cos->dims.size() != 2 || cos->dims != sin->dims || 2 * cos->dims[1] > shape.head_size) {
    return Invalid(StrCat("cos_cache and sin_cache must both be [positions, pairs] with at most ",
                          shape.head_size / 2, " pairs"));
  }
  shape.rotary_pairs = cos->dims[1];
  ASSIGN_OR_RETURN(tables.cos, context.weights.AsFloats(*cos));
  ASSIGN_OR_RETURN(tables.sin, context.weights.AsFloats(*sin));
  uint32_t& positions_max = context.facts.positions_max;
  positions_max = static_cast<uint32_t>(std::min<size_t>(positions_max, cos->dims[0]));
  return tables;
}

// One of past.{b}.key and past.{b}.value; its block.
Result<uint32_t> ReadPast(const NodeContext& context, size_t index, const AttentionShape& shape) {
  const bool is_key = index == kPastKey;
  ASSIGN_OR_RETURN(const Value* past, context.Required(index));
  if (past->kind != Value::Kind::kPastInput || past->cache.is_key != is_key) {
    return Invalid(StrCat("input ", index, " \"", past->name, "\" is not a graph input past.N.",
                          is_key ? "key" : "value"));
  }
  const auto allows = [](const onnx::Dim& dim, size_t number) {
    return !dim.symbol.empty() || dim.value == static_cast<int64_t>(number);
  };
  const std::vector<onnx::Dim>& dims = past->declared->dims;
  if (past->declared->type != DType::kF32 || dims.size() != 4 || !allows(dims[1], shape.kv_heads) ||
      !allows(dims[3], shape.head_size)) {
    return Invalid(StrCat("graph input ", past->name, " must be f32 [batch, ", shape.kv_heads,
                          ", past_length, ", shape.head_size, "]"));
  }
  return past->cache.block;
}

// Checks that the caches and the control inputs are those of the graph contract; the layer's block.
Result<uint32_t> ReadBlock(const NodeContext& context, const AttentionShape& shape) {
  ASSIGN_OR_RETURN(const uint32_t block, ReadPast(context, kPastKey, shape));
  ASSIGN_OR_RETURN(const uint32_t value_block, ReadPast(context, kPastValue, shape));
  const auto key_out = ParsePresentName(context.node.outputs[1]);
  const auto value_out = ParsePresentName(context.node.outputs[2]);
  if (value_block != block || key_out != CacheName{block, true} ||
      value_out != CacheName{block, false}) {
    return Invalid(StrCat("past.", block, ".key, past.", block, ".value, present.", block,
                          ".key and present.", block, ".value belong together"));
  }
  const auto check_control = [&](size_t index, std::string_view name) -> Status {
    ASSIGN_OR_RETURN(const Value* control, context.Required(index));
    if (control->kind == Value::Kind::kControlInput && control->name == name) return {};
    return Invalid(StrCat("input ", index, " must be the graph input ", name));
  };
  RETURN_IF_ERROR(check_control(kSeqlens, kSeqlensK));
  RETURN_IF_ERROR(check_control(kTotalLength, kTotalSequenceLength));
  const std::vector<uint32_t>& blocks = context.facts.kv_blocks;
  if (!blocks.empty() && blocks.back() >= block) {
    return Invalid(StrCat("block ", block, " comes after block ", blocks.back()));
  }
  return block;
}

}  // namespace

Result<PlannedNode> PlanAttention(const NodeContext& context) {
  RETURN_IF_ERROR(
      context.Expect(kTotalLength + 1, kInputCount, 3,
                     {"num_heads", "kv_num_heads", "scale", "do_rotary", "rotary_interleaved",
                      "softcap", "local_window_size", "smooth_softmax", "qk_output"}));
  RETURN_IF_ERROR(RefuseUnsupportedFeatures(context));
  ASSIGN_OR_RETURN(AttentionShape shape, ReadShape(context));
  RETURN_IF_ERROR(ReadWindowAndSinks(context, shape));
  ASSIGN_OR_RETURN(const RotaryTables tables, ReadRotary(context, shape));
  ASSIGN_OR_RETURN(const uint32_t block, ReadBlock(context, shape));
  const size_t layer = context.facts.kv_layout.size();
  context.facts.kv_layout.push_back(shape.KvWidth());
  context.facts.kv_blocks.push_back(block);
  context.facts.head_size_max = std::max(context.facts.head_size_max, shape.head_size);
  PlannedNode planned;
  planned.shape = context.inputs[kQuery]->shape;
  planned.step = std::make_unique<AttentionStep>(shape, tables, context.inputs[kQuery]->id,
                                                 context.inputs[kKey]->id,
                                                 context.inputs[kValue]->id, layer, context.output);
  return planned;
}

}  // namespace shoal::engine
