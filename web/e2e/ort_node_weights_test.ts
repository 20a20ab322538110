// Packs in every width of weights through onnxruntime-node, which multiplies floats, and through
// `shoal eval`, whose engine rounds the activations of q8 and q4 products to int8.

import { openAsBlob, readFileSync, writeFileSync } from "node:fs";
import * as ort from "onnxruntime-node";
import { beforeAll, describe, expect, it } from "vitest";

import { WideBlob } from "../volunteer/executors/wide_blob.ts";
import { wideLocation, widenConstants } from "../volunteer/executors/wide_constants.ts";
import { relativeError } from "./harness/npy.ts";
import { golden, scratch, storyteller } from "./harness/paths.ts";
import { snapCheckpoint } from "./harness/safetensors.ts";
import { blockCount, evalLogits, pack, stage, type StageFolder } from "./harness/shoal.ts";

// Of the fixtures, whose random weights amplify what rounding changes.
const int8Tolerance = 0.1;

// The model file of a stage as it is, and as tabs with a GPU load it.
const asItIs = async ({ folder, graph }: StageFolder): Promise<string> => `${folder}/${graph}`;
async function widened({ folder, graph, weights }: StageFolder): Promise<string> {
  for (const { location } of weights) {
    const wide = new WideBlob(await openAsBlob(`${folder}/${location}`));
    const bytes = new Uint8Array(await new Response(wide.stream()).arrayBuffer());
    writeFileSync(`${folder}/${wideLocation(location)}`, bytes);
  }
  const before = readFileSync(`${folder}/${graph}`);
  const model = widenConstants(before);
  expect(casts(model)).toBeLessThan(casts(before));
  writeFileSync(`${folder}/wide.onnx`, model);
  return `${folder}/wide.onnx`;
}
const casts = (model: Uint8Array): number =>
  Buffer.from(model).toString("latin1").split("Cast").length;

// Logits of every position, through stages cut at `cuts`.
async function runWithOrt(
  folder: string,
  cuts: number[],
  ids: number[],
  model = asItIs,
): Promise<Float32Array> {
  const int32 = (values: number[], dims: number[]): ort.Tensor =>
    new ort.Tensor("int32", Int32Array.from(values), dims);
  const values: Record<string, ort.Tensor> = {
    tokens: int32(ids, [1, ids.length]),
    seqlens_k: int32([ids.length - 1], [1]),
    total_sequence_length: int32([ids.length], []),
    logit_rows: int32([...ids.keys()], [ids.length]),
  };
  const borders = [0, ...cuts, blockCount(folder)];
  for (const [index, last] of borders.slice(1).entries()) {
    const description = await stage(folder, borders[index]!, last);
    for (const { block, heads, head_size: size } of description.kv) {
      for (const part of ["key", "value"]) {
        const empty = new ort.Tensor("float32", new Float32Array(0), [1, heads, 0, size]);
        values[`past.${block}.${part}`] = empty;
      }
    }
    const session = await ort.InferenceSession.create(await model(description));
    const feeds = Object.fromEntries(session.inputNames.map((name) => [name, values[name]!]));
    Object.assign(values, await session.run(feeds));
    await session.release();
  }
  return values["logits"]!.data as Float32Array;
}

// Weights that every width holds exactly: then nothing but the arithmetic is left to differ.
describe.each(["llama3", "llama_tied"])("%s with weights that q4 holds exactly", (kind) => {
  const checkpoint = `${scratch}/${kind}-snapped`;
  const { prompt_ids: ids } = JSON.parse(
    readFileSync(`${golden(`hf/${kind}`)}/ref.json`, "utf8"),
  ) as { prompt_ids: number[] };
  let exact: Float32Array;

  beforeAll(async () => {
    snapCheckpoint(golden(`hf/${kind}`), checkpoint);
    exact = await evalLogits(await pack(`${kind}-snapped`, checkpoint), ids);
  });

  it.each(["f32", "f16", "q8", "q4"])("gives float32's logits in %s", async (weights) => {
    const folder = await pack(`${kind}-snapped`, checkpoint, weights);
    expect(relativeError(await runWithOrt(folder, [], ids), exact)).toBeLessThan(1e-5);
    expect(relativeError(await runWithOrt(folder, [1, 3], ids), exact)).toBeLessThan(1e-5);
    const ours = relativeError(await evalLogits(folder, ids), exact);
    if (weights.startsWith("f")) expect(ours).toBeLessThan(1e-5);
    else expect(ours).toBeLessThan(int8Tolerance);
  });
});

it.each(["f16", "q8", "q4"])("gives the same bits in %s with wide constants", async (weights) => {
  const checkpoint = golden("hf/llama3");
  const { prompt_ids: ids } = JSON.parse(readFileSync(`${checkpoint}/ref.json`, "utf8")) as {
    prompt_ids: number[];
  };
  const folder = await pack("llama3", checkpoint, weights);
  const expected = await runWithOrt(folder, [2], ids);
  expect(await runWithOrt(folder, [2], ids, widened)).toEqual(expected);
});

// A mixture's experts in blocks, which QMoE multiplies there and PlanBlockExperts here.
describe.each(["qwen3_moe", "mixtral", "deepseek_v3", "kimi_k2", "gpt_oss"])("%s", (kind) => {
  const checkpoint = golden(`hf/${kind}`);
  const { prompt_ids: ids } = JSON.parse(readFileSync(`${checkpoint}/ref.json`, "utf8")) as {
    prompt_ids: number[];
  };

  it.each(["q8", "q4"])("gives the same logits in %s", async (weights) => {
    const folder = await pack(kind, checkpoint, weights);
    const manifest = readFileSync(`${folder}/manifest.json`, "utf8");
    expect(manifest).toContain("com.microsoft:QMoE");
    const theirs = await runWithOrt(folder, [2], ids);
    const exact = await evalLogits(folder, ids, "--exact");
    expect(relativeError(theirs, exact)).toBeLessThan(1e-5);
  });
});

describe("storyteller", () => {
  const { prompts } = JSON.parse(readFileSync(`${storyteller}/reference.json`, "utf8")) as {
    prompts: { prompt_ids: number[]; greedy_ids: number[] }[];
  };
  // A prompt and the story that float32 tells: where it is sure, narrower weights say the same.
  const ids = [...prompts[0]!.prompt_ids, ...prompts[0]!.greedy_ids];

  it.each([
    ["q8", 0.02],
    ["q4", 0.15],
  ])("in %s tells what float32 tells", async (weights, most) => {
    const wide = await evalLogits(await pack("storyteller", storyteller), ids);
    const folder = await pack("storyteller", storyteller, weights);
    const narrow = await runWithOrt(folder, [5, 10], ids);
    expect(relativeError(narrow, wide)).toBeLessThan(most);
    expect(relativeError(await evalLogits(folder, ids), narrow)).toBeLessThan(0.05);
  });
});
