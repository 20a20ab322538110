// The executor `shoal`: the C++ engine in WebAssembly (src/engine). KV caches are the engine's own;
// weights are read from the stage's blobs straight into its memory, one tensor at a time.

import { ShoalError } from "../../core/index.ts";
import { chunkBytes } from "../blobs.ts";
import type { SyncChunk } from "../cache/chunk_store.ts";
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
import {
  EngineModule,
  type EngineRow,
  type EngineThreads,
  type ReadWeight,
  type StageShape,
} from "./shoal_module.ts";

export interface ShoalRuntime {
  // shoal_engine_relaxed*.wasm where it compiles, else shoal_engine*.wasm.
  module: WebAssembly.Module;
  // For a module of the kind `_threads`.
  threads?: EngineThreads;
  // Writes bytes [offset, offset + target.length) of a blob to `target`, at once.
  readBlob(blob: Blob, offset: number, target: Uint8Array): void;
  // The chunks in which the browser keeps the blob at `location`; none where it does not.
  openChunks(location: string, bytes: number): Promise<SyncChunk[]>;
  // Milliseconds, of any origin.
  now(): number;
}

interface Loaded {
  stage: Stage;
  engine: EngineModule;
  hasHead: boolean;
  positionsMax: number;
  caches: Map<number, Cache>;
}

// How many positions an open cache holds, and the blocks of an import under way.
interface Cache {
  length: number;
  parts: Map<number, KvPart>;
}

const rowsMax = 4096;
const kvBytesMax = 2 ** 31;
// A blob is copied in pieces, so that a large tensor is not in memory twice.
const pieceBytes = 4 << 20;

export class ShoalExecutor implements Executor {
  readonly #runtime: ShoalRuntime;
  #loaded: Loaded | undefined;

  constructor(runtime: ShoalRuntime) {
    this.#runtime = runtime;
  }

  async load(stage: Stage, files: StageFiles): Promise<LoadedStage> {
    await this.unload();
    const chunks = await this.#openChunks(files);
    try {
      return await this.#load(stage, files, this.#reader(files, chunks));
    } finally {
      for (const chunk of [...chunks.values()].flat()) chunk.close();
    }
  }

  async #load(stage: Stage, files: StageFiles, reader: ReadWeight): Promise<LoadedStage> {
    const { module, threads } = this.#runtime;
    const graph = new Uint8Array(await files.graph.arrayBuffer());
    const engine = await EngineModule.start(module, reader, threads);
    try {
      const kernels = engine.fastestKernels(this.#runtime.now);
      const shape = engine.load(graph, { rowsMax, kvBytesMax, exact: false, kernels });
      checkShape(stage, shape);
      const loaded = {
        ...{ stage, engine, hasHead: shape.gives_logits },
        ...{ positionsMax: shape.positions_max, caches: new Map() },
      };
      warmUp(loaded);
      this.#loaded = loaded;
      return { hasHead: shape.gives_logits };
    } catch (thrown) {
      engine.stop();
      throw thrown;
    }
  }

  async unload(): Promise<void> {
    this.#loaded?.engine.stop();
    this.#loaded = undefined;
  }

  async open(kv: number, capacity: number): Promise<void> {
    const { engine, caches } = this.#stage();
    engine.open(kv, capacity);
    caches.set(kv, { length: 0, parts: new Map() });
  }

