// Decoders in the styles of three exporters, with random weights. Written after the graphs that
// these programs make, not with them:
// - genai: the model builder of onnxruntime-genai (GroupQueryAttention, SkipSimplifiedLayerNorm,
//   seqlens from the attention mask);
// - optimum: `optimum-cli export onnx` of a Llama (torch.onnx of transformers' modelling code);
// - gpt2: the same of a GPT-2, merged: one If over the graphs with and without a past.

import { Builder, graph, model, node, value } from "./onnx_writer.mjs";

const cacheDims = (heads, size, length) => ["batch_size", heads, length, size];

function caches(layers, heads, size, type = "f32") {
  const inputs = [];
  const outputs = [];
  for (let layer = 0; layer < layers; ++layer) {
    for (const which of ["key", "value"]) {
      inputs.push(
        value(`past_key_values.${layer}.${which}`, type, cacheDims(heads, size, "past_sequence_length")),
      );
      outputs.push(
        value(`present.${layer}.${which}`, type, cacheDims(heads, size, "total_sequence_length")),
      );
    }
  }
  return { inputs, outputs };
}

const ids = (name, length) => value(name, "i64", ["batch_size", length]);

// genai: `quantised` stores products as MatMulNBits, `type` is that of the activations.
export function genai(shape, { seed, type = "f32", quantised = false, external, zeroPoints }) {
  const b = new Builder(seed, external);
  const { hidden, heads, kvHeads, size, inner, layers, vocab, positions } = shape;
  const product = (name, input, k, n) => {
    if (!quantised) return b.op("MatMul", [input, b.weight(`${name}.weight`, [k, n], { type })], {}, `${name}/out`);
    const blocks = k / 32;
    const codes = Array.from({ length: n * blocks * 16 }, () => Math.floor(256 * b.random()));
    b.constant(`${name}.weight_Q4`, "u8", [n, blocks, 16], codes);
    b.weight(`${name}.weight_scales`, [n * blocks], { scale: 0.01, offset: 0.03, type });
    const inputs = [input, `${name}.weight_Q4`, `${name}.weight_scales`];
    if (zeroPoints) {
      const bytesPerRow = Math.ceil(blocks / 2);
      const zeros = Array.from({ length: n * bytesPerRow }, () => Math.floor(256 * b.random()));
      inputs.push(b.constant(`${name}.weight_zero_points`, "u8", [n * bytesPerRow], zeros));
    }
    return b.microsoft("MatMulNBits", inputs, [`${name}/out`], { K: k, N: n, bits: 4, block_size: 32, accuracy_level: 0 });
  };
  const norm = (name) => b.weight(`${name}.weight`, [hidden], { scale: 0.2, offset: 1, type });
  // How long the rows are, from the attention mask.
  b.op("ReduceSum", ["attention_mask", b.ints([1])], { keepdims: 0 }, "/attn_mask/sum");
  b.op("Sub", ["/attn_mask/sum", b.ints([1])], {}, "/attn_mask/sub");
  b.op("Cast", ["/attn_mask/sub"], { to: 6 }, "/attn_mask/seqlens_k");
  b.op("Shape", ["attention_mask"], {}, "/attn_mask/shape");
  b.op("Gather", ["/attn_mask/shape", b.scalar("i64", 1)], { axis: 0 }, "/attn_mask/total64");
  b.op("Cast", ["/attn_mask/total64"], { to: 6 }, "/attn_mask/total");
  const half = size / 2;
  for (const [name, f] of [["cos_cache", Math.cos], ["sin_cache", Math.sin]]) {
    const table = [];
    for (let p = 0; p < positions; ++p) {
      for (let i = 0; i < half; ++i) table.push(f(p / 10000 ** (i / half)));
    }
    b.constant(name, type, [positions, half], table);
  }
  let skip = b.op("Gather", [b.weight("model.embed_tokens.weight", [vocab, hidden], { scale: 1, type }), "input_ids"], {}, "/embed/out");
  let normed = b.op("SimplifiedLayerNormalization", [skip, norm("layers.0.input_norm")], { axis: -1, epsilon: { float: 1e-5 }, stash_type: 1 }, "/layers.0/norm");
  const skipNorm = (name, branch, last) => {
    const outputs = [`${name}/normed`, "", "", last ? "" : `${name}/sum`];
    b.microsoft("SkipSimplifiedLayerNormalization", [skip, branch, norm(name)], last ? outputs.slice(0, 1) : outputs, { epsilon: { float: 1e-5 } });
    skip = outputs[3];
    return outputs[0];
  };
  for (let layer = 0; layer < layers; ++layer) {
    const at = `/layers.${layer}`;
    const q = product(`${at}/q`, normed, hidden, heads * size);
    const k = product(`${at}/k`, normed, hidden, kvHeads * size);
    const v = product(`${at}/v`, normed, hidden, kvHeads * size);
    b.microsoft(
      "GroupQueryAttention",
      [q, k, v, `past_key_values.${layer}.key`, `past_key_values.${layer}.value`, "/attn_mask/seqlens_k", "/attn_mask/total", "cos_cache", "sin_cache"],
      [`${at}/attention`, `present.${layer}.key`, `present.${layer}.value`],
      { num_heads: heads, kv_num_heads: kvHeads, scale: { float: 1 / Math.sqrt(size) }, do_rotary: 1, rotary_interleaved: 0, local_window_size: -1, softcap: { float: 0 } },
    );
    normed = skipNorm(`${at}/post_attention_norm`, product(`${at}/o`, `${at}/attention`, heads * size, hidden));
    const gate = product(`${at}/gate`, normed, hidden, inner);
    const up = product(`${at}/up`, normed, hidden, inner);
    const act = b.op("Mul", [gate, b.op("Sigmoid", [gate])]);
    const down = product(`${at}/down`, b.op("Mul", [act, up]), inner, hidden);
    normed = skipNorm(`${at}/final_norm`, down, layer + 1 === layers);
  }
  const logits = product("/lm_head", normed, hidden, vocab);
  const out = type === "f32" ? b.op("Identity", [logits], {}, "logits") : b.op("Cast", [logits], { to: 1 }, "logits");
  const { inputs, outputs } = caches(layers, kvHeads, size, type);
  return model(
    graph("main_graph", {
      nodes: b.nodes,
      initializers: b.initializers,
      inputs: [ids("input_ids", "sequence_length"), ids("attention_mask", "total_sequence_length"), ...inputs],
      outputs: [value(out, "f32", ["batch_size", "sequence_length", vocab]), ...outputs],
    }),
    21,
  );
}

