// Stages that compute in float16, through onnxruntime-node: they stay near the reference's float32,
// alone and in one route with stages in float32.

import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";

import { medianError, readNpy, relativeError } from "./harness/npy.ts";
import { golden } from "./harness/paths.ts";
import { blockCount, pack, stage, type StageFolder } from "./harness/shoal.ts";

type Activations = "f32" | "f16";
// Largest difference over largest reference logit. Fixtures have random weights; phi3's comes out
// 2.4e-3 off, the others at most 1.6e-3. Of deepseek_v3 two positions choose other experts, and all
// later ones attend to them: half of all are 8.4e-3 off or less.
const tolerances: Record<string, number> = { phi3: 3e-3, deepseek_v3: 1e-2 };
const tolerance = 2e-3;

const int32 = (values: number[], dims: number[]): ort.Tensor =>
  new ort.Tensor("int32", Int32Array.from(values), dims);

function emptyCache(type: Activations, dims: number[]): ort.Tensor {
  return type === "f16"
    ? new ort.Tensor("float16", new Uint16Array(0), dims)
    : new ort.Tensor("float32", new Float32Array(0), dims);
}

// Runs the stage over `pieces` of rows; gives what `name` came out as, row after row.
async function runStage(
  at: StageFolder,
  type: Activations,
  pieces: number[],
  input: { name: string; values: Int32Array | Float32Array },
  name: string,
): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(`${at.folder}/${at.graph}`);
  const values: Record<string, ort.Tensor> = {};
  for (const { block, heads, head_size: size } of at.kv) {
    for (const part of ["key", "value"]) {
      values[`past.${block}.${part}`] = emptyCache(type, [1, heads, 0, size]);
    }
  }
  const width = input.values instanceof Int32Array ? 1 : at.hidden;
  const out: number[] = [];
  let position = 0;
  for (const rows of pieces) {
    const part = input.values.slice(position * width, (position + rows) * width);
    position += rows;
    values[input.name] =
      part instanceof Int32Array
        ? int32([...part], [1, rows])
        : new ort.Tensor("float32", part, [1, rows, width]);
    const positions = Array.from({ length: rows }, (_, row) => position - rows + row);
    values["positions"] = int32(positions, [1, rows]);
    values["seqlens_k"] = int32([position - 1], [1]);
    values["total_sequence_length"] = int32([position], []);
    values["logit_rows"] = int32([...Array(rows).keys()], [rows]);
    const feeds = Object.fromEntries(session.inputNames.map((each) => [each, values[each]!]));
    const results = await session.run(feeds);
    for (const [each, tensor] of Object.entries(results)) {
      values[each.replace("present.", "past.")] = tensor;
    }
    out.push(...(results[name]!.data as Float32Array));
  }
  await session.release();
  return Float32Array.from(out);
}

const kinds = ["llama3", "llama_tied", "mistral", "qwen2", "qwen3", "smollm3", "olmo2"];
const mixtures = ["mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3", "kimi_k2"];

describe.each([...kinds, "phi3", "gpt2", ...mixtures])("%s in float16", (kind) => {
  const checkpoint = golden(`hf/${kind}`);
  const { prompt_ids: ids } = JSON.parse(readFileSync(`${checkpoint}/ref.json`, "utf8")) as {
    prompt_ids: number[];
  };

  it.each<[string, Activations[]]>([
    ["alone", ["f16"]],
    ["before float32", ["f16", "f32"]],
    ["after float32", ["f32", "f16"]],
  ])("stays near the reference %s", async (_name, types) => {
    const folder = await pack(kind, checkpoint, "f16");
    const blocks = blockCount(folder);
    const borders = types.length === 1 ? [0, blocks] : [0, 2, blocks];
    let input: { name: string; values: Int32Array | Float32Array } = {
      name: "tokens",
      values: Int32Array.from(ids),
    };
    for (const [index, type] of types.entries()) {
      const last = borders[index + 1]!;
      const at = await stage(folder, borders[index]!, last, type);
      const name = last === blocks ? "logits" : `hidden.${last}`;
      input = { name, values: await runStage(at, type, [5, 1, ids.length - 6], input, name) };
    }
    const logits = input.values as Float32Array;
    const reference = readNpy(`${checkpoint}/ref_logits.npy`).data;
    const error = mixtures.includes(kind)
      ? medianError(logits, reference, ids.length)
      : relativeError(logits, reference);
    expect(error).toBeLessThan(tolerances[kind] ?? tolerance);
  });
});