  // All groups in one run; one by one only to find those that fail.
  async run(request: RunRequest): Promise<RunResult> {
    const loaded = this.#stage();
    const start = this.#runtime.now();
    let groups: GroupResult[];
    try {
      groups = runGroups(loaded, request.groups, request.input);
    } catch (thrown) {
      if (!(thrown instanceof ShoalError)) throw thrown;
      groups = runOneByOne(loaded, request);
    }
    return { groups, computeUs: Math.round((this.#runtime.now() - start) * 1000) };
  }

  async rollback(kv: number, length: number): Promise<void> {
    const cache = this.#cache(kv);
    if (length >= cache.length) return;
    this.#stage().engine.rollback(kv, length);
    cache.length = length;
  }

  async release(kv: number): Promise<void> {
    const { engine, caches } = this.#stage();
    if (caches.delete(kv)) engine.release(kv);
  }

  async exportKv(kv: number, block: number, from: number, to: number): Promise<KvPart> {
    this.#cache(kv);
    const { stage, engine } = this.#stage();
    const { offset, slot, width } = placeOf(stage, block);
    const all = engine.exportKv(kv, from, to);
    const { heads, head_size: size } = slot;
    const keys = new Float32Array(heads * (to - from) * size);
    const values = new Float32Array(keys.length);
    for (let p = 0; p < to - from; ++p) {
      const at = p * width + offset;
      for (let head = 0; head < heads; ++head) {
        const target = (head * (to - from) + p) * size;
        const key = at + head * size;
        keys.set(all.subarray(key, key + size), target);
        values.set(all.subarray(key + heads * size, key + (heads + 1) * size), target);
      }
    }
    return { from, to, keys, values };
  }

  // The engine takes all blocks of a range at once: the last block's part brings them in.
  async importKv(kv: number, block: number, part: KvPart): Promise<void> {
    const cache = this.#cache(kv);
    const { stage, engine } = this.#stage();
    const { slot } = placeOf(stage, block);
    const { from, to } = part;
    const count = slot.heads * (to - from) * slot.head_size;
    if (part.keys.length !== count || part.values.length !== count) {
      throw new ShoalError("invalid_argument", `block ${block}: ${count} keys and values expected`);
    }
    const [first] = cache.parts.values();
    if (first !== undefined && (first.from !== from || first.to !== to)) cache.parts.clear();
    cache.parts.set(block, part);
    if (cache.parts.size < stage.kv.length) return;
    const all = joinParts(stage, cache.parts, to - from);
    cache.parts = new Map();
    await this.rollback(kv, from);
    engine.importKv(kv, from, to, all);
    cache.length = to;
  }

  async copyKv(from: number, to: number, positions: number): Promise<void> {
    this.#cache(from);
    await this.rollback(to, 0);
    const { stage, engine } = this.#stage();
    if (stage.kv.length === 0) return;
    engine.importKv(to, 0, positions, engine.exportKv(from, 0, positions).slice());
    this.#cache(to).length = positions;
  }

  #stage(): Loaded {
    if (this.#loaded === undefined) throw new ShoalError("failed_precondition", "no stage loaded");
    return this.#loaded;
  }

  #cache(kv: number): Cache {
    const cache = this.#stage().caches.get(kv);
    if (cache === undefined) throw new ShoalError("not_found", `KV cache ${kv} is not open`);
    return cache;
  }

  async #openChunks({ weights }: StageFiles): Promise<Map<string, SyncChunk[]>> {
    const chunks = new Map<string, SyncChunk[]>();
    for (const [location, { size }] of weights) {
      chunks.set(location, await this.#runtime.openChunks(location, size));
    }
    return chunks;
  }

  #reader({ weights }: StageFiles, chunks: Map<string, SyncChunk[]>): ReadWeight {
    return (location, offset, target) => {
      const blob = weights.get(location);
      if (blob === undefined || offset + target.length > blob.size) {
        throw new ShoalError("not_found", `no bytes of blob ${location} at ${offset}`);
      }
      const open = chunks.get(location)!;
      const step = open.length > 0 ? chunkBytes : pieceBytes;
      for (let at = offset; at < offset + target.length; ) {
        const end = Math.min(offset + target.length, (Math.floor(at / step) + 1) * step);
        const piece = target.subarray(at - offset, end - offset);
        const chunk = open[Math.floor(at / step)];
        if (chunk === undefined) this.#runtime.readBlob(blob, at, piece);
        else if (chunk.read(piece, { at: at % step }) !== piece.length) {
          throw new ShoalError("data_loss", `blob ${location} could not be read whole`);
        }
        at = end;
      }
    };
  }
}

function checkShape(stage: Stage, shape: StageShape): void {
  const width = widthOf(outputsOf(stage, shape.gives_logits));
  if (
    shape.takes_tokens === takesTokens(stage) &&
    shape.input_width === widthOf(inputsOf(stage)) &&
    shape.output_width === width
  ) {
    return;
  }
  throw new ShoalError(
    "invalid_argument",
    `the graph of blocks [${stage.first}, ${stage.last}) gives ${shape.output_width} values ` +
      `a row, its assignment says ${width}`,
  );
}

// The first run compiles the kernels; it must not fall into someone's first token.
function warmUp({ stage, engine }: Loaded): void {
  const width = widthOf(inputsOf(stage));
  const input = takesTokens(stage) ? new Int32Array(1) : new Float32Array(width);
  engine.open(0, 1);
  engine.run([{ session: 0, position: 0, wantLogits: true }], input);
  engine.release(0);
}

function runGroups(
  { stage, engine, hasHead, caches }: Loaded,
  groups: readonly RowGroup[],
  input: Int32Array | Float32Array,
): GroupResult[] {
  const rows: EngineRow[] = [];
  for (const { kv, position, rows: count, logitRows } of groups) {
    const cache = caches.get(kv);
    if (cache === undefined) throw new ShoalError("not_found", `KV cache ${kv} is not open`);
    if (stage.kv.length === 0) moveTo(engine, kv, cache, position);
    const wanted = new Set(logitRows);
    for (let i = 0; i < count; ++i) {
      rows.push({ session: kv, position: position + i, wantLogits: wanted.has(i) });
    }
  }
  const output = engine.run(rows, input);
  const width = widthOf(outputsOf(stage, hasHead));
  let at = 0;
  return groups.map(({ kv, position, rows: count, logitRows }) => {
    const values = (hasHead ? logitRows.length : count) * width;
    const part = new Float32Array(output.subarray(at, at + values));
    at += values;
    caches.get(kv)!.length = position + count;
    return { ok: true, output: part };
  });
}

// A stage without layers keeps nothing: it goes on wherever its rows are, as after an import.
function moveTo(engine: EngineModule, kv: number, cache: Cache, position: number): void {
  if (position > cache.length) engine.importKv(kv, cache.length, position, new Float32Array(0));
  if (position < cache.length) engine.rollback(kv, position);
  cache.length = position;
}

function runOneByOne(loaded: Loaded, { groups, input }: RunRequest): GroupResult[] {
  const width = widthOf(inputsOf(loaded.stage));
  let row = 0;
  return groups.map((group) => {
    const own = input.subarray(row * width, (row + group.rows) * width);
    row += group.rows;
    try {
      return runGroups(loaded, [group], own)[0]!;
    } catch (thrown) {
      if (!(thrown instanceof ShoalError)) throw thrown;
      return { ok: false, code: thrown.code, detail: thrown.detail };
    }
  });
}

// Where a block's keys begin in the floats of one position, which are `width`.
function placeOf(stage: Stage, block: number) {
  let width = 0;
  let found: { offset: number; slot: Stage["kv"][number] } | undefined;
  for (const slot of stage.kv) {
    if (slot.block === block) found = { offset: width, slot };
    width += 2 * slot.heads * slot.head_size;
  }
  if (found === undefined) {
    throw new ShoalError("not_found", `block ${block} has no KV cache in this stage`);
  }
  return { ...found, width };
}

// All blocks' parts of `positions` positions in the engine's order.
function joinParts(
  stage: Stage,
  parts: ReadonlyMap<number, KvPart>,
  positions: number,
): Float32Array {
  const width = stage.kv.reduce((sum, { heads, head_size: size }) => sum + 2 * heads * size, 0);
  const all = new Float32Array(positions * width);
  let offset = 0;
  for (const { block, heads, head_size: size } of stage.kv) {
    const { keys, values } = parts.get(block)!;
    for (let p = 0; p < positions; ++p) {
      for (let head = 0; head < heads; ++head) {
        const from = (head * positions + p) * size;
        const to = p * width + offset + head * size;
        all.set(keys.subarray(from, from + size), to);
        all.set(values.subarray(from, from + size), to + heads * size);
      }
    }
    offset += 2 * heads * size;
  }
  return all;
}
