// Arithmetic. What is known is rounded as float32 after every operator, as executors round it.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "base/str_cat.h"
#include "partition/operators.h"

namespace shoal::partition {

namespace {

double ApplyUnary(std::string_view op, double x) {
  if (op == "Neg") return -x;
  if (op == "Sqrt") return std::sqrt(x);
  if (op == "Reciprocal") return 1 / x;
  if (op == "Exp") return std::exp(x);
  if (op == "Log") return std::log(x);
  if (op == "Cos") return std::cos(x);
  if (op == "Sin") return std::sin(x);
  if (op == "Tanh") return std::tanh(x);
  if (op == "Erf") return std::erf(x);
  if (op == "Sigmoid") return 1 / (1 + std::exp(-x));
  if (op == "Not") return x == 0 ? 1 : 0;
  if (op == "Abs") return std::abs(x);
  if (op == "Floor") return std::floor(x);
  if (op == "Ceil") return std::ceil(x);
  if (op == "Relu") return std::max(x, 0.0);
  return x;  // Identity, Dropout.
}

using Binary = double (*)(double, double);

Binary FindBinary(std::string_view op, bool floats) {
  if (op == "Add") return [](double a, double b) { return a + b; };
  if (op == "Sub") return [](double a, double b) { return a - b; };
  if (op == "Mul") return [](double a, double b) { return a * b; };
  if (op == "Div" && floats) return [](double a, double b) { return a / b; };
  if (op == "Div") return [](double a, double b) { return b == 0 ? 0 : std::trunc(a / b); };
  if (op == "Pow") return [](double a, double b) { return std::pow(a, b); };
  if (op == "Mod") return [](double a, double b) { return b == 0 ? 0 : a - b * std::floor(a / b); };
  if (op == "Min") return [](double a, double b) { return std::min(a, b); };
  if (op == "Max") return [](double a, double b) { return std::max(a, b); };
  if (op == "Equal") return [](double a, double b) { return a == b ? 1.0 : 0.0; };
  if (op == "Less") return [](double a, double b) { return a < b ? 1.0 : 0.0; };
  if (op == "LessOrEqual") return [](double a, double b) { return a <= b ? 1.0 : 0.0; };
  if (op == "Greater") return [](double a, double b) { return a > b ? 1.0 : 0.0; };
  if (op == "GreaterOrEqual") return [](double a, double b) { return a >= b ? 1.0 : 0.0; };
  if (op == "And") return [](double a, double b) { return a != 0 && b != 0 ? 1.0 : 0.0; };
  return [](double a, double b) { return a != 0 || b != 0 ? 1.0 : 0.0; };  // Or.
}

// Whether b, without leading ones, is the end of a: then it repeats over a's leading dims.
bool RepeatsOver(std::span<const int64_t> b, std::span<const int64_t> a) {
  while (!b.empty() && b.front() == 1) b = b.subspan(1);
  return b.size() <= a.size() && std::equal(b.rbegin(), b.rend(), a.rbegin());
}

bool GivesBool(std::string_view op) {
  return op == "Equal" || op.starts_with("Less") || op.starts_with("Greater") || op == "And" ||
         op == "Or";
}

Result<Array> Combine(std::string_view op, const Array& a, const Array& b) {
  ASSIGN_OR_RETURN(std::vector<int64_t> dims, BroadcastDims(a.dims, b.dims));
  const DType type = GivesBool(op) ? DType::kBool : a.type;
  ASSIGN_OR_RETURN(const int64_t count, CountOf(dims));
  if (!a.known() || !b.known()) return ShapeOnly(type, std::move(dims));
  if (count > kMaxElements) return Fail(Code::kResourceExhausted, "a value that is too large");
  const Binary apply = FindBinary(op, IsFloat(a.type));
  std::vector<double> values(static_cast<size_t>(count));
  if (dims == a.dims && RepeatsOver(b.dims, dims)) {
    const size_t period = b.data->size();
    for (size_t i = 0; i < values.size(); ++i) values[i] = apply(a[i], b[i % period]);
    return MakeArray(type, std::move(dims), std::move(values));
  }
  const std::vector<int64_t> a_strides = BroadcastStrides(a.dims, dims);
  const std::vector<int64_t> b_strides = BroadcastStrides(b.dims, dims);
  Odometer at(dims);
  for (double& value : values) {
    size_t a_at = 0;
    size_t b_at = 0;
    for (size_t d = 0; d < dims.size(); ++d) {
      a_at += static_cast<size_t>(at.at()[d] * a_strides[d]);
      b_at += static_cast<size_t>(at.at()[d] * b_strides[d]);
    }
    value = apply(a[a_at], b[b_at]);
    at.Next();
  }
  return MakeArray(type, std::move(dims), std::move(values));
}

// The matrices [m, k] and [k, n] at the end of two shapes, and what their leading dims broadcast
// to.
struct Products {
  std::vector<int64_t> lead;
  int64_t m = 0;
  int64_t k = 0;
  int64_t n = 0;
};

Result<Products> ProductsOf(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  if (a.size() < 2 || b.size() < 2 || a.back() != b[b.size() - 2]) {
    return Wrong("the matrices do not fit");
  }
  Products products{{}, a[a.size() - 2], a.back(), b.back()};
  ASSIGN_OR_RETURN(products.lead, BroadcastDims(std::span(a).first(a.size() - 2),
                                                std::span(b).first(b.size() - 2)));
  return products;
}

void Multiply(const Array& a, const Array& b, const Products& products,
              std::vector<double>& values) {
  const auto& [lead, m, k, n] = products;
  const std::vector<int64_t> a_strides =
      BroadcastStrides(std::span(a.dims).first(a.dims.size() - 2), lead);
  const std::vector<int64_t> b_strides =
      BroadcastStrides(std::span(b.dims).first(b.dims.size() - 2), lead);
  Odometer at(lead);
  for (size_t out = 0; out < values.size();) {
    int64_t a_matrix = 0;
    int64_t b_matrix = 0;
    for (size_t d = 0; d < lead.size(); ++d) {
      a_matrix += at.at()[d] * a_strides[d];
      b_matrix += at.at()[d] * b_strides[d];
    }
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t column = 0; column < n; ++column) {
        double sum = 0;
        for (int64_t i = 0; i < k; ++i) {
          sum += a[static_cast<size_t>(a_matrix * m * k + row * k + i)] *
                 b[static_cast<size_t>(b_matrix * k * n + i * n + column)];
        }
        values[out++] = sum;
      }
    }
    at.Next();
  }
}

}  // namespace

