#include "packer/attention_graph.h"

#include "base/str_cat.h"
#include "store/stage_graph.h"

namespace shoal::packer {

namespace {

using model::Attention;
using model::HeadLayout;
using model::LatentAttention;
using onnx::Dim;

// DeepSeek's norms of latents have an epsilon of their own.
constexpr double kLatentEpsilon = 1e-6;

std::string CacheName(const BlockWriter& writer, std::string_view when, std::string_view which) {
  return StrCat(when, ".", writer.block(), ".", which);
}

// Heads side by side, [batch, sequence, heads * values], as HeadLayout says; of values, which do
// not turn, only the end is padded.
std::string LayOutHeads(BlockWriter& writer, const std::string& name, const std::string& input,
                        int64_t heads, bool turn) {
  const HeadLayout layout = writer.arch().HeadLayoutOf(writer.block());
  if (!layout.IsPadded()) return input;
  GraphBuilder& graph = writer.graph();
  const int64_t values = layout.values;
  const int64_t turning = layout.turning;
  const int64_t room = layout.turning_room;
  std::string out = graph.Reshape(name + ".split", input, {0, 0, heads, values});
  int64_t width = values;
  if (turn && room > turning) {
    const int64_t halves = writer.arch().attention.interleaved ? 1 : 2;
    const std::string first =
        turning == values ? out : graph.SliceLast(name + ".turning", out, 0, turning);
    const std::string split =
        graph.Reshape(name + ".halves", first, {0, 0, heads * halves, turning / halves});
    const std::string padded = graph.PadLast(name + ".room", split, (room - turning) / halves);
    const std::string roomy = graph.Reshape(name + ".turning_room", padded, {0, 0, heads, room});
    out = turning == values
              ? roomy
              : graph.Add("Concat", name + ".joined",
                          {roomy, graph.SliceLast(name + ".still", out, turning, values)},
                          {{"axis", int64_t{-1}}});
    width += room - turning;
  }
  if (width < layout.size) out = graph.PadLast(name + ".padded", out, layout.size - width);
  return graph.Reshape(name + ".flat", out, {0, 0, heads * layout.size});
}

// GroupQueryAttention with the cache's inputs and outputs, over heads as HeadLayout says.
std::string AddKernel(BlockWriter& writer, const std::string& q, const std::string& k,
                      const std::string& v) {
  GraphBuilder& graph = writer.graph();
  const Attention& attention = writer.arch().attention;
  const model::Layer& layer = writer.arch().LayerOf(writer.block());
  const HeadLayout layout = writer.arch().HeadLayoutOf(writer.block());
  const auto cache_dims = [&](const char* length) {
    return std::vector<Dim>{Dim::Symbolic("batch"), Dim::Fixed(attention.kv_heads),
                            Dim::Symbolic(length), Dim::Fixed(layout.size)};
  };
  for (const char* which : {"key", "value"}) {
    graph.Input(CacheName(writer, "past", which), DType::kF32, cache_dims("past_length"));
    graph.Output(CacheName(writer, "present", which), DType::kF32, cache_dims("total_length"));
  }
  graph.Input("seqlens_k", DType::kI32, {Dim::Symbolic("batch")});
  graph.Input("total_sequence_length", DType::kI32, {});
  std::vector<std::string> inputs = {q,
                                     k,
                                     v,
                                     CacheName(writer, "past", "key"),
                                     CacheName(writer, "past", "value"),
                                     "seqlens_k",
                                     "total_sequence_length"};
  std::vector<onnx::Attribute> attributes = {
      {"num_heads", int64_t{attention.heads}},
      {"kv_num_heads", int64_t{attention.kv_heads}},
      {"scale", static_cast<float>(attention.scale)},
      {"do_rotary", int64_t{layer.rope ? 1 : 0}},
      {"rotary_interleaved", int64_t{attention.interleaved ? 1 : 0}}};
  if (layer.rope) {
    const int64_t pairs = layout.turning_room / 2;
    for (const char* function : {"cos", "sin"}) {
      const std::string table = store::RotaryTableName(function, *layer.rope);
      graph.Input(table, DType::kF32, {Dim::Symbolic("positions"), Dim::Fixed(pairs)});
      inputs.push_back(table);
    }
  }
  if (attention.sinks) {
    inputs.resize(11);  // Without tables, position_ids and attention_bias.
    inputs.push_back(writer.UseOne("sinks"));
  }
  if (layer.window != 0) attributes.push_back({"local_window_size", int64_t{layer.window}});
  if (attention.softcap != 0) {
    attributes.push_back({"softcap", static_cast<float>(attention.softcap)});
  }
  const std::string output = graph.prefix() + "attention";
  graph.AddMicrosoft(
      "GroupQueryAttention", "attention", std::move(inputs),
      {output, CacheName(writer, "present", "key"), CacheName(writer, "present", "value")},
      std::move(attributes));
  return output;
}

// The kernel's result, [batch, sequence, heads * size], without the padding.
std::string TakeHeads(BlockWriter& writer, const std::string& mixed) {
  const HeadLayout layout = writer.arch().HeadLayoutOf(writer.block());
  if (!layout.IsPadded()) return mixed;
  GraphBuilder& graph = writer.graph();
  const int64_t heads = writer.arch().attention.heads;
  const std::string by_head =
      graph.Reshape("attention.split", mixed, {0, 0, heads, int64_t{layout.size}});
  const std::string values = graph.SliceLast("attention.values", by_head, 0, layout.values);
  return graph.Reshape("attention.flat", values, {0, 0, heads * layout.values});
}

std::string QkNorm(BlockWriter& writer, const std::string& role, uint32_t heads,
                   const std::string& input) {
  const Attention& attention = writer.arch().attention;
  if (attention.qk_norm == model::QkNorm::kNone) return input;
  if (attention.qk_norm == model::QkNorm::kWhole) return writer.Norm(role, input);
  GraphBuilder& graph = writer.graph();
  const int64_t size = attention.head_size;
  const std::string split = graph.Reshape(role + ".split", input, {0, 0, int64_t{heads}, size});
  return graph.Reshape(role + ".join", writer.Norm(role, split), {0, 0, heads * size});
}

// [batch, sequence, heads, n] through a matrix for each head.
std::string PerHead(BlockWriter& writer, const std::string& role, const std::string& input) {
  GraphBuilder& graph = writer.graph();
  const std::vector<int64_t> swap = {0, 2, 1, 3};
  const std::string by_head = graph.Add("Transpose", role + ".by_head", {input}, {{"perm", swap}});
  const PlacedWeight& weight = writer.Weight(role);
  const std::string product =
      weight.format->AddHeadProduct(graph, role + ".product", by_head, weight);
  return graph.Add("Transpose", role + ".by_row", {product}, {{"perm", swap}});
}

std::string AddLatentAttention(BlockWriter& writer, const std::string& input) {
  GraphBuilder& graph = writer.graph();
  const Attention& attention = writer.arch().attention;
  const LatentAttention& latent = *writer.arch().latent;
  const int64_t heads = attention.heads;
  const int64_t nope = latent.nope_size;
  const int64_t rope = latent.rope_size;
  const int64_t rank = latent.kv_rank;
  const int64_t cached = latent.cached_size();

  std::string q;
  if (latent.q_rank == 0) {
    q = writer.Linear("q", input);
  } else {
    q = writer.Linear("q_b",
                      writer.RmsNorm("q_a_norm", writer.Linear("q_a", input), kLatentEpsilon));
  }
  const std::string split = graph.Reshape("q.split", q, {0, 0, heads, nope + rope});
  const std::string q_latent = PerHead(writer, "k_up", graph.SliceLast("q.nope", split, 0, nope));
  const std::string q_rope = graph.SliceLast("q.rope", split, nope, nope + rope);
  const std::string q_cached =
      graph.Add("Concat", "q.joined", {q_rope, q_latent}, {{"axis", int64_t{-1}}});
  const std::string q_flat = graph.Reshape("q.flat", q_cached, {0, 0, heads * cached});
  const std::string query = LayOutHeads(writer, "q.head", q_flat, heads, /*turn=*/true);

  const std::string kv = writer.Linear("kv_a", input);
  const std::string normed =
      writer.RmsNorm("kv_a_norm", graph.SliceLast("kv.latent", kv, 0, rank), kLatentEpsilon);
  const std::string k_rope = graph.SliceLast("kv.rope", kv, rank, cached);
  const std::string kv_cached =
      graph.Add("Concat", "kv.joined", {k_rope, normed}, {{"axis", int64_t{-1}}});
  const std::string key = LayOutHeads(writer, "kv.head", kv_cached, 1, /*turn=*/true);

  const HeadLayout layout = writer.arch().HeadLayoutOf(writer.block());
  const int64_t before = layout.turning_room + (rope - layout.turning);
  const std::string mixed = AddKernel(writer, query, key, key);
  const std::string by_head =
      graph.Reshape("attention.split", mixed, {0, 0, heads, int64_t{layout.size}});
  const std::string values =
      PerHead(writer, "v_up", graph.SliceLast("attention.latent", by_head, before, before + rank));
  const std::string flat =
      graph.Reshape("attention.flat", values, {0, 0, heads * int64_t{latent.value_size}});
  return writer.Linear("o", flat);
}

}  // namespace

std::string AddAttention(BlockWriter& writer, const std::string& input) {
  const model::Architecture& arch = writer.arch();
  if (arch.latent) return AddLatentAttention(writer, input);
  const Attention& attention = arch.attention;
  const std::string q = QkNorm(writer, "q_norm", attention.heads, writer.Linear("q", input));
  const std::string k = QkNorm(writer, "k_norm", attention.kv_heads, writer.Linear("k", input));
  const std::string mixed =
      AddKernel(writer, LayOutHeads(writer, "q.head", q, attention.heads, /*turn=*/true),
                LayOutHeads(writer, "k.head", k, attention.kv_heads, /*turn=*/true),
                LayOutHeads(writer, "v.head", writer.Linear("v", input), attention.kv_heads,
                            /*turn=*/false));
  return writer.Linear("o", TakeHeads(writer, mixed));
}

}  // namespace shoal::packer