// One dim of a value, as exporters compute it.
const dim = (b, input, index) => b.op("Gather", [b.op("Shape", [input]), b.scalar("i64", index)], { axis: 0 });
const one = (b, input) => b.op("Unsqueeze", [input, b.ints([0])]);
// A vector of values, numbers being constants.
const vector = (b, parts) =>
  b.op("Concat", parts.map((part) => (typeof part === "number" ? b.scalar("i64", part, [1]) : one(b, part))), { axis: 0 });

// transformers' RMSNorm, spelled out.
function rmsNorm(b, input, weight, epsilon = 1e-6) {
  const square = b.op("Pow", [input, b.scalar("f32", 2)]);
  const mean = b.op("ReduceMean", [square], { axes: [-1], keepdims: 1 });
  const root = b.op("Sqrt", [b.op("Add", [mean, b.scalar("f32", epsilon)])]);
  const normed = b.op("Mul", [input, b.op("Div", [b.scalar("f32", 1), root])]);
  return b.op("Mul", [weight, normed]);
}

// The causal mask [batch, 1, sequence, total] of transformers 4.4x.
function causalMask(b, hiddenStates, past, total) {
  const sequence = dim(b, hiddenStates, 1);
  const least = -3.4028234663852886e38;
  const full = b.op("ConstantOfShape", [vector(b, [sequence, total])]);
  const filled = b.op("Add", [full, b.scalar("f32", least)]);
  const upper = b.op("Trilu", [filled, b.scalar("i64", 1)], { upper: 1 });
  const places = b.op("Range", [past, b.op("Add", [past, sequence]), b.scalar("i64", 1)]);
  const columns = b.op("Range", [b.scalar("i64", 0), total, b.scalar("i64", 1)]);
  const later = b.op("Greater", [columns, b.op("Reshape", [places, b.ints([-1, 1])])]);
  const causal = b.op("Mul", [upper, b.op("Cast", [later], { to: 1 })]);
  const four = b.op("Unsqueeze", [b.op("Unsqueeze", [causal, b.ints([0])]), b.ints([1])]);
  const batch = dim(b, hiddenStates, 0);
  const wide = b.op("Expand", [four, vector(b, [batch, 1, -1, -1].map((d) => (d === -1 ? 1 : d)))]);
  const kept = b.op("Unsqueeze", [b.op("Unsqueeze", ["attention_mask", b.ints([1])]), b.ints([2])]);
  const cut = b.op("Slice", [wide, b.ints([0]), one(b, total), b.ints([3]), b.ints([1])]);
  const sum = b.op("Add", [cut, b.op("Cast", [kept], { to: 1 })]);
  const padded = b.op("Equal", [sum, b.scalar("f32", 0)]);
  return b.op("Where", [padded, b.scalar("f32", least), cut]);
}

