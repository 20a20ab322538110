// Makes this folder's checkpoint, of random weights, and its reference: a forward pass of the
// Granite architecture in float64, written from its description (IBM, 2024, arXiv:2405.04324, and
// the configuration's four multipliers) without any of Shoal's code.
//
//   node generate.mjs

import { writeFileSync } from "node:fs";

const config = {
  architectures: ["GraniteForCausalLM"],
  model_type: "granite",
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 128,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  hidden_act: "silu",
  attention_bias: false,
  mlp_bias: false,
  tie_word_embeddings: false,
  attention_multiplier: 0.35,
  embedding_multiplier: 2.5,
  residual_multiplier: 0.6,
  logits_scaling: 4,
  bos_token_id: 1,
  eos_token_id: 2,
};
const hidden = config.hidden_size;
const inner = config.intermediate_size;
const heads = config.num_attention_heads;
const kvHeads = config.num_key_value_heads;
const headSize = hidden / heads;

let seed = 20240507n;
function random() {
  seed = (seed * 6364136223846793005n + 1442695040888963407n) & ((1n << 64n) - 1n);
  return Number(seed >> 40n) / 2 ** 24 - 0.5;
}

// The nearest number whose low 16 bits as a float32 are 0.
function toBf16(value) {
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0];
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}
function fromBf16(bits) {
  return new Float32Array(new Uint32Array([bits << 16]).buffer)[0];
}

const tensors = new Map();
function add(name, shape, spread, center = 0) {
  const count = shape.reduce((product, dim) => product * dim, 1);
  const bits = Uint16Array.from({ length: count }, () => toBf16(center + spread * random()));
  tensors.set(name, { shape, bits, values: Float64Array.from(bits, fromBf16) });
}
add("model.embed_tokens.weight", [config.vocab_size, hidden], 1);
add("model.norm.weight", [hidden], 1, 1);
add("lm_head.weight", [config.vocab_size, hidden], 1);
for (let layer = 0; layer < config.num_hidden_layers; ++layer) {
  const prefix = `model.layers.${layer}.`;
  add(`${prefix}input_layernorm.weight`, [hidden], 1, 1);
  add(`${prefix}post_attention_layernorm.weight`, [hidden], 1, 1);
  add(`${prefix}self_attn.q_proj.weight`, [heads * headSize, hidden], 0.6);
  add(`${prefix}self_attn.k_proj.weight`, [kvHeads * headSize, hidden], 0.6);
  add(`${prefix}self_attn.v_proj.weight`, [kvHeads * headSize, hidden], 0.6);
  add(`${prefix}self_attn.o_proj.weight`, [hidden, heads * headSize], 0.6);
  add(`${prefix}mlp.gate_proj.weight`, [inner, hidden], 0.6);
  add(`${prefix}mlp.up_proj.weight`, [inner, hidden], 0.6);
  add(`${prefix}mlp.down_proj.weight`, [hidden, inner], 0.6);
}
const weight = (name) => tensors.get(name).values;

// matrix [outputs, inputs] times x [inputs]
function product(name, x) {
  const matrix = weight(name);
  const outputs = matrix.length / x.length;
  return Float64Array.from({ length: outputs }, (_, o) => {
    let sum = 0;
    for (let i = 0; i < x.length; ++i) sum += matrix[o * x.length + i] * x[i];
    return sum;
  });
}
function norm(name, x) {
  const scale = weight(name);
  const mean = x.reduce((sum, value) => sum + value * value, 0) / x.length;
  const factor = 1 / Math.sqrt(mean + config.rms_norm_eps);
  return x.map((value, i) => value * factor * scale[i]);
}
// Pairs (i, i + headSize / 2) of every head turn.
function rotate(x, position) {
  const half = headSize / 2;
  const turned = x.slice();
  for (let start = 0; start < x.length; start += headSize) {
    for (let i = 0; i < half; ++i) {
      const angle = position / config.rope_theta ** (i / half);
      const [a, b] = [x[start + i], x[start + i + half]];
      turned[start + i] = a * Math.cos(angle) - b * Math.sin(angle);
      turned[start + i + half] = a * Math.sin(angle) + b * Math.cos(angle);
    }
  }
  return turned;
}
function attend(query, keys, values) {
  const out = new Float64Array(heads * headSize);
  for (let head = 0; head < heads; ++head) {
    const from = Math.floor((head * kvHeads) / heads) * headSize;
    const scores = keys.map((key) => {
      let dot = 0;
      for (let i = 0; i < headSize; ++i) dot += query[head * headSize + i] * key[from + i];
      return dot * config.attention_multiplier;
    });
    const largest = Math.max(...scores);
    const shares = scores.map((score) => Math.exp(score - largest));
    const sum = shares.reduce((a, b) => a + b, 0);
    shares.forEach((share, t) => {
      for (let i = 0; i < headSize; ++i) {
        out[head * headSize + i] += (share / sum) * values[t][from + i];
      }
    });
  }
  return out;
}