Arrays EvaluateUnary(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  const std::string_view op = call.node.op_type;
  if (!x->known() || op == "Identity" || op == "Dropout") return std::vector{*x};
  std::vector<double> values = *x->data;
  for (double& value : values) value = ApplyUnary(op, value);
  return std::vector{MakeArray(x->type, x->dims, std::move(values))};
}

Arrays EvaluateBinary(const Call& call) {
  ASSIGN_OR_RETURN(const Array* first, call.Input(0));
  Array result = *first;
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    ASSIGN_OR_RETURN(const Array* next, call.Input(i));
    ASSIGN_OR_RETURN(result, Combine(call.node.op_type, result, *next));
  }
  return std::vector{std::move(result)};
}

Arrays EvaluateWhere(const Call& call) {
  ASSIGN_OR_RETURN(const Array* condition, call.Input(0));
  ASSIGN_OR_RETURN(const Array* yes, call.Input(1));
  ASSIGN_OR_RETURN(const Array* no, call.Input(2));
  ASSIGN_OR_RETURN(const std::vector<int64_t> part, BroadcastDims(condition->dims, yes->dims));
  ASSIGN_OR_RETURN(std::vector<int64_t> dims, BroadcastDims(part, no->dims));
  ASSIGN_OR_RETURN(const int64_t count, CountOf(dims));
  if (!call.AllKnown()) return std::vector{ShapeOnly(yes->type, std::move(dims))};
  if (count > kMaxElements) return Fail(Code::kResourceExhausted, "a value that is too large");
  const Array* const arrays[] = {condition, yes, no};
  std::vector<int64_t> strides[3];
  for (size_t i = 0; i < 3; ++i) strides[i] = BroadcastStrides(arrays[i]->dims, dims);
  std::vector<double> values(static_cast<size_t>(count));
  Odometer at(dims);
  for (double& value : values) {
    size_t offsets[3] = {};
    for (size_t i = 0; i < 3; ++i) {
      for (size_t d = 0; d < dims.size(); ++d) {
        offsets[i] += static_cast<size_t>(at.at()[d] * strides[i][d]);
      }
    }
    value = (*condition)[offsets[0]] != 0 ? (*yes)[offsets[1]] : (*no)[offsets[2]];
    at.Next();
  }
  return std::vector{MakeArray(yes->type, std::move(dims), std::move(values))};
}

