// Packs of existing ONNX decoders: cut anywhere, their stages give what onnxruntime-node gives for
// the whole file.

import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";

import { Coordinator } from "./harness/coordinator.ts";
import { relativeError } from "./harness/npy.ts";
import { runWhole } from "./harness/onnx_whole.ts";
import { allCuts, runChain } from "./harness/ort_chain.ts";
import { golden } from "./harness/paths.ts";
import { blockCount, evalGreedy, evalLogits, packOnnx } from "./harness/shoal.ts";

const full = process.env["SHOAL_TESTS"] === "full";

// The largest difference to the whole file, over the largest logit. Quantised weights: their scales
// are rounded to float16, and onnxruntime computes a float16 model in float16 where stages have
// float32.
const kinds = [
  { kind: "genai", tolerance: 1e-5, exact: true },
  { kind: "optimum", tolerance: 1e-5, exact: true },
  { kind: "optimum_qk_norm", tolerance: 1e-5, exact: true },
  { kind: "gpt2_merged", tolerance: 1e-5, exact: true },
  { kind: "genai_q4", tolerance: 2e-3, exact: false },
  { kind: "genai_f16", tolerance: 2e-2, exact: false },
];

describe.each(kinds)("$kind", ({ kind, tolerance, exact }) => {
  const file = golden(`onnx/${kind}/model.onnx`);
  let folder: string;
  let ids: number[];
  let whole: Float32Array;

  beforeAll(async () => {
    folder = await packOnnx(kind, file);
    const ref = JSON.parse(readFileSync(golden(`onnx/${kind}/ref.json`), "utf8")) as {
      prompt_ids: number[];
    };
    ids = ref.prompt_ids;
    whole = await runWhole(file, ids, [ids.length]);
  });

  it("gives the whole file's logits at every cut, prompt at once", async () => {
    const cuts = allCuts(blockCount(folder));
    for (const cut of full ? cuts : cuts.filter((c) => c.length < 2 || c[0] === 1)) {
      const logits = await runChain(folder, cut, ids, [ids.length]);
      expect(relativeError(logits, whole), `cut ${cut}`).toBeLessThan(tolerance);
    }
  });

  it("gives the whole file's logits token by token, and in pieces", async () => {
    const tokens = ids.map(() => 1);
    const slow = await runWhole(file, ids, tokens);
    const cuts = Array.from({ length: blockCount(folder) - 1 }, (_, index) => [index + 1]);
    for (const cut of cuts) {
      const logits = await runChain(folder, cut, ids, tokens);
      expect(relativeError(logits, slow), `cut ${cut}`).toBeLessThan(tolerance);
    }
    const pieces = await runChain(folder, [2], ids, [5, 1, ids.length - 6]);
    expect(relativeError(pieces, whole)).toBeLessThan(tolerance);
  });

  it.runIf(exact)("gives the whole file's logits in the engine", async () => {
    expect(relativeError(await evalLogits(folder, ids), whole)).toBeLessThan(tolerance);
  });
});

// The context is shorter than a chunk of a prompt usually is.
it("is served like any other pack", async () => {
  const folder = await packOnnx("gpt2_merged", golden("onnx/gpt2_merged/model.onnx"));
  const coordinator = await Coordinator.start(folder, "--lend", "1G");
  try {
    await coordinator.untilReady();
    const prompt = [5, 17, 42, 8, 33];
    const response = await fetch(`${coordinator.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        ...{ prompt, max_tokens: 6, temperature: 0 },
        ...{ ignore_eos: true, return_token_ids: true },
      }),
    });
    const body = (await response.json()) as { choices: { token_ids: number[] }[] };
    expect(body.choices?.[0]?.token_ids, JSON.stringify(body)).toEqual(
      await evalGreedy(folder, prompt, 6, [1, 3], "f32"),
    );
  } finally {
    await coordinator.stop();
  }
});
