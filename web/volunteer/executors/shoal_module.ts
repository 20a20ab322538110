// shoal_engine*.wasm (src/wasm/engine_exports.cc) as a typed object: one stage, one instance, and
// an instance more for every further thread.

import { errorCodeName, ShoalError } from "../../core/index.ts";
import { startThreads, type CreateThread, type ThreadWorker } from "./shoal_threads.ts";

// What a loaded stage says of itself (engine::StageShape).
export interface StageShape {
  takes_tokens: boolean;
  gives_logits: boolean;
  input_width: number;
  output_width: number;
  layers: number;
  positions_max: number;
  kv_bytes_per_position: number;
  weight_bytes: number;
  // Which kernels multiply q4 and q8 weights.
  kernels: string;
}

export interface EngineRow {
  session: number;
  position: number;
  wantLogits: boolean;
}

// Writes bytes [offset, offset + target.length) of the external data at `location` to `target`, at
// once; throws when it cannot.
export type ReadWeight = (location: string, offset: number, target: Uint8Array) => void;

export interface EngineLimits {
  rowsMax: number;
  kvBytesMax: number;
  exact: boolean;
  // Which of the module's kernels multiply (fastestKernels).
  kernels: number;
}

// Threads that take part in the engine's loops, the caller's included. More than one takes a module
// of the kind `_threads`, and an isolated page.
export interface EngineThreads {
  count: number;
  create: CreateThread;
}

// The memory of a module with threads, in pages of 64 KiB: as src/wasm/CMakeLists.txt has it, and
// all that 32 bits address.
const initialPages = 256;
const maximumPages = 65_536;
const stackBytes = 256 * 1024;

// How long kernels are tried, even if the clock stands still; how often between two looks at it.
const trialMs = 50;
const trialRounds = 500;
const trialTimes = 100;

interface Exports {
  memory?: WebAssembly.Memory;
  _initialize(): void;
  shoal_abort_message(): number;
  shoal_alloc(bytes: number): number;
  shoal_free(pointer: number): void;
  shoal_result_data(): number;
  shoal_result_bytes(): number;
  shoal_engine_threads?(threads: number): void;
  shoal_kernels(): number;
  shoal_kernels_try(kernels: number, times: number): number;
  shoal_engine_load(
    graph: number,
    bytes: number,
    rowsMax: number,
    kvBytesMax: number,
    exact: number,
    kernels: number,
  ): number;
  shoal_engine_open(session: number, capacity: number): number;
  shoal_engine_release(session: number): number;
  shoal_engine_rollback(session: number, position: number): number;
  shoal_engine_run(rows: number, rowCount: number, input: number, values: number): number;
  shoal_engine_export_kv(session: number, from: number, to: number): number;
  shoal_engine_import_kv(
    session: number,
    from: number,
    to: number,
    data: number,
    bytes: number,
  ): number;
}

// Methods throw ShoalError for what the engine refuses, and WebAssembly.RuntimeError when the
// instance broke; it is unusable then.
export class EngineModule {
  readonly #exports: Exports;
  readonly #memory: WebAssembly.Memory;
  readonly #decoder = new TextDecoder();
  #threads: ThreadWorker[] = [];

  private constructor(exports: Exports, memory: WebAssembly.Memory) {
    this.#exports = exports;
    this.#memory = memory;
    exports._initialize();
  }

  static async start(
    module: WebAssembly.Module,
    readWeight: ReadWeight,
    threads?: EngineThreads,
  ): Promise<EngineModule> {
    const isShared = WebAssembly.Module.imports(module).some(({ kind }) => kind === "memory");
    let memory: WebAssembly.Memory;
    const decoder = new TextDecoder();
    const read = (
      location: number,
      locationBytes: number,
      offset: number,
      bytes: number,
      target: number,
    ): number => {
      const { buffer } = memory;
      // Sliced: no text is decoded where other threads might write.
      const name = decoder.decode(
        new Uint8Array(buffer, location >>> 0, locationBytes).slice(),
      );
      try {
        readWeight(name, offset, new Uint8Array(buffer, target >>> 0, bytes >>> 0));
        return 1;
      } catch {
        return 0;
      }
    };
    const imports: WebAssembly.Imports = { shoal: { read_weight: read } };
    if (isShared) {
      memory = new WebAssembly.Memory({
        initial: initialPages,
        maximum: maximumPages,
        shared: true,
      });
      imports["env"] = { memory };
    }
    const instance = await WebAssembly.instantiate(module, imports);
    const exports = instance.exports as unknown as Exports;
    memory ??= exports.memory!;
    const engine = new EngineModule(exports, memory);
    if (threads !== undefined && isShared) await engine.#startThreads(module, threads);
    return engine;
  }