export function optimum(shape, { seed, external, qkNorm = false, bias = false }) {
  const b = new Builder(seed, external);
  const { hidden, heads, kvHeads, size, inner, layers, vocab } = shape;
  const linear = (name, input, k, n, biased = false) => {
    const product = b.op("MatMul", [input, b.weight(`onnx::MatMul_${name}`, [k, n])], {}, `${name}/MatMul`);
    return biased ? b.op("Add", [b.weight(`${name}.bias`, [n]), product]) : product;
  };
  const norm = (name, input, width = hidden) =>
    rmsNorm(b, input, b.weight(`${name}.weight`, [width], { scale: 0.2, offset: 1 }));
  let x = b.op("Gather", [b.weight("model.embed_tokens.weight", [vocab, hidden], { scale: 1 }), "input_ids"], {}, "/model/embed_tokens/Gather");
  const past = dim(b, "past_key_values.0.key", 2);
  const total = b.op("Add", [past, dim(b, x, 1)]);
  const mask = causalMask(b, x, past, total);
  // cos and sin [batch, sequence, size]
  const frequencies = Array.from({ length: size / 2 }, (_, i) => 10000 ** (-2 * i / size));
  b.constant("model.rotary_emb.inv_freq", "f32", [1, size / 2, 1], frequencies);
  const turns = b.op("Expand", ["model.rotary_emb.inv_freq", vector(b, [dim(b, "position_ids", 0), 1, 1])]);
  const at = b.op("Cast", [b.op("Unsqueeze", ["position_ids", b.ints([1])])], { to: 1 });
  const angles = b.op("Transpose", [b.op("MatMul", [turns, at])], { perm: [0, 2, 1] });
  const both = b.op("Concat", [angles, angles], { axis: -1 });
  const table = (op) => b.op("Unsqueeze", [b.op("Mul", [b.op(op, [both]), b.scalar("f32", 1)]), b.ints([1])]);
  const cos = table("Cos");
  const sin = table("Sin");
  const rotate = (input) => {
    const middle = one(b, b.op("Div", [dim(b, input, 3), b.scalar("i64", 2)]));
    const first = b.op("Slice", [input, b.ints([0]), middle, b.ints([3]), b.ints([1])]);
    const second = b.op("Slice", [input, middle, b.ints([9223372036854775807n]), b.ints([3]), b.ints([1])]);
    const turned = b.op("Concat", [b.op("Neg", [second]), first], { axis: -1 });
    return b.op("Add", [b.op("Mul", [input, cos]), b.op("Mul", [turned, sin])]);
  };
  for (let layer = 0; layer < layers; ++layer) {
    const name = `/model/layers.${layer}`;
    const normed = norm(`${name}/input_layernorm`, x);
    const [batch, sequence] = [dim(b, normed, 0), dim(b, normed, 1)];
    const split = (which, count) => {
      const flat = linear(`${name}/${which}_proj`, normed, hidden, count * size, bias);
      let view = b.op("Reshape", [flat, vector(b, [batch, sequence, -1, size])]);
      if (qkNorm && which !== "v") view = norm(`${name}/${which}_norm`, view, size);
      return b.op("Transpose", [view], { perm: [0, 2, 1, 3] });
    };
    const q = rotate(split("q", heads));
    const key = b.op("Concat", [`past_key_values.${layer}.key`, rotate(split("k", kvHeads))], { axis: 2 }, `present.${layer}.key`);
    const values = b.op("Concat", [`past_key_values.${layer}.value`, split("v", kvHeads)], { axis: 2 }, `present.${layer}.value`);
    const repeat = (input) => {
      const [n, length] = [dim(b, input, 0), dim(b, input, 2)];
      const five = b.op("Unsqueeze", [input, b.ints([2])]);
      const wide = b.op("Expand", [five, vector(b, [n, kvHeads, heads / kvHeads, length, size])]);
      return b.op("Reshape", [wide, vector(b, [n, heads, length, size])]);
    };
    const half = b.op("Sqrt", [b.op("Div", [b.scalar("f32", 1), b.op("Sqrt", [b.op("Cast", [dim(b, q, 3)], { to: 1 })])])]);
    const keys = b.op("Mul", [b.op("Transpose", [repeat(key)], { perm: [0, 1, 3, 2] }), half]);
    const scores = b.op("Add", [b.op("MatMul", [b.op("Mul", [q, half]), keys]), mask]);
    const attended = b.op("MatMul", [b.op("Softmax", [scores], { axis: -1 }), repeat(values)]);
    const flat = b.op("Reshape", [b.op("Transpose", [attended], { perm: [0, 2, 1, 3] }), vector(b, [batch, sequence, -1])]);
    x = b.op("Add", [x, linear(`${name}/o_proj`, flat, heads * size, hidden)]);
    const second = norm(`${name}/post_attention_layernorm`, x);
    const gate = linear(`${name}/gate_proj`, second, hidden, inner);
    const act = b.op("Mul", [gate, b.op("Sigmoid", [gate])]);
    const up = linear(`${name}/up_proj`, second, hidden, inner);
    x = b.op("Add", [x, linear(`${name}/down_proj`, b.op("Mul", [act, up]), inner, hidden)]);
  }
  b.op("MatMul", [norm("/model/norm", x), b.weight("onnx::MatMul_lm_head", [hidden, vocab])], {}, "logits");
  const { inputs, outputs } = caches(layers, kvHeads, size);
  return model(
    graph("main_graph", {
      nodes: b.nodes,
      initializers: b.initializers,
      inputs: [ids("input_ids", "sequence_length"), ids("attention_mask", "total_sequence_length"), ids("position_ids", "sequence_length"), ...inputs],
      outputs: [value("logits", "f32", ["batch_size", "sequence_length", vocab]), ...outputs],
    }),
  );
}

