// A GGUF file of random Q4_0 weights for llama.cpp: the stage of this bench, with as small an
// embedding and head as there can be. Its text is printable, since wllama's output must be UTF-8.

const Q4_0 = 2, F32 = 0, alignment = 32;

class Bytes {
  parts = [];
  add(bytes, ...args) {
    const part = Buffer.alloc(bytes);
    part[args[0]](args[1], 0);
    this.parts.push(part);
    return this;
  }
  u32(value) { return this.add(4, 'writeUInt32LE', value); }
  i32(value) { return this.add(4, 'writeInt32LE', value); }
  f32(value) { return this.add(4, 'writeFloatLE', value); }
  u64(value) { return this.add(8, 'writeBigUInt64LE', BigInt(value)); }
  text(value) {
    const bytes = Buffer.from(value);
    this.u64(bytes.length).parts.push(bytes);
    return this;
  }
  all() { return Buffer.concat(this.parts); }
}

const types = {u32: 4, i32: 5, f32: 6, text: 8};

// Bytes that are printable, the letters and the space as text is cut into, then pairs of letters.
function vocabulary() {
  const tokens = [['<unk>', 2], ['<s>', 3], ['</s>', 3], ['<0x0A>', 6]];
  for (let code = 0x20; code < 0x7f; ++code) {
    tokens.push([`<0x${code.toString(16).toUpperCase()}>`, 6]);
  }
  const letter = (i) => String.fromCharCode(97 + i);
  tokens.push(['\u2581', 1]);
  for (let i = 0; i < 26; ++i) tokens.push([letter(i), 1]);
  for (let i = 0; tokens.length < 256; ++i) tokens.push([letter(i % 26) + letter(i / 26 | 0), 1]);
  return tokens;
}

// Blocks of 32 weights: a scale in f16, and 16 bytes of nibbles. The first `zero` rows are zero.
function random(width, rows, zero = 0) {
  const data = Buffer.alloc(width / 32 * rows * 18);
  let state = 12345;
  for (let at = zero * width / 32 * 18; at < data.length; at += 18) {
    data.writeUInt16LE(0x1800 + (at >> 2 & 255), at);  // About 0.002.
    for (let i = 2; i < 18; i += 2) {
      state = Math.imul(state, 1664525) + 1013904223 | 0;
      data.writeUInt16LE(state >>> 16, at + i);
    }
  }
  return data;
}

export function writeGguf({layers, hidden, ffn, heads, kvHeads, headSize, positions}) {
  const tokens = vocabulary();
  const facts = [
    ['general.architecture', 'text', 'llama'],
    ['general.name', 'text', 'random'],
    ['llama.context_length', 'u32', positions],
    ['llama.embedding_length', 'u32', hidden],
    ['llama.block_count', 'u32', layers],
    ['llama.feed_forward_length', 'u32', ffn],
    ['llama.attention.head_count', 'u32', heads],
    ['llama.attention.head_count_kv', 'u32', kvHeads],
    ['llama.attention.layer_norm_rms_epsilon', 'f32', 1e-5],
    ['llama.rope.dimension_count', 'u32', headSize],
    ['llama.vocab_size', 'u32', tokens.length],
    ['tokenizer.ggml.model', 'text', 'llama'],
    ['tokenizer.ggml.bos_token_id', 'u32', 1],
    ['tokenizer.ggml.eos_token_id', 'u32', 2],
    ['tokenizer.ggml.unknown_token_id', 'u32', 0],
    ['tokenizer.ggml.tokens', ['text'], tokens.map(([text]) => text)],
    ['tokenizer.ggml.scores', ['f32'], tokens.map((_, i) => -i)],
    ['tokenizer.ggml.token_type', ['i32'], tokens.map(([, type]) => type)],
  ];
  const tensors = [];
  const add = (name, dims, zero) => {
    const [width, rows] = dims;
    const norm = () => Buffer.from(new Float32Array(width).fill(1).buffer);
    const data = rows === undefined ? norm() : random(width, rows, zero);
    tensors.push({name, dims, type: rows === undefined ? F32 : Q4_0, data});
  };
  add('token_embd.weight', [hidden, tokens.length]);
  for (let layer = 0; layer < layers; ++layer) {
    const at = `blk.${layer}`;
    add(`${at}.attn_norm.weight`, [hidden]);
    add(`${at}.attn_q.weight`, [hidden, heads * headSize]);
    add(`${at}.attn_k.weight`, [hidden, kvHeads * headSize]);
    add(`${at}.attn_v.weight`, [hidden, kvHeads * headSize]);
    add(`${at}.attn_output.weight`, [heads * headSize, hidden]);
    add(`${at}.ffn_norm.weight`, [hidden]);
    add(`${at}.ffn_gate.weight`, [hidden, ffn]);
    add(`${at}.ffn_up.weight`, [hidden, ffn]);
    add(`${at}.ffn_down.weight`, [ffn, hidden]);
  }
  add('output_norm.weight', [hidden]);
  add('output.weight', [hidden, tokens.length], 3);  // Nothing but text is ever likeliest.

  const head = new Bytes();
  head.parts.push(Buffer.from('GGUF'));
  head.u32(3).u64(tensors.length).u64(facts.length);
  for (const [key, type, value] of facts) {
    head.text(key);
    if (Array.isArray(type)) {
      head.u32(9).u32(types[type[0]]).u64(value.length);
      for (const one of value) head[type[0]](one);
    } else {
      head.u32(types[type])[type](value);
    }
  }
  let offset = 0;
  const aligned = (bytes) => Math.ceil(bytes / alignment) * alignment;
  for (const {name, dims, type, data} of tensors) {
    head.text(name).u32(dims.length);
    for (const dim of dims) head.u64(dim);
    head.u32(type).u64(offset);
    offset += aligned(data.length);
  }
  const padded = (bytes) =>
    Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]);
  return Buffer.concat([padded(head.all()), ...tensors.map(({data}) => padded(data))]);
}
