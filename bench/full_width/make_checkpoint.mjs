// A checkpoint of a full-size Llama's width with few layers and random weights, streamed to disk:
// it holds 64 MiB at a time.
//
//   node bench/full_width/make_checkpoint.mjs CONFIG_FOLDER OUT_FOLDER [layers, default 2]
//
// CONFIG_FOLDER has the config.json of a Llama in the hub's spelling. The tokenizer is that of
// models/storyteller, with made-up words for the ids above its own.
import fs from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const [from, to, layers = '2'] = process.argv.slice(2);
if (!to) {
  console.error(
    'usage: node bench/full_width/make_checkpoint.mjs CONFIG_FOLDER OUT_FOLDER [layers]',
  );
  process.exit(2);
}
fs.mkdirSync(to, {recursive: true});
const config = JSON.parse(fs.readFileSync(path.join(from, 'config.json'), 'utf8'));
config.num_hidden_layers = Number(layers);
fs.writeFileSync(path.join(to, 'config.json'), JSON.stringify(config, null, 1));

const {hidden_size: hidden, intermediate_size: inner, vocab_size: vocab, head_dim: head} = config;
const queries = config.num_attention_heads * head;
const keys = config.num_key_value_heads * head;
const shapes = [['model.embed_tokens.weight', [vocab, hidden]]];
for (let layer = 0; layer < config.num_hidden_layers; ++layer) {
  for (const [name, shape] of Object.entries({
    input_layernorm: [hidden],
    'self_attn.q_proj': [queries, hidden],
    'self_attn.k_proj': [keys, hidden],
    'self_attn.v_proj': [keys, hidden],
    'self_attn.o_proj': [hidden, queries],
    post_attention_layernorm: [hidden],
    'mlp.gate_proj': [inner, hidden],
    'mlp.up_proj': [inner, hidden],
    'mlp.down_proj': [hidden, inner],
  })) {
    shapes.push([`model.layers.${layer}.${name}.weight`, shape]);
  }
}
shapes.push(['model.norm.weight', [hidden]]);
if (!config.tie_word_embeddings) shapes.push(['lm_head.weight', [vocab, hidden]]);

// Normal numbers, of a deviation that keeps hidden states in their order of magnitude, as bf16.
function makeNoise(count, deviation) {
  let state = 88172645463325252n;
  const uniform = () => {
    state ^= (state << 13n) & 0xffffffffffffffffn;
    state ^= state >> 7n;
    state ^= (state << 17n) & 0xffffffffffffffffn;
    return Number(state >> 11n) / 2 ** 53;
  };
  const floats = new Float32Array(1 << 18);
  for (let i = 0; i < floats.length; ++i) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    floats[i] = deviation * radius * Math.cos(2 * Math.PI * uniform());
  }
  const few = Uint16Array.from(new Uint32Array(floats.buffer), (bits) => bits >>> 16);
  // The rest repeats them, at odds with every row's length.
  const all = new Uint16Array(count);
  for (let i = 0; i < count; ++i) all[i] = few[(i * 7 + (i >> 18)) % few.length];
  return Buffer.from(all.buffer);
}

const chunk = 32 << 20;  // Weights that are written at a time.
const noise = makeNoise(chunk + 4096, 0.02);
const ones = Buffer.from(new Uint16Array(hidden).fill(0x3f80).buffer);
const header = {};
let end = 0;
for (const [name, shape] of shapes) {
  const bytes = 2 * shape.reduce((a, b) => a * b);
  header[name] = {dtype: 'BF16', shape, data_offsets: [end, end + bytes]};
  end += bytes;
}
const text = Buffer.from(JSON.stringify(header));
const length = Buffer.alloc(8);
length.writeBigUInt64LE(BigInt(text.length));
const file = fs.openSync(path.join(to, 'model.safetensors'), 'w');
fs.writeSync(file, length);
fs.writeSync(file, text);
let shift = 0;
for (const [name, shape] of shapes) {
  let left = 2 * shape.reduce((a, b) => a * b);
  if (shape.length === 1) left -= fs.writeSync(file, ones);
  while (left > 0) {
    shift = (shift + 1031) % 4096;
    left -= fs.writeSync(file, noise, 2 * shift, Math.min(left, 2 * chunk));
  }
  console.log(name, shape.join(' x '));
}
fs.closeSync(file);

const own = path.join(root, 'models/storyteller');
const tokenizer = JSON.parse(fs.readFileSync(path.join(own, 'tokenizer.json'), 'utf8'));
for (let id = Object.keys(tokenizer.model.vocab).length; id < vocab; ++id) {
  tokenizer.model.vocab[`Ġword${id}`] = id;
}
fs.writeFileSync(path.join(to, 'tokenizer.json'), JSON.stringify(tokenizer));
for (const name of ['tokenizer_config.json', 'generation_config.json']) {
  fs.copyFileSync(path.join(own, name), path.join(to, name));
}