function layerNorm(b, input, name, width) {
  const mean = b.op("ReduceMean", [input], { axes: [-1], keepdims: 1 });
  const centred = b.op("Sub", [input, mean]);
  const variance = b.op("ReduceMean", [b.op("Pow", [centred, b.scalar("f32", 2)])], { axes: [-1], keepdims: 1 });
  const root = b.op("Sqrt", [b.op("Add", [variance, b.scalar("f32", 1e-5)])]);
  const scaled = b.op("Mul", [b.op("Div", [centred, root]), `${name}.weight`]);
  return b.op("Add", [scaled, `${name}.bias`]);
}

// The body of a GPT-2 that reads its weights from the graph around it.
function gpt2Body(weights, { hidden, heads, layers, positions }, cached) {
  const b = new Builder(0);
  const size = hidden / heads;
  const conv = (name, input, n) => {
    const out = vector(b, [dim(b, input, 0), dim(b, input, 1), n]);
    const flat = b.op("Reshape", [input, vector(b, [-1, dim(b, input, 2)])]);
    const product = b.op("Gemm", [flat, `${name}.weight`, `${name}.bias`], { alpha: { float: 1 }, beta: { float: 1 } });
    return b.op("Reshape", [product, out]);
  };
  const sequence = dim(b, "input_ids", 1);
  const past = cached ? dim(b, "past_key_values.0.key", 2) : b.scalar("i64", 0);
  const end = b.op("Add", [past, sequence]);
  const places = b.op("Unsqueeze", [b.op("Range", [past, end, b.scalar("i64", 1)]), b.ints([0])]);
  const embedded = b.op("Gather", ["transformer.wte.weight", "input_ids"]);
  let x = b.op("Add", [embedded, b.op("Gather", ["transformer.wpe.weight", places])]);
  const kept = b.op("Cast", [b.op("Unsqueeze", [b.op("Unsqueeze", ["attention_mask", b.ints([1])]), b.ints([2])])], { to: 1 });
  const padding = b.op("Mul", [b.op("Sub", [b.scalar("f32", 1), kept]), b.scalar("f32", -3.4028234663852886e38)]);
  for (let layer = 0; layer < layers; ++layer) {
    const name = `transformer.h.${layer}`;
    const qkv = conv(`${name}.attn.c_attn`, layerNorm(b, x, `${name}.ln_1`, hidden), 3 * hidden);
    const parts = ["q", "k", "v"].map((part) => `${name}/${part}`);
    b.nodes.push(node("Split", [qkv, b.ints([hidden, hidden, hidden])], parts, { axis: 2 }));
    const view = (part) =>
      b.op("Transpose", [b.op("Reshape", [part, vector(b, [dim(b, part, 0), dim(b, part, 1), heads, size])])], { perm: [0, 2, 1, 3] });
    const [q, k, v] = parts.map(view);
    const join = (which, fresh) => {
      const inputs = cached ? [`past_key_values.${layer}.${which}`, fresh] : [fresh];
      return b.op("Concat", inputs, { axis: 2 }, `present.${layer}.${which}`);
    };
    const key = join("key", k);
    const values = join("value", v);
    const product = b.op("MatMul", [q, b.op("Transpose", [key], { perm: [0, 1, 3, 2] })]);
    const root = b.op("Pow", [b.op("Cast", [dim(b, values, 3)], { to: 1 }), b.scalar("f32", 0.5)]);
    const scores = b.op("Div", [product, root]);
    const [rows, columns] = [dim(b, q, 2), dim(b, key, 2)];
    const from = one(b, b.op("Sub", [columns, rows]));
    const bias = b.op("Slice", ["attn.bias", from, one(b, columns), b.ints([2]), b.ints([1])]);
    const causal = b.op("Slice", [bias, b.ints([0]), one(b, columns), b.ints([3]), b.ints([1])]);
    const seen = b.op("Where", [b.op("Cast", [causal], { to: 9 }), scores, b.scalar("f32", -3.4028234663852886e38)]);
    const attended = b.op("MatMul", [b.op("Softmax", [b.op("Add", [seen, padding])], { axis: -1 }), values]);
    const merged = b.op("Transpose", [attended], { perm: [0, 2, 1, 3] });
    const flat = b.op("Reshape", [merged, vector(b, [dim(b, merged, 0), dim(b, merged, 1), hidden])]);
    x = b.op("Add", [conv(`${name}.attn.c_proj`, flat, hidden), x]);
    const inner = conv(`${name}.mlp.c_fc`, layerNorm(b, x, `${name}.ln_2`, hidden), 4 * hidden);
    const cube = b.op("Mul", [b.op("Pow", [inner, b.scalar("f32", 3)]), b.scalar("f32", 0.044715)]);
    const tanh = b.op("Tanh", [b.op("Mul", [b.op("Add", [inner, cube]), b.scalar("f32", Math.sqrt(2 / Math.PI))])]);
    const act = b.op("Mul", [b.op("Mul", [inner, b.scalar("f32", 0.5)]), b.op("Add", [tanh, b.scalar("f32", 1)])]);
    x = b.op("Add", [x, conv(`${name}.mlp.c_proj`, act, hidden)]);
  }
  const head = b.op("Transpose", ["transformer.wte.weight"], { perm: [1, 0] });
  b.op("MatMul", [layerNorm(b, x, "transformer.ln_f", hidden), head], {}, "logits");
  return b;
}

