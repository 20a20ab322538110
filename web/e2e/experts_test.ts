// A layer's experts divided over other devices: the graphs of a mixture by themselves, on
// onnxruntime-node, each group of experts fed only the rows that chose one of them.

import { copyFileSync, mkdirSync, readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";

import { readNpy, relativeError } from "./harness/npy.ts";
import { golden } from "./harness/paths.ts";
import { blockCount, pack, stage, type StageFolder } from "./harness/shoal.ts";

type Floats = Float32Array<ArrayBuffer>;
type Feeds = Record<string, ort.Tensor>;

interface MixtureBlock {
  weights: string[];
  mixture?: {
    before: string;
    after: string;
    groups: { graph: string; weights: string; first: number; count: number }[];
  };
}

const floats = (values: Float32Array, dims: number[]): ort.Tensor =>
  new ort.Tensor("float32", values, dims);
const int32 = (values: number[], dims: number[]): ort.Tensor =>
  new ort.Tensor("int32", Int32Array.from(values), dims);

// One layer: `before` and `after` here, the groups of experts on `holders` volunteers.
class DividedLayer {
  // Rows sent to each volunteer.
  readonly sent: number[];
  readonly #folder: string;
  readonly #index: number;
  readonly #block: MixtureBlock;
  readonly #joined: StageFolder;
  readonly #sessions = new Map<string, ort.InferenceSession>();

  constructor(
    folder: string,
    index: number,
    block: MixtureBlock,
    joined: StageFolder,
    holders: number,
  ) {
    this.#folder = folder;
    this.#index = index;
    this.#block = block;
    this.#joined = joined;
    this.sent = Array.from({ length: holders }, () => 0);
  }

  // The graph beside the weights that it names.
  async #session(graph: string): Promise<ort.InferenceSession> {
    const known = this.#sessions.get(graph);
    if (known !== undefined) return known;
    const target = `${this.#folder}.parts`;
    mkdirSync(target, { recursive: true });
    for (const blob of [...this.#block.weights, graph]) {
      copyFileSync(`${this.#folder}/blobs/${blob.slice(0, 2)}/${blob}`, `${target}/${blob}`);
    }
    const session = await ort.InferenceSession.create(`${target}/${graph}`);
    this.#sessions.set(graph, session);
    return session;
  }

  // The rotary tables, which the join puts into its graph and a part takes as inputs.
  #tables(names: readonly string[]): Feeds {
    const feeds: Feeds = {};
    const generated = this.#joined.weights.find((weight) => weight.generated);
    for (const [which, name] of ["cos_cache", "sin_cache"].entries()) {
      if (!names.includes(name) || generated === undefined) continue;
      const bytes = readFileSync(`${this.#joined.folder}/${generated.location}`);
      const end = bytes.byteOffset + bytes.length;
      const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, end));
      const pairs = Math.round(all.length / 2 / this.#joined.positions);
      const length = pairs * this.#joined.positions;
      const start = which === 0 ? 0 : all.length - length;
      feeds[name] = floats(all.slice(start, start + length), [this.#joined.positions, pairs]);
    }
    return feeds;
  }

  async run(hidden: Floats, rows: number): Promise<Floats> {
    const index = this.#index;
    const block = this.#block;
    const mixture = block.mixture!;
    const width = hidden.length / rows;
    const slot = this.#joined.kv.find((kv) => kv.block === index)!;
    const none = floats(new Float32Array(0), [1, slot.heads, 0, slot.head_size]);
    const before = await this.#session(mixture.before);
    const routing = await before.run({
      [`hidden.${index}`]: floats(hidden, [1, rows, width]),
      [`past.${index}.key`]: none,
      [`past.${index}.value`]: none,
      seqlens_k: int32([rows - 1], [1]),
      total_sequence_length: int32([rows], []),
      ...this.#tables(before.inputNames),
    });
    const routed = routing[`routed.${index}`]!.data as Floats;
    const routes = routing[`routes.${index}`]!.data as Floats;
    const experts = routes.length / rows;
    const total = new Float32Array(routed.length);
    for (const [g, group] of mixture.groups.entries()) {
      const sum = await this.#expertSum(g, group, routed, routes, rows, experts);
      for (const [i, value] of sum.entries()) total[i]! += value;
    }
    const last: Feeds = { [`expert_sum.${index}`]: floats(total, [1, rows, width]) };
    const after = await this.#session(mixture.after);
    for (const name of after.inputNames) last[name] ??= routing[name]!;
    const out = await after.run(last);
    return out[`hidden.${index + 1}`]!.data as Floats;
  }

  // What comes back from the holder of a group: its rows' sums, put in their places.
  async #expertSum(
    g: number,
    group: { graph: string; first: number; count: number },
    routed: Floats,
    routes: Floats,
    rows: number,
    experts: number,
  ): Promise<Floats> {
    const width = routed.length / rows;
    const sum = new Float32Array(routed.length);
    const chosen = Array.from({ length: rows }, (_, row) => row).filter((row) =>
      routes
        .subarray(row * experts + group.first, row * experts + group.first + group.count)
        .some((weight) => weight !== 0),
    );
    if (chosen.length === 0) return sum;
    this.sent[g % this.sent.length]! += chosen.length;
    const pick = (all: Floats, size: number): Floats =>
      Float32Array.from(chosen.flatMap((row) => [...all.subarray(row * size, (row + 1) * size)]));
    const session = await this.#session(group.graph);
    const { [`expert_sum.${this.#index}.${g}`]: result } = await session.run({
      [`routed.${this.#index}`]: floats(pick(routed, width), [1, chosen.length, width]),
      [`routes.${this.#index}`]: floats(pick(routes, experts), [1, chosen.length, experts]),
    });
    const values = result!.data as Floats;
    for (const [i, row] of chosen.entries()) {
      sum.set(values.subarray(i * width, (i + 1) * width), row * width);
    }
    return sum;
  }
}

