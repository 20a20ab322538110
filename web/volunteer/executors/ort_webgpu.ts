// Runs a stage graph on ONNX Runtime's native WebGPU provider. Weights and KV caches stay on the
// GPU; a step uploads its rows and reads back hidden states, the largest logits where they are
// enough, or all of them. Single rows of several sessions are one run (gpu_tables.ts).

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
import { bytesOfPlace, capacityTier, GpuKv, KvBuffers, usage, type KvShape } from "./gpu_kv.ts";
import { GpuHead, type GroupOutput } from "./gpu_head.ts";
import { GpuTables, type GpuTable } from "./gpu_tables.ts";
import { cutGraph, oneNode } from "./cut_graph.ts";
import {
  batchOf,
  checkGraph,
  checkRoom,
  kvType,
  pickFeeds,
  rowFeeds,
  takeOutput,
  type Feeds,
  type RowBatch,
} from "./ort_graph.ts";
import { widenConstants } from "./wide_constants.ts";

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

// How far rows of a batch may be from the same rows of runs of their own: the squares of what
// differs, of all squares. Sums are taken in another order, which shows in float16. Where a graph
// does not keep the entries of a batch apart, it is far more.
const batchTolerance = { float32: 1e-4, float16: 0.02 };

interface Loaded {
  stage: Stage;
  session: InferenceSession;
  hasHead: boolean;
  kv: KvShape;
  caches: Map<number, GpuKv>;
  tables: GpuTables;
  // Whether the graph computes a batch as it computes its entries.
  batches: boolean;
  // Where the stage ends in logits.
  head: GpuHead | undefined;
  // Weights that are inputs of the graph.
  constants: Feeds;
}

type Rows = Int32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;

// A group of a request, and where its result goes.
interface Asked {
  index: number;
  group: RowGroup;
  input: Rows;
  cache: GpuKv;
}

export class OrtWebgpuExecutor implements Executor {
  readonly #runtime: GpuRuntime;
  #loaded: Loaded | undefined;

  constructor(runtime: GpuRuntime) {
    this.#runtime = runtime;
  }

  async load(stage: Stage, files: StageFiles): Promise<LoadedStage> {
    await this.unload();
    this.#loaded = await (stage.kv.length > 1
      ? this.#buildFromFirstLayer(stage, files)
      : this.#build(stage, files));
    const { hasHead } = this.#loaded;
    return { hasHead, picksLargest: hasHead };
  }