export function gpt2(shape, { seed, external }) {
  const { hidden, heads, layers, vocab, positions } = shape;
  const weights = new Builder(seed, external);
  const pair = (name, k, n) => {
    weights.weight(`${name}.weight`, [k, n], { scale: 0.3 });
    weights.weight(`${name}.bias`, [n], { scale: 0.3 });
  };
  const norm = (name) => {
    weights.weight(`${name}.weight`, [hidden], { scale: 0.2, offset: 1 });
    weights.weight(`${name}.bias`, [hidden], { scale: 0.2 });
  };
  weights.weight("transformer.wte.weight", [vocab, hidden], { scale: 1 });
  weights.weight("transformer.wpe.weight", [positions, hidden], { scale: 0.5 });
  const lower = Array.from({ length: positions ** 2 }, (_, i) => (i % positions <= Math.floor(i / positions) ? 1 : 0));
  weights.constant("attn.bias", "u8", [1, 1, positions, positions], lower);
  for (let layer = 0; layer < layers; ++layer) {
    const name = `transformer.h.${layer}`;
    norm(`${name}.ln_1`);
    norm(`${name}.ln_2`);
    pair(`${name}.attn.c_attn`, hidden, 3 * hidden);
    pair(`${name}.attn.c_proj`, hidden, hidden);
    pair(`${name}.mlp.c_fc`, hidden, 4 * hidden);
    pair(`${name}.mlp.c_proj`, 4 * hidden, hidden);
  }
  norm("transformer.ln_f");
  const { inputs, outputs } = caches(layers, heads, hidden / heads);
  const all = [value("logits", "f32", ["batch_size", "sequence_length", vocab]), ...outputs];
  const names = ["logits"];
  for (let layer = 0; layer < layers; ++layer) names.push(`present.${layer}.key`, `present.${layer}.value`);
  const branch = (name, cached) => {
    const { nodes, initializers } = gpt2Body(weights, shape, cached);
    return { graph: graph(name, { nodes, initializers, inputs: [], outputs: all }) };
  };
  const choice = node("If", ["use_cache_branch"], names, { then_branch: branch("with_past", true), else_branch: branch("no_past", false) }, "optimum::if");
  return model(
    graph("merged", {
      nodes: [choice],
      initializers: weights.initializers,
      inputs: [ids("input_ids", "sequence_length"), ids("attention_mask", "total_sequence_length"), ...inputs, value("use_cache_branch", "bool", [1])],
      outputs: all,
    }),
  );
}
