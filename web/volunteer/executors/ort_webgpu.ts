// Runs a stage graph on ONNX Runtime's native WebGPU provider. Weights and KV caches stay on the
// GPU; a step uploads its rows and reads back hidden states, the largest logits where they are
// enough, or all of them.

import type { InferenceSession, Tensor } from "onnxruntime-common";

import { ShoalError } from "../../core/index.ts";
import { inputsOf, outputsOf, takesTokens, widthOf } from "../executor.ts";
import type {
  Executor,
  GroupResult,
  KvPart,
  LoadedStage,
  RowGroup,
  RunRequest,
  RunResult,
  Stage,
  StageFiles,
} from "../executor.ts";
import { copyByParts } from "../kv_moves.ts";
import { largestLogits, type LargestLogits } from "../largest.ts";
import { GpuKv, type KvType } from "./gpu_kv.ts";
import { GpuLargest } from "./gpu_largest.ts";
import {
  checkFloats,
  checkGraph,
  checkRoom,
  kvType,
  pickFeeds,
  rowFeeds,
  takeOutput,
} from "./ort_graph.ts";

export interface GpuRuntime {
  device: GPUDevice;
  // The outputs named stay on the GPU.
  createSession(files: StageFiles, onGpu: string[]): Promise<InferenceSession>;
  Tensor: typeof Tensor;
  // Milliseconds, of any origin.
  now(): number;
}

// Rows of a run that is more than one row and less than a chunk.
const fewRows = 4;

interface Loaded {
  stage: Stage;
  session: InferenceSession;
  hasHead: boolean;
  kvType: KvType;
  caches: Map<number, GpuKv>;
  largest: GpuLargest | undefined;
}

type Outcome = Extract<GroupResult, { ok: true }>;

export class OrtWebgpuExecutor implements Executor {
  readonly #runtime: GpuRuntime;
  #loaded: Loaded | undefined;

  constructor(runtime: GpuRuntime) {
    this.#runtime = runtime;
  }