Arrays EvaluateReduce(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const auto given, call.Ints(1, "axes"));
  const size_t rank = x->dims.size();
  std::vector<bool> reduced(rank, !given || given->empty());
  if (given) {
    for (const int64_t axis : *given) {
      ASSIGN_OR_RETURN(const size_t at, Call::Axis(axis, rank));
      reduced[at] = true;
    }
  }
  if (given && given->empty() && call.node.IntAttribute("noop_with_empty_axes", 0) != 0) {
    return std::vector{*x};
  }
  const bool keep = call.node.IntAttribute("keepdims", 1) != 0;
  std::vector<int64_t> dims;
  std::vector<int64_t> kept(rank, 1);
  for (size_t d = 0; d < rank; ++d) {
    kept[d] = reduced[d] ? 1 : x->dims[d];
    if (!reduced[d] || keep) dims.push_back(kept[d]);
  }
  if (!x->known()) return std::vector{ShapeOnly(x->type, std::move(dims))};
  const std::string_view op = call.node.op_type;
  const double start = op == "ReduceProd"  ? 1
                       : op == "ReduceMax" ? -INFINITY
                       : op == "ReduceMin" ? INFINITY
                                           : 0;
  ASSIGN_OR_RETURN(const int64_t count, CountOf(kept));
  std::vector<double> values(static_cast<size_t>(count), start);
  const std::vector<int64_t> strides = BroadcastStrides(kept, x->dims);
  Odometer at(x->dims);
  for (const double value : *x->data) {
    size_t to = 0;
    for (size_t d = 0; d < rank; ++d) to += static_cast<size_t>(at.at()[d] * strides[d]);
    double& sum = values[to];
    if (op == "ReduceProd") {
      sum *= value;
    } else if (op == "ReduceMax") {
      sum = std::max(sum, value);
    } else if (op == "ReduceMin") {
      sum = std::min(sum, value);
    } else {
      sum += value;
    }
    at.Next();
  }
  if (op == "ReduceMean" && count > 0) {
    for (double& value : values)
      value *= static_cast<double>(count) / static_cast<double>(x->count());
  }
  return std::vector{MakeArray(x->type, std::move(dims), std::move(values))};
}

Arrays EvaluateMatMul(const Call& call) {
  ASSIGN_OR_RETURN(const Array* a, call.Input(0));
  ASSIGN_OR_RETURN(const Array* b, call.Input(1));
  ASSIGN_OR_RETURN(const Products products, ProductsOf(a->dims, b->dims));
  std::vector<int64_t> dims = products.lead;
  dims.push_back(products.m);
  dims.push_back(products.n);
  ASSIGN_OR_RETURN(const int64_t count, CountOf(dims));
  if (!call.AllKnown()) return std::vector{ShapeOnly(a->type, std::move(dims))};
  if (count > kMaxElements || products.k > kMaxProducts / std::max<int64_t>(count, 1)) {
    return Fail(Code::kResourceExhausted, "a product that is too large");
  }
  std::vector<double> values(static_cast<size_t>(count));
  Multiply(*a, *b, products, values);
  return std::vector{MakeArray(a->type, std::move(dims), std::move(values))};
}

Arrays EvaluateGemm(const Call& call) {
  ASSIGN_OR_RETURN(const Array* a, call.Input(0));
  ASSIGN_OR_RETURN(const Array* b, call.Input(1));
  if (a->dims.size() != 2 || b->dims.size() != 2) return Wrong("the matrices do not fit");
  const bool a_turned = call.node.IntAttribute("transA", 0) != 0;
  const bool b_turned = call.node.IntAttribute("transB", 0) != 0;
  if (a->dims[a_turned ? 0 : 1] != b->dims[b_turned ? 1 : 0])
    return Wrong("the matrices do not fit");
  return std::vector{ShapeOnly(a->type, {a->dims[a_turned ? 1 : 0], b->dims[b_turned ? 0 : 1]})};
}

Arrays EvaluateSoftmax(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  const int64_t last = call.opset < 13 ? 1 : -1;
  ASSIGN_OR_RETURN(const size_t axis,
                   Call::Axis(call.node.IntAttribute("axis", last), x->dims.size()));
  if (!x->known()) return std::vector{*x};
  if (axis + 1 != x->dims.size()) return Wrong("a softmax along another axis than the last");
  const auto width = static_cast<size_t>(x->dims.back());
  std::vector<double> values = *x->data;
  for (size_t row = 0; row < values.size(); row += width) {
    const std::span<double> scores = std::span(values).subspan(row, width);
    const double most = *std::ranges::max_element(scores);
    double sum = 0;
    for (double& score : scores) sum += score = std::exp(score - most);
    for (double& score : scores) score /= sum;
  }
  return std::vector{MakeArray(x->type, x->dims, std::move(values))};
}

Arrays EvaluateCumSum(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const auto axes, call.Ints(1, "axis"));
  if (!axes || axes->size() != 1) return Wrong("one axis is expected");
  ASSIGN_OR_RETURN(const size_t axis, Call::Axis(axes->front(), x->dims.size()));
  if (call.node.IntAttribute("exclusive", 0) != 0 || call.node.IntAttribute("reverse", 0) != 0) {
    return Fail(Code::kUnimplemented, "exclusive or reverse sums");
  }
  if (!x->known()) return std::vector{*x};
  const auto stride = static_cast<size_t>(StridesOf(x->dims)[axis]);
  std::vector<double> values = *x->data;
  Odometer at(x->dims);
  for (size_t i = 0; i < values.size(); ++i) {
    if (at.at()[axis] > 0) values[i] += values[i - stride];
    at.Next();
  }
  return std::vector{MakeArray(x->type, x->dims, std::move(values))};
}

}  // namespace shoal::partition