async function runStage(folder: StageFolder, feeds: Feeds, output: string): Promise<Floats> {
  const session = await ort.InferenceSession.create(`${folder.folder}/${folder.graph}`);
  const all: Feeds = { ...feeds };
  for (const { block, heads, head_size: size } of folder.kv) {
    for (const part of ["key", "value"]) {
      all[`past.${block}.${part}`] = floats(new Float32Array(0), [1, heads, 0, size]);
    }
  }
  const picked = Object.fromEntries(session.inputNames.map((name) => [name, all[name]!]));
  const result = await session.run(picked);
  await session.release();
  return result[output]!.data as Floats;
}

describe.each(["mixtral", "qwen3_moe", "gpt_oss", "deepseek_v3", "kimi_k2"])("%s", (kind) => {
  it.each([2, 3])("gives the reference with its experts on %i volunteers", async (holders) => {
    const checkpoint = golden(`hf/${kind}`);
    const folder = await pack(kind, checkpoint);
    const { prompt_ids: ids } = JSON.parse(readFileSync(`${checkpoint}/ref.json`, "utf8")) as {
      prompt_ids: number[];
    };
    const { variants } = JSON.parse(readFileSync(`${folder}/manifest.json`, "utf8")) as {
      variants: { blocks: MixtureBlock[] }[];
    };
    const rows = ids.length;
    const control: Feeds = {
      tokens: int32(ids, [1, rows]),
      seqlens_k: int32([rows - 1], [1]),
      total_sequence_length: int32([rows], []),
      logit_rows: int32(Array.from(ids.keys()), [rows]),
    };
    let hidden: Floats = new Float32Array(0);
    let sentToAll = 0;
    let rowsTimesGroups = 0;
    const last = blockCount(folder) - 1;
    for (let index = 0; index <= last; ++index) {
      const joined = await stage(folder, index, index + 1);
      const block = variants[0]!.blocks[index]!;
      if (block.mixture === undefined) {
        const input = { [`hidden.${index}`]: floats(hidden, [1, rows, hidden.length / rows]) };
        const output = index === last ? "logits" : `hidden.${index + 1}`;
        hidden = await runStage(joined, { ...control, ...input }, output);
        continue;
      }
      const layer = new DividedLayer(folder, index, block, joined, holders);
      hidden = await layer.run(hidden, rows);
      expect(layer.sent.every((sent) => sent > 0)).toBe(true);
      sentToAll += layer.sent.reduce((a, b) => a + b, 0);
      rowsTimesGroups += rows * block.mixture.groups.length;
    }
    // Not every row went to every group.
    expect(sentToAll).toBeLessThan(rowsTimesGroups);
    expect(relativeError(hidden, readNpy(`${checkpoint}/ref_logits.npy`).data)).toBeLessThan(1e-4);
  });
});