  // Ends its threads; it must not be used any more.
  stop(): void {
    for (const thread of this.#threads.splice(0)) thread.terminate();
  }

  // Of the kernels that are right in this browser, the fastest by `now` (milliseconds). They differ
  // in nothing else.
  fastestKernels(now: () => number): number {
    const { shoal_kernels: count, shoal_kernels_try: run } = this.#exports;
    const right = Array.from({ length: count() }, (_, kernels) => kernels).filter(
      (kernels) => kernels > 0 && run(kernels, 1) === 1,
    );
    const last = right.at(-1) ?? 0;
    if (right.length < 2) return last;
    // Browsers compile again what runs often: what counts is the best of many.
    const least = new Map(right.map((kernels) => [kernels, Infinity]));
    const end = now() + trialMs;
    for (let round = 0; round < trialRounds && now() < end; ++round) {
      for (const kernels of right) {
        const start = now();
        run(kernels, trialTimes);
        least.set(kernels, Math.min(least.get(kernels)!, now() - start));
      }
    }
    return right.reduce((a, b) => (least.get(a)! < least.get(b)! ? a : b), last);
  }

  load(graph: Uint8Array, limits: EngineLimits): StageShape {
    const { rowsMax, kvBytesMax, exact, kernels } = limits;
    const { shoal_engine_load: load } = this.#exports;
    this.#with([graph], ([pointer]) =>
      this.#check(load(pointer!, graph.length, rowsMax, kvBytesMax, Number(exact), kernels)),
    );
    return JSON.parse(this.#decoder.decode(this.#result().slice())) as StageShape;
  }

  open(session: number, capacity: number): void {
    this.#check(this.#exports.shoal_engine_open(session, capacity));
  }

  release(session: number): void {
    this.#check(this.#exports.shoal_engine_release(session));
  }

  rollback(session: number, position: number): void {
    this.#check(this.#exports.shoal_engine_rollback(session, position));
  }

  // Output rows, one after the other; a view that the next call ends.
  run(rows: readonly EngineRow[], input: Int32Array | Float32Array): Float32Array {
    const raw = new Uint32Array(3 * rows.length);
    rows.forEach(({ session, position, wantLogits }, i) => {
      raw.set([session, position, Number(wantLogits)], 3 * i);
    });
    this.#with([bytesOf(raw), bytesOf(input)], ([rowsAt, inputAt]) =>
      this.#check(
        this.#exports.shoal_engine_run(rowsAt!, rows.length, inputAt!, input.length),
      ),
    );
    return this.#floats();
  }

  // [to - from, layers, 2 (key, value), kv heads, head size]; a view that the next call ends.
  exportKv(session: number, from: number, to: number): Float32Array {
    this.#check(this.#exports.shoal_engine_export_kv(session, from, to));
    return this.#floats();
  }

  importKv(session: number, from: number, to: number, values: Float32Array): void {
    this.#with([bytesOf(values)], ([pointer]) =>
      this.#check(
        this.#exports.shoal_engine_import_kv(session, from, to, pointer!, values.byteLength),
      ),
    );
  }

  async #startThreads(
    module: WebAssembly.Module,
    { count, create }: EngineThreads,
  ): Promise<void> {
    const { shoal_alloc: alloc, shoal_engine_threads: setThreads } = this.#exports;
    const stackTops = Array.from({ length: count - 1 }, () => {
      const stack = alloc(stackBytes) >>> 0;
      if (stack === 0) throw new ShoalError("resource_exhausted", "no memory left in the tab");
      // A stack begins at a multiple of 16.
      return (stack + stackBytes) & ~15;
    });
    this.#threads = await startThreads(create, module, this.#memory, stackTops);
    setThreads?.(1 + this.#threads.length);
  }

  #floats(): Float32Array {
    const { buffer, byteOffset, byteLength } = this.#result();
    return new Float32Array(buffer, byteOffset, byteLength / 4);
  }

  #result(): Uint8Array {
    const { shoal_result_data: data, shoal_result_bytes: bytes } = this.#exports;
    return new Uint8Array(this.#memory.buffer, data() >>> 0, bytes() >>> 0);
  }

  #check(code: number): void {
    if (code === 0) return;
    throw new ShoalError(
      errorCodeName(code) ?? "internal",
      this.#decoder.decode(this.#result().slice()),
    );
  }

  #with(inputs: Uint8Array[], call: (pointers: number[]) => void): void {
    const pointers: number[] = [];
    try {
      for (const input of inputs) {
        const pointer = this.#exports.shoal_alloc(Math.max(input.length, 1)) >>> 0;
        if (pointer === 0) throw new ShoalError("resource_exhausted", "no memory left in the tab");
        pointers.push(pointer);
        new Uint8Array(this.#memory.buffer, pointer, input.length).set(input);
      }
      call(pointers);
    } finally {
      for (const pointer of pointers) this.#exports.shoal_free(pointer);
    }
  }
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
