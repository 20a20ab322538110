// Joined graphs through onnxruntime-node: an executor that is not ours agrees with ours and with
// the references.

import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";

import { readNpy, relativeError } from "./harness/npy.ts";
import { allCuts, load, runChain } from "./harness/ort_chain.ts";
import { golden } from "./harness/paths.ts";
import { blockCount, evalLogits, pack, stage } from "./harness/shoal.ts";

// Largest difference over largest reference logit.
const tolerance = 1e-5;
const full = process.env["SHOAL_TESTS"] === "full";

const kinds = [
  ...["llama3", "llama_tied", "mistral", "qwen2", "qwen3", "smollm3", "olmo2", "phi3"],
  ...["gemma2", "gemma3", "gpt2", "mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3", "kimi_k2"],
  "granite",
];

describe.each(kinds)("%s", (kind) => {
  const checkpoint = golden(`hf/${kind}`);
  let folder: string;
  let ids: number[];
  let reference: Float32Array;
  let ours: Float32Array;

  beforeAll(async () => {
    folder = await pack(kind, checkpoint);
    const ref = JSON.parse(readFileSync(`${checkpoint}/ref.json`, "utf8")) as {
      prompt_ids: number[];
    };
    ids = ref.prompt_ids;
    reference = readNpy(`${checkpoint}/ref_logits.npy`).data;
    ours = await evalLogits(folder, ids);
  });

  it("has graphs that onnxruntime-node and shoal eval agree on, cut or whole", async () => {
    const cuts = allCuts(blockCount(folder));
    const sampled = full ? cuts : cuts.filter((_, index) => index % 5 === 0);
    for (const cut of sampled) {
      const logits = await runChain(folder, cut, ids, [ids.length]);
      expect(relativeError(logits, ours), `cut ${cut}`).toBeLessThan(tolerance);
      expect(relativeError(logits, reference), `cut ${cut}`).toBeLessThan(tolerance);
    }
  });

  it("gives the same in pieces, with the KV cache between them", async () => {
    const pieces = [7, 1, 5, 1, 1, ids.length - 15];
    const logits = await runChain(folder, [2], ids, pieces);
    expect(relativeError(logits, reference)).toBeLessThan(tolerance);
  });

  it("takes back positions, and restores exported ones", async () => {
    const executor = await load(await stage(folder, 0, blockCount(folder)));
    const run = async (kv: number, from: number, to: number): Promise<Float32Array> => {
      const input = Int32Array.from(ids.slice(from, to));
      const rows = to - from;
      const { groups } = await executor.run({
        groups: [{ kv, position: from, rows, logitRows: [rows - 1] }],
        input,
      });
      if (!groups[0]!.ok) throw new Error(groups[0]!.detail);
      return groups[0]!.output;
    };
    await run(1, 0, 8);
    const straight = await run(1, 8, 12);
    await executor.rollback(1, 8);
    expect(await run(1, 8, 12)).toEqual(straight);
    await executor.open(2, ids.length);
    const layers = blockCount(folder) - 2;
    for (let block = 1; block <= layers; ++block) {
      await executor.importKv(2, block, await executor.exportKv(1, block, 0, 5));
      await executor.importKv(2, block, await executor.exportKv(1, block, 5, 8));
    }
    expect(await run(2, 8, 12)).toEqual(straight);
    await executor.unload();
  });

  it("refuses rows that do not continue the KV cache", async () => {
    const executor = await load(await stage(folder, 0, 2));
    const { groups } = await executor.run({
      groups: [
        { kv: 1, position: 3, rows: 1, logitRows: [] },
        { kv: 1, position: 0, rows: 1, logitRows: [] },
        { kv: 9, position: 0, rows: 1, logitRows: [] },
      ],
      input: Int32Array.from([1, 2, 3]),
    });
    expect(groups.map((group) => (group.ok ? "ok" : group.code))).toEqual([
      "out_of_range",
      "ok",
      "not_found",
    ]);
    await executor.unload();
  });
});