// Logits of every position.
function forward(ids) {
  const table = weight("model.embed_tokens.weight");
  let rows = ids.map((id) =>
    table.slice(id * hidden, (id + 1) * hidden).map((value) => value * config.embedding_multiplier),
  );
  const addTo = (row, branch) =>
    row.map((value, i) => value + branch[i] * config.residual_multiplier);
  for (let layer = 0; layer < config.num_hidden_layers; ++layer) {
    const prefix = `model.layers.${layer}.`;
    const keys = [];
    const values = [];
    rows = rows.map((row, position) => {
      const normed = norm(`${prefix}input_layernorm.weight`, row);
      const query = rotate(product(`${prefix}self_attn.q_proj.weight`, normed), position);
      keys.push(rotate(product(`${prefix}self_attn.k_proj.weight`, normed), position));
      values.push(product(`${prefix}self_attn.v_proj.weight`, normed));
      const mixed = attend(query, keys, values);
      const middle = addTo(row, product(`${prefix}self_attn.o_proj.weight`, mixed));
      const second = norm(`${prefix}post_attention_layernorm.weight`, middle);
      const gate = product(`${prefix}mlp.gate_proj.weight`, second);
      const up = product(`${prefix}mlp.up_proj.weight`, second);
      const gated = gate.map((value, i) => (value / (1 + Math.exp(-value))) * up[i]);
      return addTo(middle, product(`${prefix}mlp.down_proj.weight`, gated));
    });
  }
  return rows.map((row) =>
    product("lm_head.weight", norm("model.norm.weight", row)).map(
      (value) => value / config.logits_scaling,
    ),
  );
}

const promptIds = Array.from({ length: 24 }, () => 3 + Math.floor((random() + 0.5) * 125));
const logits = forward(promptIds);
const ids = promptIds.slice();
const greedyIds = [];
const greedyMargin = [];
for (let step = 0; step < 24; ++step) {
  const last = forward(ids).at(-1);
  const order = Array.from(last.keys()).sort((a, b) => last[b] - last[a]);
  greedyIds.push(order[0]);
  greedyMargin.push(last[order[0]] - last[order[1]]);
  ids.push(order[0]);
}

const header = {};
let offset = 0;
for (const [name, { shape, bits }] of tensors) {
  header[name] = { dtype: "BF16", shape, data_offsets: [offset, offset + bits.byteLength] };
  offset += bits.byteLength;
}
const text = Buffer.from(JSON.stringify(header));
const length = Buffer.alloc(8);
length.writeBigUInt64LE(BigInt(text.length));
const folder = new URL("./", import.meta.url);
writeFileSync(
  new URL("model.safetensors", folder),
  Buffer.concat([
    length,
    text,
    ...Array.from(tensors.values(), ({ bits }) => Buffer.from(bits.buffer)),
  ]),
);
const dims = `(${logits.length}, ${config.vocab_size})`;
const shape = `{'descr': '<f4', 'fortran_order': False, 'shape': ${dims}, }`;
const npy = Buffer.from(`\x93NUMPY\x01\x00\x00\x00${shape}`, "latin1");
const spaces = Buffer.alloc((64 - ((npy.length + 1) % 64)) % 64, " ");
const padded = Buffer.concat([npy, spaces, Buffer.from("\n")]);
padded.writeUInt16LE(padded.length - 10, 8);
const floats = Float32Array.from(logits.flatMap((row) => Array.from(row)));
writeFileSync(
  new URL("ref_logits.npy", folder),
  Buffer.concat([padded, Buffer.from(floats.buffer)]),
);
writeFileSync(new URL("config.json", folder), `${JSON.stringify(config, null, 2)}\n`);
writeFileSync(
  new URL("ref.json", folder),
  `${JSON.stringify({ prompt_ids: promptIds, greedy_ids: greedyIds, greedy_margin: greedyMargin })}\n`,
);
