// Runs a stage graph on ONNX Runtime's CPU provider: in WebAssembly (ort_wasm.ts), or natively in
// tests. KV caches grow: the past goes in and the present comes out as a copy at every run. It is
// the fallback and the oracle, and not tuned.

import type { InferenceSession, Tensor } from "onnxruntime-common";

import { ShoalError } from "../../core/index.ts";
import { inputsOf, takesTokens, widthOf } from "../executor.ts";
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
import { KvCache } from "./kv_cache.ts";
import {
  batchOf,
  checkGraph,
  checkRoom,
  pickFeeds,
  rowFeeds,
  takeFloats,
  takeOutput,
  type Feeds,
} from "./ort_graph.ts";

// The parts of an ONNX Runtime package that differ between a tab and node.
export interface OrtRuntime {
  createSession(files: StageFiles): Promise<InferenceSession>;
  Tensor: typeof Tensor;
  // Milliseconds, of any origin.
  now(): number;
}

interface Loaded {
  stage: Stage;
  session: InferenceSession;
  hasHead: boolean;
  caches: Map<number, KvCache>;
}

export class OrtCpuExecutor implements Executor {
  readonly #runtime: OrtRuntime;
  #loaded: Loaded | undefined;

  constructor(runtime: OrtRuntime) {
    this.#runtime = runtime;
  }

  async load(stage: Stage, files: StageFiles): Promise<LoadedStage> {
    await this.unload();
    const session = await this.#runtime.createSession(files);
    try {
      const hasHead = session.outputNames.includes("logits");
      checkGraph(stage, session, hasHead);
      const loaded = { stage, session, hasHead, caches: new Map<number, KvCache>() };
      await this.#warmUp(loaded);
      this.#loaded = loaded;
      return { hasHead };
    } catch (thrown) {
      await session.release();
      throw thrown;
    }
  }

  async unload(): Promise<void> {
    const loaded = this.#loaded;
    this.#loaded = undefined;
    await loaded?.session.release();
  }

  async open(kv: number, capacity: number): Promise<void> {
    const { stage, caches } = this.#stage();
    if (caches.has(kv)) throw new ShoalError("already_exists", `KV cache ${kv} is open`);
    caches.set(kv, new KvCache(stage.kv, capacity));
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
      groups.push(await this.#runGroup(loaded, group, input));
    }
    return { groups, computeUs: Math.round((this.#runtime.now() - start) * 1000) };
  }

  async rollback(kv: number, length: number): Promise<void> {
    this.#cache(kv).truncate(length);
  }

  async release(kv: number): Promise<void> {
    this.#stage().caches.delete(kv);
  }

  async exportKv(kv: number, block: number, from: number, to: number): Promise<KvPart> {
    return this.#cache(kv).read(block, from, to);
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

  #cache(kv: number): KvCache {
    const cache = this.#stage().caches.get(kv);
    if (cache === undefined) throw new ShoalError("not_found", `KV cache ${kv} is not open`);
    return cache;
  }

  // The first run allocates and prepares; it must not fall into someone's first token.
  async #warmUp(loaded: Loaded): Promise<void> {
    const { stage } = loaded;
    const width = widthOf(inputsOf(stage));
    const input = takesTokens(stage) ? new Int32Array(1) : new Float32Array(width);
    const group = { kv: 0, position: 0, rows: 1, logitRows: [0] };
    await this.#compute(loaded, new KvCache(stage.kv, 1), group, input);
  }

  async #runGroup(
    loaded: Loaded,
    group: RowGroup,
    input: Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
  ): Promise<GroupResult> {
    const cache = loaded.caches.get(group.kv);
    if (cache === undefined) {
      return { ok: false, code: "not_found", detail: `KV cache ${group.kv} is not open` };
    }
    try {
      return { ok: true, output: await this.#compute(loaded, cache, group, input) };
    } catch (thrown) {
      // A trap inside WebAssembly leaves the instance in an unknown state: nothing may run on it.
      if (thrown instanceof WebAssembly.RuntimeError) throw thrown;
      const { code, detail } = ShoalError.from(thrown);
      return { ok: false, code, detail };
    }
  }

  async #compute(
    { stage, session, hasHead }: Loaded,
    cache: KvCache,
    group: RowGroup,
    input: Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
  ): Promise<Float32Array<ArrayBuffer>> {
    const { position, rows } = group;
    checkRoom(group, cache.length, cache.capacity);
    const feeds = this.#feeds(stage, session, cache, group, input);
    const results = await session.run(feeds);
    const output = takeOutput(results, stage, hasHead, batchOf(group));
    const length = position + rows;
    const presents = stage.kv.map((slot) => {
      const dims = [1, slot.heads, length, slot.head_size];
      return {
        block: slot.block,
        keys: takeFloats(results, `present.${slot.block}.key`, dims),
        values: takeFloats(results, `present.${slot.block}.value`, dims),
      };
    });
    for (const { block, keys, values } of presents) cache.replace(block, { keys, values }, length);
    return hasHead && group.logitRows.length === 0 ? new Float32Array(0) : output;
  }

  #feeds(
    stage: Stage,
    session: InferenceSession,
    cache: KvCache,
    group: RowGroup,
    input: Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>,
  ): Feeds {
    const { Tensor } = this.#runtime;
    const feeds = rowFeeds(Tensor, stage, batchOf(group), input);
    for (const { block, heads, head_size: size } of stage.kv) {
      const { keys, values } = cache.layer(block);
      const dims = [1, heads, group.position, size];
      feeds[`past.${block}.key`] = new Tensor("float32", keys, dims);
      feeds[`past.${block}.value`] = new Tensor("float32", values, dims);
    }
    return pickFeeds(session, feeds);
  }
}
