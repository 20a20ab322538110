// GGUF files through llama.cpp (wllama) and through our reader, packer and engine: the same
// probabilities of every token, prompt and answer.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { spaceToken, textOf, withVocabulary } from "./harness/gguf_vocabulary.ts";
import { golden } from "./harness/paths.ts";
import { evalLogits, pack } from "./harness/shoal.ts";
import { completeWithWllama } from "./harness/wllama.ts";

const letters = [117, 200, 101, 150, 250, 110, 131, 222, 100, 180, 125, 199];
const count = 6;
// Where the file names none.
const usualBos = 1;

function logProbabilities(logits: Float32Array): number[] {
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
  const total = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
  return [...logits].map((logit) => logit - most - Math.log(total));
}

// Differences of logarithms. llama.cpp rounds activations, to bfloat16 before matrices in bfloat16
// and to 8 bits before Q4_0, and caches keys and values in float16: that comes to 0.04 and 0.11.
const kinds = [
  { file: "llama3", config: "llama3", tolerance: 0.1 },
  { file: "qwen2", config: "qwen2", tolerance: 0.1 },
  { file: "gemma3", config: "gemma3", tolerance: 0.1 },
  { file: "phi3", config: "phi3", tolerance: 0.1 },
  { file: "qwen3_moe", config: "qwen3_moe", tolerance: 0.1 },
  { file: "llama3_q4_0", config: "llama3", tolerance: 0.25 },
];

describe.each(kinds)("$file", ({ file, config, tolerance }) => {
  it("gives llama.cpp's probabilities", async () => {
    const path = golden(`gguf/${file}.gguf`);
    const { bos_token_id: bos } = JSON.parse(
      readFileSync(golden(`hf/${config}/config.json`), "utf8"),
    ) as { bos_token_id?: number | null };
    const answer = await completeWithWllama(withVocabulary(path), textOf(letters), count);
    const ids = [bos ?? usualBos, spaceToken, ...letters];
    expect(answer.promptTokens).toBe(ids.length);
    expect(answer.steps.length).toBe(count);
    const answered = answer.steps.map(({ id }) => id);
    const all = [...ids, ...answered.slice(0, -1)];
    const logits = await evalLogits(await pack(`gguf-${file}`, path), all);
    const vocab = logits.length / all.length;
    for (const [step, { logprobs }] of answer.steps.entries()) {
      const row = ids.length - 1 + step;
      const ours = logProbabilities(logits.slice(row * vocab, (row + 1) * vocab));
      expect(logprobs.size).toBe(vocab);
      const errors = ours.map((ours, id) => Math.abs(ours - logprobs.get(id)!));
      expect(Math.max(...errors), `step ${step}`).toBeLessThan(tolerance);
    }
  });
});