  async #buildFromFirstLayer(stage: Stage, files: StageFiles): Promise<Loaded> {
    // Kernels stay compiled while a session lives.
    const holder = await this.#runtime.createSession(oneNode(), []);
    try {
      await this.#compileFirstLayer(stage, files).catch((thrown: unknown) => {
        // Of the instance, which is then in an unknown state.
        if (thrown instanceof WebAssembly.RuntimeError) throw thrown;
      });
      return await this.#build(stage, files);
    } finally {
      await holder.release();
    }
  }

  async #build(stage: Stage, files: StageFiles): Promise<Loaded> {
    const session = await this.#runtime.createSession(files, [...presentsOf(stage.kv), "logits"]);
    try {
      const hasHead = session.outputNames.includes("logits");
      checkGraph(stage, session, hasHead);
      const loaded = this.#newLoaded(stage, session, hasHead);
      await this.#warmUp(loaded);
      loaded.batches = await this.#tryBatch(loaded);
      return loaded;
    } catch (thrown) {
      await session.release();
      throw thrown;
    }
  }

  // Has the kernels of all layers compiled by the first one: compilers take memory for a moment,
  // and the stage is not there yet. Where that fails, they are compiled when the stage is.
  async #compileFirstLayer(stage: Stage, { graph }: StageFiles): Promise<void> {
    const slot = stage.kv[0]!;
    const { block } = slot;
    const model = widenConstants(new Uint8Array(await graph.arrayBuffer()));
    const presents = presentsOf([slot]);
    const piece = cutGraph(model, [`hidden.${block}`], [`hidden.${block + 1}`, ...presents]);
    if (piece === undefined) return;
    const [inputs, outputs] = [piece.given, piece.taken.slice(0, 1)].map((names) =>
      names.map((name) => ({ name, width: stage.hidden })),
    );
    const layer = { ...stage, kv: [slot], inputs: inputs!, outputs: outputs! };
    const files = { graph: new Blob([piece.model]), weights: new Map<string, Blob>() };
    const session = await this.#runtime.createSession(files, presents);
    const { device, Tensor: TensorType } = this.#runtime;
    // What they compute does not matter.
    const size = Math.max(...piece.constants.map(({ bytes }) => bytes), 16);
    const zeros = device.createBuffer({ size: Math.ceil(size / 16) * 16, usage: usage.storage });
    try {
      const loaded = this.#newLoaded(layer, session, false);
      for (const { name, type, dims } of piece.constants) {
        const dataType = type as Tensor.GpuBufferDataTypes;
        loaded.constants[name] = TensorType.fromGpuBuffer(zeros, { dataType, dims });
      }
      await this.#warmUp(loaded);
      await this.#tryBatch(loaded);
    } finally {
      await session.release();
      zeros.destroy();
    }
  }

  #newLoaded(stage: Stage, session: InferenceSession, hasHead: boolean): Loaded {
    const kv = { slots: stage.kv, type: kvType(session) };
    return {
      ...{ stage, session, hasHead, kv, caches: new Map(), tables: this.#newTables(kv) },
      ...{ batches: false, constants: {} },
      head: hasHead ? new GpuHead(this.#runtime.device, stage.vocab) : undefined,
    };
  }

  async unload(): Promise<void> {
    const loaded = this.#loaded;
    this.#loaded = undefined;
    for (const cache of loaded?.caches.values() ?? []) loaded?.tables.release(cache);
    loaded?.head?.destroy();
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
    const asked: Asked[] = [];
    let row = 0;
    for (const [index, group] of request.groups.entries()) {
      const input = request.input.subarray(row * width, (row + group.rows) * width);
      row += group.rows;
      const cache = loaded.caches.get(group.kv);
      if (cache !== undefined) {
        asked.push({ index, group, input, cache });
        continue;
      }
      const detail = `KV cache ${group.kv} is not open`;
      groups[index] = { ok: false, code: "not_found", detail };
    }
    // What fails on the GPU leaves the instance in an unknown state: the run fails as a whole.
    const left = loaded.batches ? await this.#runTables(loaded, asked, groups) : asked;
    for (const each of left) groups[each.index] = await this.#runAlone(loaded, each);
    return { groups, computeUs: Math.round((this.#runtime.now() - start) * 1000) };
  }

  async rollback(kv: number, length: number): Promise<void> {
    this.#cache(kv).truncate(length);
  }

  async release(kv: number): Promise<void> {
    const { caches, tables } = this.#stage();
    const cache = caches.get(kv);
    if (cache !== undefined) tables.release(cache);
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

  #newTables(kv: KvShape): GpuTables {
    const { device, Tensor: TensorType } = this.#runtime;
    const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
    const bytesMax = Math.min(maxBufferSize, maxStorageBufferBindingSize);
    return new GpuTables(
      (places, room) => KvBuffers.create(device, TensorType, kv, places, room),
      (room) => Math.floor(bytesMax / Math.max(1, bytesOfPlace(kv, room))),
    );
  }

  async #newCache({ kv }: Loaded, capacity: number): Promise<GpuKv> {
    const { device, Tensor: TensorType } = this.#runtime;
    const room = capacityTier(capacity);
    return new GpuKv(await KvBuffers.create(device, TensorType, kv, 1, room), kv.slots, capacity);
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
      loaded.tables.release(cache);
    }
  }

  // Whether rows of two sessions of unequal lengths come out of one run as of a run for each; also
  // the first run of that kind. Graphs that others made may take one session only.
  async #tryBatch(loaded: Loaded): Promise<boolean> {
    const { stage } = loaded;
    const [lengths, width] = [[3, 1], widthOf(inputsOf(stage))];
    if (stage.positions <= lengths[0]!) return false;
    const caches: GpuKv[] = [];
    try {
      const asked: Asked[] = [];
      for (const [index, length] of lengths.entries()) {
        const cache = await this.#newCache(loaded, length + 1);
        caches.push(cache);
        const rows = takesTokens(stage)
          ? Int32Array.from({ length: length + 1 }, (_, row) => (7 * row + index) % stage.vocab)
          : Float32Array.from({ length: (length + 1) * width }, (_, i) => Math.sin(i * i + index));
        const before = { kv: 0, position: 0, rows: length, logitRows: [] };
        await this.#compute(loaded, cache, before, rows.subarray(0, length * width));
        const group = { kv: 0, position: length, rows: 1, logitRows: [0] };
        asked.push({ index, group, input: rows.subarray(length * width), cache });
      }
      const apart: GroupOutput[] = [];
      for (const { cache, group, input } of asked) {
        apart.push(await this.#compute(loaded, cache, group, input));
        cache.truncate(group.position);
      }
      const together: GroupResult[] = [];
      const left = await this.#runTables(loaded, asked, together);
      const tolerance = batchTolerance[loaded.kv.type];
      return (
        left.length === 0 &&
        apart.every(({ output }, i) => isNear(together[i]!, output, tolerance))
      );
    } catch (thrown) {
      // A trap inside WebAssembly leaves the instance in an unknown state.
      if (thrown instanceof WebAssembly.RuntimeError) throw thrown;
      return false;
    } finally {
      for (const cache of caches) loaded.tables.release(cache);
    }
  }

  // Computes what can be computed side by side, and returns what is left to do.
  async #runTables(loaded: Loaded, asked: Asked[], groups: GroupResult[]): Promise<Asked[]> {
    const left = new Set(asked);
    const byRoom = new Map<number, Asked[]>();
    for (const each of asked) {
      const { room } = each.cache.buffers;
      // Several groups of one session keep their order.
      const isOnly = asked.every((other) => other === each || other.cache !== each.cache);
      if (each.group.rows !== 1 || !isOnly) continue;
      byRoom.set(room, [...(byRoom.get(room) ?? []), each]);
    }
    for (const candidates of byRoom.values()) {
      const table = await loaded.tables.gather(candidates.map(({ cache }) => cache));
      if (table === undefined) continue;
      const seated = candidates.filter(({ cache }) => cache.buffers === table.buffers);
      if (seated.length === 0) continue;
      const outcomes = await this.#computeTable(loaded, table, seated);
      for (const [i, each] of seated.entries()) {
        groups[each.index] = outcomes[i]!;
        left.delete(each);
      }
    }
    return [...left];
  }

  async #runAlone(loaded: Loaded, { group, input, cache }: Asked): Promise<GroupResult> {
    try {
      await loaded.tables.stand(cache);
    } catch (thrown) {
      const { code, detail } = ShoalError.from(thrown);
      return { ok: false, code, detail };
    }
    return await this.#compute(loaded, cache, group, input);
  }

  // A row for each place of the table; those of `seated` count.
  async #computeTable(loaded: Loaded, table: GpuTable, seated: Asked[]): Promise<GroupOutput[]> {
    const { stage, hasHead } = loaded;
    const width = widthOf(inputsOf(stage));
    const places = table.seats.length;
    const input = takesTokens(stage) ? new Int32Array(places) : new Float32Array(places * width);
    const logitRows: number[] = [];
    for (const { group, cache, input: row } of seated) {
      checkRoom(group, cache.length, cache.capacity);
      input.set(row, cache.place * width);
      if (group.logitRows.length > 0) logitRows.push(cache.place);
    }
    const positions = table.seats.map((kv) => kv?.length ?? 0);
    for (const { group, cache } of seated) positions[cache.place] = group.position;
    const batch = { positions, rows: 1, logitRows: logitRows.length === 0 ? [0] : logitRows };
    const results = await this.#runBatch(loaded, table.buffers, batch, input);
    for (const { group, cache } of seated) cache.advance(group.position + 1);
    if (hasHead) {
      const groups = seated.map(({ group }) => group);
      return await loaded.head!.read(results["logits"]!, groups);
    }
    const output = takeOutput(results, stage, hasHead, batch);
    const widthOut = output.length / places;
    return seated.map(({ cache: { place } }) => ({
      ok: true as const,
      output: output.slice(place * widthOut, (place + 1) * widthOut),
    }));
  }

  async #compute(loaded: Loaded, cache: GpuKv, group: RowGroup, input: Rows): Promise<GroupOutput> {
    const { stage, hasHead } = loaded;
    checkRoom(group, cache.length, cache.capacity);
    const batch = batchOf(group);
    const results = await this.#runBatch(loaded, cache.buffers, batch, input);
    const outcome = hasHead
      ? (await loaded.head!.read(results["logits"]!, [group]))[0]!
      : { ok: true as const, output: takeOutput(results, stage, hasHead, batch) };
    cache.advance(group.position + group.rows);
    return outcome;
  }

  async #runBatch(
    { stage, session, hasHead, constants }: Loaded,
    buffers: KvBuffers,
    batch: RowBatch,
    input: Rows,
  ): Promise<InferenceSession.ReturnType> {
    const rows = rowFeeds(this.#runtime.Tensor, stage, batch, input);
    const feeds = { ...constants, ...rows, ...buffers.tensors("past") };
    const read = outputsOf(stage, hasHead).map(({ name }) => [name, null] as const);
    const fetches = { ...Object.fromEntries(read), ...buffers.tensors("present") };
    return await session.run(pickFeeds(session, feeds), fetches);
  }
}

function presentsOf(kv: Stage["kv"]): string[] {
  return kv.flatMap(({ block }) => ["key", "value"].map((part) => `present.${block}.${part}`));
}

function isNear(result: GroupResult, expected: Float32Array, tolerance: number): boolean {
  if (!result.ok || result.output.length !== expected.length) return false;
  const { output } = result;
  const squares = expected.reduce((sum, value) => sum + value * value, 0);
  const off = expected.reduce((sum, value, i) => sum + (value - output[i]!) ** 2, 0);
  return off <= tolerance * squares;
}
