#include "engine/plan.h"

#include <algorithm>
#include <unordered_map>

#include "base/check.h"
#include "base/str_cat.h"
#include "engine/io.h"
#include "engine/ops.h"
#include "onnx/check.h"

namespace shoal::engine {

namespace {

// A stage whose buffers need more than this for one row is no stage.
constexpr uint64_t kFloatsPerRowMax = uint64_t{1} << 28;

std::string DescribeNode(const onnx::Node& node) {
  return StrCat("node \"", node.name, "\" (", node.domain.empty() ? "ai.onnx" : node.domain, ".",
                node.op_type, ")");
}

// Builds the plan of one graph. Values get their ids in the order in which they appear.
class Planner {
 public:
  Planner(const onnx::Model& model, WeightSource& source, const StageOptions& options)
      : graph_(model.graph), options_(options) {
    plan_.weights = WeightTable(&source);
    facts_.positions_max = options.positions_max;
  }

  Result<Plan> Run();

 private:
  Status AddInitializers();
  Status AddInputs();
  Status AddInput(const onnx::ValueInfo& input);
  Status AddNode(const onnx::Node& node);
  Status FindOutputs();
  Status CheckOutput(const onnx::ValueInfo& output);
  Status AssignBuffers();
  Value& NewValue(std::string_view name, Value::Kind kind);

