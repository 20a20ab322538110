// Writes the models of this folder and, with onnxruntime-node running each whole file, their
// reference logits. Run it from anywhere: node tests/golden/onnx/generate.mjs

import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

import { genai, gpt2, optimum } from "./styles.mjs";

const here = fileURLToPath(new URL(".", import.meta.url));
const ort = createRequire(`${here}../../../web/package.json`)("onnxruntime-node");

const llama = { hidden: 32, heads: 4, kvHeads: 2, size: 16, inner: 64, layers: 3, vocab: 61, positions: 64 };
const small = { hidden: 32, heads: 4, layers: 3, vocab: 53, positions: 48 };
const sizes = (shape) => ({
  max_position_embeddings: shape.positions,
  vocab_size: shape.vocab,
  bos_token_id: 1,
  eos_token_id: 2,
});

const models = {
  genai: {
    make: (options) => genai(llama, { seed: 1, ...options }),
    config: { genai_config: { model: { context_length: llama.positions, bos_token_id: 1, eos_token_id: [2, 3], vocab_size: llama.vocab } } },
    external: true,
  },
  genai_q4: {
    make: (options) => genai(llama, { seed: 2, quantised: true, ...options }),
    config: { config: { model_type: "llama", ...sizes(llama) } },
  },
  genai_f16: {
    make: (options) => genai(llama, { seed: 3, type: "f16", quantised: true, zeroPoints: true, ...options }),
    config: { config: { model_type: "llama", ...sizes(llama) } },
    tolerance: 0.02,
  },
  optimum: {
    make: (options) => optimum(llama, { seed: 4, ...options }),
    config: { config: { model_type: "llama", ...sizes(llama) } },
  },
  optimum_qk_norm: {
    make: (options) => optimum(llama, { seed: 5, qkNorm: true, bias: true, ...options }),
    config: { config: { model_type: "qwen3", ...sizes(llama) } },
  },
  gpt2_merged: {
    make: (options) => gpt2(small, { seed: 6, ...options }),
    config: { config: { model_type: "gpt2", n_positions: small.positions, vocab_size: small.vocab, bos_token_id: 52, eos_token_id: 52 } },
  },
};

const prompt = [5, 17, 42, 8, 33, 21, 50, 3, 11, 29, 46, 7, 19, 38, 2, 14];

// Logits [prompt, vocab] of the whole file, all tokens in one run from an empty cache.
async function reference(path) {
  const session = await ort.InferenceSession.create(path);
  const int64 = (values) => new ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  const feeds = {};
  for (const { name, type, shape } of session.inputMetadata) {
    if (name === "input_ids") feeds[name] = int64(prompt);
    if (name === "attention_mask") feeds[name] = int64(prompt.map(() => 1));
    if (name === "position_ids") feeds[name] = int64(prompt.map((_, i) => i));
    if (name === "use_cache_branch") feeds[name] = new ort.Tensor("bool", Uint8Array.of(0), [1]);
    if (name.startsWith("past")) {
      const data = type === "float16" ? new Uint16Array(0) : new Float32Array(0);
      feeds[name] = new ort.Tensor(type, data, [1, shape[1], 0, shape[3]]);
    }
  }
  const { logits } = await session.run(feeds);
  return { prompt_ids: prompt, logits: Array.from(logits.data), vocab: logits.dims[2] };
}

for (const [name, { make, config, external: apart, tolerance = 1e-4 }] of Object.entries(models)) {
  const folder = `${here}${name}`;
  mkdirSync(folder, { recursive: true });
  const external = apart ? { location: "model.onnx.data", bytes: 0, parts: [] } : undefined;
  writeFileSync(`${folder}/model.onnx`, make({ external }));
  if (external) writeFileSync(`${folder}/${external.location}`, Buffer.concat(external.parts));
  for (const [file, content] of Object.entries(config)) {
    writeFileSync(`${folder}/${file}.json`, `${JSON.stringify(content, null, 2)}\n`);
  }
  const { logits, ...rest } = await reference(`${folder}/model.onnx`);
  writeFileSync(`${folder}/ref.json`, `${JSON.stringify({ ...rest, tolerance, logits: logits.map((x) => Number(x.toPrecision(8))) })}\n`);
  console.log(name, Math.max(...logits.map(Math.abs)));
}
