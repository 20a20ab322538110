// Whole layers: of most only the shape matters, since graphs are never cut within them.
#include "base/str_cat.h"
#include "partition/operators.h"

namespace shoal::partition {

namespace {

// Room for every output that the node names, shapes as the first's.
std::vector<Array> Alike(const Call& call, const Array& first) {
  return std::vector<Array>(std::max<size_t>(1, call.node.outputs.size()), first);
}

}  // namespace

Arrays ShapeOfFirst(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  return Alike(call, ShapeOnly(x->type, x->dims));
}

Arrays ShapeOfNorm(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const Array* scale, call.Input(1));
  if (x->dims.empty() || scale->dims.empty() || scale->dims.back() != x->dims.back()) {
    return Wrong("the scale does not fit");
  }
  return Alike(call, ShapeOnly(x->type, x->dims));
}

Arrays ShapeOfSkipNorm(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const Array* skip, call.Input(1));
  if (x->dims != skip->dims) return Wrong("what is added does not fit");
  return ShapeOfFirst(call);
}

Arrays ShapeOfMatMulNBits(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  const int64_t k = call.node.IntAttribute("K", 0);
  const int64_t n = call.node.IntAttribute("N", 0);
  if (x->dims.empty() || x->dims.back() != k || n < 1) return Wrong("K or N does not fit");
  std::vector<int64_t> dims = x->dims;
  dims.back() = n;
  return std::vector{ShapeOnly(x->type, std::move(dims))};
}

Arrays ShapeOfGatherBlockQuantized(const Call& call) {
  ASSIGN_OR_RETURN(const Array* table, call.Input(0));
  ASSIGN_OR_RETURN(const Array* indices, call.Input(1));
  ASSIGN_OR_RETURN(const Array* scales, call.Input(2));
  const int64_t bits = call.node.IntAttribute("bits", 4);
  if (table->dims.size() != 2 || table->type != DType::kU8 || (bits != 4 && bits != 8) ||
      call.node.IntAttribute("gather_axis", 0) != 0) {
    return Fail(Code::kUnimplemented, "only tables of bytes with two dims, looked up by rows");
  }
  std::vector<int64_t> dims = indices->dims;
  dims.push_back(table->dims[1] * 8 / bits);
  return std::vector{ShapeOnly(scales->type, std::move(dims))};
}

Arrays ShapeOfAttention(const Call& call) {
  ASSIGN_OR_RETURN(const Array* query, call.Input(0));
  ASSIGN_OR_RETURN(const Array* past_key, call.Input(3));
  ASSIGN_OR_RETURN(const Array* past_value, call.Input(4));
  const int64_t heads = call.node.IntAttribute("num_heads", 0);
  if (query->dims.size() != 3 || past_key->dims.size() != 4 || heads < 1) {
    return Wrong("query or past has a wrong number of dims");
  }
  std::vector<int64_t> dims = query->dims;
  dims[2] = heads * past_key->dims[3];
  std::vector<Array> outputs{ShapeOnly(query->type, std::move(dims))};
  for (const Array* past : {past_key, past_value}) {
    std::vector<int64_t> present = past->dims;
    present[2] += query->dims[1];
    outputs.push_back(ShapeOnly(past->type, std::move(present)));
  }
  return outputs;
}

Arrays ShapeOfTopK(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const auto count, call.Ints(1, "k"));
  if (!count || count->size() != 1) return Wrong("k is missing");
  ASSIGN_OR_RETURN(const size_t axis,
                   Call::Axis(call.node.IntAttribute("axis", -1), x->dims.size()));
  std::vector<int64_t> dims = x->dims;
  dims[axis] = count->front();
  return std::vector{ShapeOnly(x->type, dims), ShapeOnly(DType::kI64, dims)};
}

// com.microsoft.RotaryEmbedding: x [batch, sequence, width] or [batch, heads, sequence, size],
// position ids, tables [positions, pairs].
Arrays EvaluateRotary(const Call& call) {
  ASSIGN_OR_RETURN(const Array* x, call.Input(0));
  ASSIGN_OR_RETURN(const Array* ids, call.Input(1));
  ASSIGN_OR_RETURN(const Array* cos, call.Input(2));
  ASSIGN_OR_RETURN(const Array* sin, call.Input(3));
  if (!call.AllKnown()) return std::vector{ShapeOnly(x->type, x->dims)};
  const bool by_head = x->dims.size() == 4;
  if ((!by_head && x->dims.size() != 3) || cos->dims.size() != 2 || cos->dims != sin->dims) {
    return Wrong("x or the tables have a wrong number of dims");
  }
  const int64_t pairs = cos->dims[1];
  const int64_t given_heads = call.node.IntAttribute("num_heads", 0);
  const int64_t width = x->dims.back();
  const int64_t size = by_head ? width : given_heads > 0 ? width / given_heads : 2 * pairs;
  if (size < 2 * pairs || width % size != 0 || pairs < 1) return Wrong("the tables do not fit");
  const bool interleaved = call.node.IntAttribute("interleaved", 0) != 0;
  const int64_t sequence = x->dims[by_head ? 2 : 1];
  const bool is_offset = ids->data->size() == 1;
  std::vector<double> values = *x->data;
  for (size_t head = 0; head * static_cast<size_t>(size) < values.size(); ++head) {
    const auto row = static_cast<int64_t>(head) * size / width;  // Of x, without its last dim.
    const int64_t at = row % sequence;
    const int64_t batch = by_head ? row / (sequence * x->dims[1]) : row / sequence;
    const auto index = static_cast<size_t>(batch * sequence + at);
    if (!is_offset && index >= ids->data->size()) return Wrong("the position ids do not fit");
    const int64_t position = is_offset ? ToInt((*ids)[0]) + at : ToInt((*ids)[index]);
    if (position < 0 || position >= cos->dims[0]) return Wrong("a position outside of the tables");
    double* const data = values.data() + head * static_cast<size_t>(size);
    for (int64_t i = 0; i < pairs; ++i) {
      const double c = (*cos)[static_cast<size_t>(position * pairs + i)];
      const double s = (*sin)[static_cast<size_t>(position * pairs + i)];
      double& first = data[interleaved ? 2 * i : i];
      double& second = data[interleaved ? 2 * i + 1 : i + pairs];
      const double turned = first * c - second * s;
      second = second * c + first * s;
      first = turned;
    }
  }
  return std::vector{MakeArray(x->type, x->dims, std::move(values))};
}

}  // namespace shoal::partition