  const onnx::Graph& graph_;
  const StageOptions& options_;
  Plan plan_;
  StageFacts facts_;
  std::vector<std::unique_ptr<Value>> values_;
  std::unordered_map<std::string_view, Value*> by_name_;
  // The value whose buffer a value uses: itself, or what it is another view of.
  std::vector<ValueId> root_of_;
  // Of each value, the node that makes it; 0 for inputs. Nodes count from 1.
  std::vector<size_t> made_at_;
  // Of each root, the last node that reads it.
  std::vector<size_t> last_use_;
  // Tokens alone, or values of rows.
  std::vector<const Value*> inputs_;
  // Logits alone, or values of rows.
  std::vector<const Value*> outputs_;
};

Value& Planner::NewValue(std::string_view name, Value::Kind kind) {
  auto& value = values_.emplace_back(std::make_unique<Value>());
  value->name = name;
  value->kind = kind;
  value->id = static_cast<ValueId>(values_.size() - 1);
  root_of_.push_back(value->id);
  made_at_.push_back(0);
  last_use_.push_back(0);
  by_name_[name] = value.get();
  return *value;
}

Status Planner::AddInitializers() {
  for (const onnx::Tensor& tensor : graph_.initializers) {
    if (tensor.dims.size() > kShapeRankMax || tensor.ElementCount() == 0) {
      return Unsupported(StrCat("initializer ", tensor.name, " has no elements or more than ",
                                kShapeRankMax, " dims"));
    }
    ASSIGN_OR_RETURN(const Weight* weight, plan_.weights.Add(tensor));
    Value& value = NewValue(tensor.name, Value::Kind::kConstant);
    value.weight = weight;
    for (const size_t dim : weight->dims) value.shape.push_back({dim, Unit::kOne});
  }
  return {};
}

// Checks that a declared input or output has the type and dims of the graph contract: `named` dims
// that are only known at run time, then `fixed` ones, which are numbers of at least 1.
Status CheckDeclared(const onnx::ValueInfo& value, DType type, size_t named, size_t fixed) {
  bool fits = value.type == type && value.dims.size() == named + fixed;
  for (size_t d = 0; fits && d < value.dims.size(); ++d) {
    fits = d < named ? !value.dims[d].symbol.empty()
                     : value.dims[d].symbol.empty() && value.dims[d].value >= 1;
  }
  if (fits) return {};
  return Invalid(StrCat("graph value \"", value.name, "\" must be ", DTypeName(type), " with ",
                        named, " named dims and then ", fixed, " fixed ones"));
}

Status Planner::AddInput(const onnx::ValueInfo& input) {
  const Extent rows{1, Unit::kRows};
  if (input.name == kTokens) {
    RETURN_IF_ERROR(CheckDeclared(input, DType::kI32, 2, 0));
    Value& value = NewValue(input.name, Value::Kind::kTokenInput);
    value.shape = {{}, rows};
    inputs_.push_back(&value);
    return {};
  }
  if (ParseRowValueName(input.name)) {
    RETURN_IF_ERROR(CheckDeclared(input, DType::kF32, 2, 1));
    Value& value = NewValue(input.name, Value::Kind::kComputed);
    value.shape = {{}, rows, {static_cast<uint64_t>(input.dims[2].value), Unit::kOne}};
    inputs_.push_back(&value);
    return {};
  }
  if (input.name == kPositions) {
    RETURN_IF_ERROR(CheckDeclared(input, DType::kI32, 2, 0));
    NewValue(input.name, Value::Kind::kPositionInput).shape = {{}, rows};
    return {};
  }
  if (input.name == kLogitRows) {
    RETURN_IF_ERROR(CheckDeclared(input, DType::kI32, 1, 0));
    NewValue(input.name, Value::Kind::kLogitRowInput).shape = {{1, Unit::kSelected}};
    return {};
  }
  if (input.name == kSeqlensK || input.name == kTotalSequenceLength) {
    RETURN_IF_ERROR(CheckDeclared(input, DType::kI32, input.name == kSeqlensK ? 1 : 0, 0));
    NewValue(input.name, Value::Kind::kControlInput);
    return {};
  }
  if (const auto cache = ParsePastName(input.name)) {
    Value& value = NewValue(input.name, Value::Kind::kPastInput);
    value.cache = *cache;
    value.declared = &input;
    return {};
  }
  return Unsupported(StrCat("graph input \"", input.name, "\" is not one of a stage's"));
}

// Brings them into the order in which they lie in a row. Several must be of one layer.
Status SortRowValues(std::vector<const Value*>& values, std::string_view what) {
  std::vector<std::pair<RowValueName, const Value*>> named;
  for (const Value* value : values) {
    const auto name = ParseRowValueName(value->name);
    const bool fits = name && (named.empty() || named.front().first.block == name->block) &&
                      name->kind != RowValueKind::kHidden;
    if (values.size() > 1 && !fits) {
      return Invalid(StrCat("the graph has two ", what, " of rows that are no layer's halves, \"",
                            values[0]->name, "\" and \"", values[1]->name, "\""));
    }
    named.emplace_back(name.value_or(RowValueName{}), value);
  }
  std::ranges::sort(named, {}, [](const auto& entry) { return entry.first; });
  for (size_t i = 0; i < named.size(); ++i) values[i] = named[i].second;
  return {};
}

Status Planner::AddInputs() {
  for (const onnx::ValueInfo& input : graph_.inputs) RETURN_IF_ERROR(AddInput(input));
  if (inputs_.empty()) return Invalid("the graph has neither the input tokens nor hidden.N");
  return SortRowValues(inputs_, "inputs");
}

Status Planner::AddNode(const onnx::Node& node) {
  const PlanNode plan_node = FindOperator(node.domain, node.op_type);
  if (plan_node == nullptr) return Unsupported("this operator is not supported");
  const size_t index = static_cast<size_t>(&node - graph_.nodes.data()) + 1;
  NodeContext context{node,          {},     static_cast<ValueId>(values_.size()),
                      plan_.weights, facts_, options_};
  for (const std::string& input : node.inputs) {
    context.inputs.push_back(input.empty() ? nullptr : by_name_.at(input));
  }
  ASSIGN_OR_RETURN(PlannedNode planned, plan_node(context));
  if (planned.shape.size() > kShapeRankMax) {
    return Unsupported(StrCat("gives ", planned.shape.size(), " dims, more than ", kShapeRankMax));
  }
  const std::optional<Extent> count = ElementCount(planned.shape);
  if (!count || count->factor > kFloatsPerRowMax) {
    return Unsupported(StrCat("gives ", ToString(planned.shape), ", which is too large"));
  }
  for (const Value* input : context.inputs) {
    if (input != nullptr) last_use_[root_of_[input->id]] = index;
  }
  // The first output may share an input's data; a constant stays a constant.
  const bool is_constant = planned.alias != nullptr && planned.alias->weight != nullptr;
  Value& output =
      NewValue(node.outputs[0], is_constant ? Value::Kind::kConstant : Value::Kind::kComputed);
  output.shape = std::move(planned.shape);
  made_at_[output.id] = index;
  last_use_[output.id] = index;
  if (planned.alias != nullptr) {
    output.weight = planned.weight != nullptr ? planned.weight : planned.alias->weight;
    root_of_[output.id] = root_of_[planned.alias->id];
  }
  size_t done = 1;
  if (!planned.indices.empty()) {
    Value& indices = NewValue(node.outputs[1], Value::Kind::kIndices);
    indices.shape = std::move(planned.indices);
    indices.index_end = planned.index_end;
    made_at_[indices.id] = index;
    last_use_[indices.id] = index;
    done = 2;
  }
  for (size_t i = done; i < node.outputs.size(); ++i) {
    if (!node.outputs[i].empty()) NewValue(node.outputs[i], Value::Kind::kPresentOutput);
  }
  if (planned.step) plan_.steps.push_back(std::move(planned.step));
  return {};
}

// Takes a graph output: hidden.N and logits are the stage's, present.* are the caches'.
Status Planner::CheckOutput(const onnx::ValueInfo& output) {
  const Value& value = *by_name_.at(output.name);
  if (value.kind == Value::Kind::kPresentOutput) return {};
  const bool is_logits = output.name == kLogits;
  if (!is_logits && !ParseRowValueName(output.name)) {
    return Unsupported(StrCat("graph output \"", output.name, "\" is not one of a stage's"));
  }
  RETURN_IF_ERROR(CheckDeclared(output, DType::kF32, is_logits ? 1 : 2, 1));
  Shape expected = {{1, is_logits ? Unit::kSelected : Unit::kRows},
                    {static_cast<uint64_t>(output.dims.back().value), Unit::kOne}};
  if (!is_logits) expected.insert(expected.begin(), Extent{});
  if (value.kind != Value::Kind::kComputed || value.shape != expected) {
    return Invalid(StrCat("graph output \"", output.name, "\" comes out as ", ToString(value.shape),
                          ", not ", ToString(expected)));
  }
  outputs_.push_back(&value);
  return {};
}

// Lists values of rows and adds up how wide they are.
Status AddWidths(const std::vector<const Value*>& values, std::vector<RowValue>& listed,
                 uint32_t& sum) {
  uint64_t width = 0;
  for (const Value* value : values) {
    const bool is_tokens = value->kind == Value::Kind::kTokenInput;
    const uint64_t own = is_tokens ? 1 : value->shape.back().factor;
    width += own;
    if (own > kFloatsPerRowMax || width > kFloatsPerRowMax) {
      return Unsupported("the hidden size is too large");
    }
    listed.push_back({std::string(value->name), static_cast<uint32_t>(own)});
  }
  sum = static_cast<uint32_t>(width);
  return {};
}

Status Planner::FindOutputs() {
  for (const onnx::ValueInfo& output : graph_.outputs) RETURN_IF_ERROR(CheckOutput(output));
  if (outputs_.empty()) return Invalid("the graph has neither the output logits nor hidden.N");
  RETURN_IF_ERROR(SortRowValues(outputs_, "outputs"));
  StageShape& shape = plan_.shape;
  shape.takes_tokens = inputs_.front()->kind == Value::Kind::kTokenInput;
  shape.gives_logits = outputs_.front()->name == kLogits;
  RETURN_IF_ERROR(AddWidths(inputs_, shape.inputs, shape.input_width));
  RETURN_IF_ERROR(AddWidths(outputs_, shape.outputs, shape.output_width));
  if (shape.takes_tokens && facts_.vocabulary == UINT32_MAX) {
    return Invalid("the graph takes tokens and looks none up");
  }
  shape.vocab_size = shape.takes_tokens ? facts_.vocabulary : 0;
  shape.layers = static_cast<uint32_t>(facts_.kv_layout.size());
  shape.positions_max = facts_.positions_max;
  shape.kv_bytes_per_position = KvBytesPerPosition(facts_.kv_layout, options_.kv_format);
  shape.weight_bytes = plan_.weights.stored_bytes();
  return {};
}

// Values in the order of their making take a free buffer, or a new one, and give it back after
// their last reader. A node's output never gets a buffer that its inputs still hold.
Status Planner::AssignBuffers() {
  constexpr size_t kForever = SIZE_MAX;
  for (const Value* output : outputs_) last_use_[root_of_[output->id]] = kForever;
  plan_.buffer_of.assign(values_.size(), kNoBuffer);
  std::vector<uint32_t> free_buffers;
  std::vector<const Value*> alive;
  for (const auto& value : values_) {
    const bool buffered =
        value->kind == Value::Kind::kComputed || value->kind == Value::Kind::kIndices;
    if (!buffered) continue;
    const ValueId root = root_of_[value->id];
    if (root != value->id) {
      plan_.buffer_of[value->id] = plan_.buffer_of[root];
      continue;
    }
    std::erase_if(alive, [&](const Value* earlier) {
      if (last_use_[earlier->id] >= made_at_[value->id]) return false;
      free_buffers.push_back(plan_.buffer_of[earlier->id]);
      return true;
    });
    if (free_buffers.empty()) {
      free_buffers.push_back(static_cast<uint32_t>(plan_.buffers.size()));
      plan_.buffers.emplace_back();
    }
    const uint32_t buffer = free_buffers.back();
    free_buffers.pop_back();
    plan_.buffers[buffer].Cover(*ElementCount(value->shape));
    plan_.buffer_of[value->id] = buffer;
    alive.push_back(value.get());
  }
  for (size_t i = 0; i < inputs_.size() && !plan_.shape.takes_tokens; ++i) {
    plan_.inputs.push_back({plan_.buffer_of[inputs_[i]->id], plan_.shape.inputs[i].width});
    CHECK(plan_.inputs.back().buffer != kNoBuffer);
  }
  for (size_t i = 0; i < outputs_.size(); ++i) {
    plan_.outputs.push_back({plan_.buffer_of[outputs_[i]->id], plan_.shape.outputs[i].width});
    CHECK(plan_.outputs.back().buffer != kNoBuffer);
  }
  return {};
}

Result<Plan> Planner::Run() {
  RETURN_IF_ERROR(AddInitializers());
  RETURN_IF_ERROR(AddInputs());
  for (const onnx::Node& node : graph_.nodes) {
    Status status = AddNode(node);
    if (!status) return FailWithContext(std::move(status).error(), DescribeNode(node));
  }
  RETURN_IF_ERROR(FindOutputs());
  RETURN_IF_ERROR(AssignBuffers());
  plan_.kv_layout = std::move(facts_.kv_layout);
  plan_.head_size_max = facts_.head_size_max;
  plan_.block_row_bytes = facts_.block_row_bytes;
  return std::move(plan_);
}

}  // namespace

Plan::Plan() = default;
Plan::~Plan() = default;
Plan::Plan(Plan&&) = default;
Plan& Plan::operator=(Plan&&) = default;

void BufferSize::Cover(const Extent& count) {
  uint64_t& size = count.unit == Unit::kRows       ? per_row
                   : count.unit == Unit::kSelected ? per_selected
                                                   : fixed;
  size = std::max(size, count.factor);
}

uint64_t BufferSize::In(const RunCounts& counts) const {
  return std::max({fixed, per_row * counts.rows, per_selected * counts.selected});
}

Result<Plan> MakePlan(const onnx::Model& model, WeightSource& source, const StageOptions& options) {
  RETURN_IF_ERROR(onnx::Check(model));
  return Planner(model, source, options).Run();
}

}  // namespace shoal::engine