  async load(stage: Stage, files: StageFiles): Promise<LoadedStage> {
    await this.unload();
    const presents = stage.kv.flatMap(({ block }) =>
      ["key", "value"].map((part) => `present.${block}.${part}`),
    );
    const session = await this.#runtime.createSession(files, [...presents, "logits"]);
    try {
      const hasHead = session.outputNames.includes("logits");
      checkGraph(stage, session, hasHead);
      const caches = new Map<number, GpuKv>();
      const largest = hasHead ? new GpuLargest(this.#runtime.device, stage.vocab) : undefined;
      const loaded = { stage, session, hasHead, kvType: kvType(session), caches, largest };
      await this.#warmUp(loaded);
      this.#loaded = loaded;
      return { hasHead, picksLargest: hasHead };
    } catch (thrown) {
      await session.release();
      throw thrown;
    }
  }

  async unload(): Promise<void> {
    const loaded = this.#loaded;
    this.#loaded = undefined;
    for (const cache of loaded?.caches.values() ?? []) cache.destroy();
    loaded?.largest?.destroy();
    await loaded?.session.release();
  }

  async open(kv: number, capacity: number): Promise<void> {
    const loaded = this.#stage();
    const { caches } = loaded;
    if (caches.has(kv)) throw new ShoalError("already_exists", `KV cache ${kv} is open`);
    caches.set(kv, await this.#newCache(loaded, capacity));
  }

  async run(request: RunRequest): Promise<RunResult> {
    const loaded = this.#stage();
    const width = widthOf(inputsOf(loaded.stage));
    const start = this.#runtime.now();
    const groups: GroupResult[] = [];
    let row = 0;
    for (const group of request.groups) {
      const input = request.input.subarray(row * width, (row + group.rows) * width);
      row += group.rows;
      const cache = loaded.caches.get(group.kv);
      if (cache === undefined) {
        const detail = `KV cache ${group.kv} is not open`;
        groups.push({ ok: false, code: "not_found", detail });
        continue;
      }
      // What fails on the GPU leaves the instance in an unknown state: the run fails as a whole.
      groups.push(await this.#compute(loaded, cache, group, input));
    }
    return { groups, computeUs: Math.round((this.#runtime.now() - start) * 1000) };
  }

  async rollback(kv: number, length: number): Promise<void> {
    this.#cache(kv).truncate(length);
  }

  async release(kv: number): Promise<void> {
    const { caches } = this.#stage();
    caches.get(kv)?.destroy();
    caches.delete(kv);
  }

  async exportKv(kv: number, block: number, from: number, to: number): Promise<KvPart> {
    return await this.#cache(kv).read(block, from, to);
  }

  async importKv(kv: number, block: number, part: KvPart): Promise<void> {
    this.#cache(kv).write(block, part);
  }

  async copyKv(from: number, to: number, positions: number): Promise<void> {
    await copyByParts(this, this.#stage().stage.kv, from, to, positions);
  }

  #stage(): Loaded {
    if (this.#loaded === undefined) throw new ShoalError("failed_precondition", "no stage loaded");
    return this.#loaded;
  }

  #cache(kv: number): GpuKv {
    const cache = this.#stage().caches.get(kv);
    if (cache === undefined) throw new ShoalError("not_found", `KV cache ${kv} is not open`);
    return cache;
  }

  // Buffers that the GPU has no room for are an error of WebGPU's, not an exception.
  async #newCache({ stage, kvType: type }: Loaded, capacity: number): Promise<GpuKv> {
    const { device, Tensor: TensorType } = this.#runtime;
    device.pushErrorScope("out-of-memory");
    const cache = new GpuKv(device, TensorType, stage.kv, capacity, type);
    const error = await device.popErrorScope();
    if (error === null) return cache;
    cache.destroy();
    throw new ShoalError(
      "resource_exhausted",
      `the GPU has no room for a KV cache of ${capacity} positions: ${error.message}`,
    );
  }

  // Kernels are compiled at their first run, for few and many rows; that must not fall into
  // someone's first token.
  async #warmUp(loaded: Loaded): Promise<void> {
    const { stage } = loaded;
    const chunk = stage.maxRows;
    const capacity = Math.min(stage.positions, chunk + fewRows + 1);
    const cache = await this.#newCache(loaded, capacity);
    const width = widthOf(inputsOf(stage));
    let position = 0;
    try {
      for (const rows of [chunk, fewRows, 1]) {
        if (rows > capacity) continue;
        position = Math.min(position, capacity - rows);
        cache.truncate(position);
        const input = takesTokens(stage) ? new Int32Array(rows) : new Float32Array(rows * width);
        const group = { kv: 0, position, rows, logitRows: [0], largestNeeded: 1 };
        await this.#compute(loaded, cache, group, input);
        position += rows;
      }
    } finally {
      cache.destroy();
    }
  }

  async #compute(
    loaded: Loaded,
    cache: GpuKv,
    group: RowGroup,
    input: Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
  ): Promise<Outcome> {
    const { stage, session, hasHead } = loaded;
    checkRoom(group, cache.length, cache.capacity);
    const rows = rowFeeds(this.#runtime.Tensor, stage, group, input);
    const feeds = { ...rows, ...cache.tensors("past") };
    const read = outputsOf(stage, hasHead).map(({ name }) => [name, null] as const);
    const fetches = { ...Object.fromEntries(read), ...cache.tensors("present") };
    const results = await session.run(pickFeeds(session, feeds), fetches);
    const outcome = hasHead
      ? await readHead(loaded, results["logits"]!, group)
      : { ok: true as const, output: takeOutput(results, stage, hasHead, group) };
    cache.advance(group.position + group.rows);
    return outcome;
  }
}

// `logits` [max(1, logitRows.length), vocab] lie on the GPU, and are freed.
async function readHead(
  { stage: { vocab }, largest }: Loaded,
  logits: Tensor,
  { logitRows, largestNeeded: needed = 0 }: RowGroup,
): Promise<Outcome> {
  const rows = Math.max(1, logitRows.length);
  try {
    checkFloats(logits, "logits", [rows, vocab]);
    if (logitRows.length === 0) return { ok: true, output: new Float32Array(0) };
    if (needed > 0) {
      const picked = await largest!.pick(logits.gpuBuffer, rows);
      const decided = picked.filter((row) => decides(row, vocab, needed));
      if (decided.length === rows) {
        return { ok: true, output: new Float32Array(0), largest: decided };
      }
    }
    return { ok: true, output: (await logits.getData()) as Float32Array<ArrayBuffer> };
  } finally {
    logits.dispose();
  }
}

// Whether the first `needed` are known to be larger than all that was left out. NaN, which is told
// apart later, need not be looked at again.
function decides(
  row: LargestLogits | undefined,
  vocab: number,
  needed: number,
): row is LargestLogits {
  if (row === undefined) return false;
  if (vocab <= largestLogits || Number.isNaN(row.logSumExp)) return true;
  return row.logits[needed - 1]! > row.logits[largestLogits - 1]!;
}
