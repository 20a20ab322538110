// The engine in WebAssembly against what it gave natively (tests/golden/engine), to the bit.

import { existsSync, readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";

import { ShoalError } from "../../core/index.ts";
import type { RowGroup, Stage } from "../executor.ts";
import { nodeThreads } from "../testing/node_thread.ts";
import { ShoalExecutor } from "./shoal.ts";
import type { CreateThread } from "./shoal_threads.ts";

const at = (path: string): URL => new URL(path, import.meta.url);
const golden = (format: string, name: string): Buffer =>
  readFileSync(at(`../../../tests/golden/engine/${format}/${name}`));
const floats = (bytes: Buffer): Float32Array<ArrayBuffer> =>
  new Float32Array(new Uint8Array(bytes).buffer);

const stage: Stage = {
  first: 1,
  last: 3,
  hidden: 64,
  vocab: 0,
  maxRows: 16,
  positions: 64,
  kv: [
    { block: 1, heads: 2, head_size: 16 },
    { block: 2, heads: 2, head_size: 16 },
  ],
};

// In node, a Blob is read through what it was made of.
class Bytes extends Blob {
  readonly whole: Uint8Array<ArrayBuffer>;
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    super([bytes]);
    this.whole = bytes;
  }
}

function readBlob(blob: Blob, offset: number, target: Uint8Array): void {
  target.set((blob as Bytes).whole.subarray(offset, offset + target.length));
}

const executors: ShoalExecutor[] = [];
afterEach(async () => {
  for (const executor of executors.splice(0)) await executor.unload();
});

async function load(
  module: WebAssembly.Module,
  format: string,
  count = 1,
  createThread?: CreateThread,
): Promise<ShoalExecutor> {
  const executor = new ShoalExecutor({
    module,
    ...(createThread && { threads: { count, create: createThread } }),
    readBlob,
    openChunks: async () => [],
    now: () => performance.now(),
  });
  const loaded = await executor.load(stage, {
    graph: new Blob([new Uint8Array(golden(format, "model.onnx"))]),
    weights: new Map([["weights.bin", new Bytes(new Uint8Array(golden(format, "weights.bin")))]]),
  });
  expect(loaded).toEqual({ hasHead: false });
  executors.push(executor);
  return executor;
}

async function run(executor: ShoalExecutor, groups: RowGroup[], input: Float32Array<ArrayBuffer>) {
  const result = await executor.run({ groups, input });
  return result.groups.map((group) => {
    if (!group.ok) throw new ShoalError(group.code, group.detail);
    return group.output;
  });
}

const group = (kv: number, position: number, rows: number): RowGroup => ({
  kv,
  position,
  rows,
  logitRows: [],
});

const create = await nodeThreads();

for (const [name, counts] of [
  ["shoal_engine", [1]],
  ["shoal_engine_relaxed", [1]],
  ["shoal_engine_threads", [1, 2, 5]],
  ["shoal_engine_relaxed_threads", [1, 2, 5]],
] as const) {
  const file = at(`../../core/${name}.wasm`);
  const bytes = existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined;
  const runnable = bytes !== undefined && WebAssembly.validate(bytes);
  describe.skipIf(!runnable)(name, async () => {
    const module = runnable ? await WebAssembly.compile(bytes) : (undefined as never);

    it.each(
      ["q4", "q8", "f32"].flatMap((format) => counts.map((count) => [format, count] as const)),
    )("has the native bits: %s, %d threads", async (format, count) => {
      const executor = await load(module, format, count, create);
      const input = floats(golden(format, "input.f32"));
      const expected = floats(golden(format, "expected.f32"));
      await executor.open(1, 32);
      expect((await run(executor, [group(1, 0, 9)], input))[0]).toEqual(expected);
      // And in pieces, beside another session.
      await executor.open(2, 32);
      for (const [from, to] of [[0, 4], [4, 5], [5, 9]] as const) {
        const both = new Float32Array([...input.slice(0, 64), ...input.slice(from * 64, to * 64)]);
        const groups = [group(1, 9, 1), group(2, from, to - from)];
        const [, piece] = await run(executor, groups, both);
        expect(piece).toEqual(expected.slice(from * 64, to * 64));
        await executor.rollback(1, 9);
      }
    });

    it("has kernels that are right, before and after they are compiled again", async () => {
      const imports: WebAssembly.Imports = { shoal: { read_weight: () => 0 } };
      if (counts.length > 1) {
        const memory = new WebAssembly.Memory({ initial: 256, maximum: 65_536, shared: true });
        imports["env"] = { memory };
      }
      const { exports } = await WebAssembly.instantiate(module, imports);
      const { _initialize: initialize, shoal_kernels: count, shoal_kernels_try: run } =
        exports as Record<string, (...numbers: number[]) => number>;
      initialize!();
      expect(count!()).toBeGreaterThan(1);
      for (let kernels = 0; kernels < count!(); ++kernels) {
        for (let i = 0; i < 20; ++i) expect(run!(kernels, i === 0 ? 1 : 50)).toBe(1);
      }
      expect(run!(count!(), 1)).toBe(0);
    });

    it("moves a cache", async () => {
      const executor = await load(module, "q4");
      const input = floats(golden("q4", "input.f32"));
      const expected = floats(golden("q4", "expected.f32"));
      await executor.open(1, 32);
      await run(executor, [group(1, 0, 8)], input.slice(0, 8 * 64));
      await executor.open(2, 32);
      for (const { block } of stage.kv) {
        await executor.importKv(2, block, await executor.exportKv(1, block, 0, 8));
      }
      const last = input.slice(8 * 64);
      expect((await run(executor, [group(2, 8, 1)], last))[0]).toEqual(expected.slice(8 * 64));
    });

    it("copies the beginning of a cache, over whatever was there", async () => {
      const executor = await load(module, "q4");
      const input = floats(golden("q4", "input.f32"));
      const expected = floats(golden("q4", "expected.f32"));
      for (const kv of [1, 2]) await executor.open(kv, 32);
      await run(executor, [group(1, 0, 8)], input.slice(0, 8 * 64));
      await run(executor, [group(2, 0, 3)], input.slice(64, 4 * 64));
      await executor.copyKv(1, 2, 5);
      const rest = await run(executor, [group(2, 5, 4)], input.slice(5 * 64, 9 * 64));
      expect(rest[0]).toEqual(expected.slice(5 * 64, 9 * 64));
      await expect(executor.copyKv(1, 2, 9)).rejects.toThrow();
    });

    it("fails group by group", async () => {
      const executor = await load(module, "q4");
      await executor.open(1, 32);
      const input = floats(golden("q4", "input.f32")).slice(0, 2 * 64);
      const { groups } = await executor.run({ groups: [group(1, 0, 1), group(7, 0, 1)], input });
      expect(groups.map(({ ok }) => ok)).toEqual([true, false]);
      await executor.rollback(1, 0);
      const wrong = await executor.run({ groups: [group(1, 3, 1)], input: input.slice(64) });
      expect(wrong.groups[0]).toMatchObject({ ok: false, code: "failed_precondition" });
      await executor.release(1);
      await expect(executor.exportKv(1, 1, 0, 1)).rejects.toThrow("not open");
    });

    it.skipIf(counts.length === 1)("works with the threads that it gets", async () => {
      let asked = 0;
      const failing: CreateThread = () => {
        if (++asked % 2 === 0) throw new Error("no more");
        return create();
      };
      const executor = await load(module, "q4", 5, failing);
      expect(asked).toBe(4);
      await executor.open(1, 32);
      const output = await run(executor, [group(1, 0, 9)], floats(golden("q4", "input.f32")));
      expect(output[0]).toEqual(floats(golden("q4", "expected.f32")));
    });

    it.skipIf(counts.length === 1)("breaks as a whole when one of its threads does", async () => {
      const broken: CreateThread = () => {
        let broke: (() => void) | undefined;
        let ready = (): void => {};
        return {
          postMessage: (message) => {
            if (broke !== undefined) return broke();
            const { memory } = message as { memory: WebAssembly.Memory };
            const imports = { env: { memory }, shoal: { read_weight: () => 0 } };
            const { exports } = new WebAssembly.Instance(module, imports);
            broke = exports["shoal_thread_broke"] as () => void;
            ready();
          },
          terminate: () => {},
          addEventListener: (type, listener) => {
            if (type === "message") ready = () => listener(new Event("message"));
          },
        };
      };
      await expect(load(module, "q4", 2, broken)).rejects.toThrow(WebAssembly.RuntimeError);
    });

    it("reads chunks that the browser keeps where they lie, and closes them", async () => {
      const weights = new Uint8Array(golden("q4", "weights.bin"));
      let reads = 0;
      let closed = 0;
      const chunk = {
        read(target: Uint8Array, { at }: { at: number }): number {
          const bytes = weights.subarray(at, at + target.length);
          target.set(bytes);
          ++reads;
          return bytes.length;
        },
        close: () => void ++closed,
      };
      const executor = new ShoalExecutor({
        module,
        readBlob: () => expect.unreachable(),
        openChunks: async () => [chunk],
        now: () => performance.now(),
      });
      executors.push(executor);
      const files = {
        graph: new Blob([new Uint8Array(golden("q4", "model.onnx"))]),
        weights: new Map([["weights.bin", new Blob([weights])]]),
      };
      await executor.load(stage, files);
      expect(reads).toBeGreaterThan(0);
      expect(closed).toBe(1);
      await executor.open(1, 8);
      const other = await load(module, "q4");
      await other.open(1, 8);
      const groups = [{ kv: 1, position: 0, rows: 1, logitRows: [] }];
      const input = new Float32Array(stage.hidden).fill(0.5);
      expect(await run(executor, groups, input)).toEqual(await run(other, groups, input));
      // One that lost its end meanwhile, and what Chromium gives for an error.
      for (const count of [0, 2 ** 32 - 8]) {
        const broken = new ShoalExecutor({
          module,
          readBlob,
          openChunks: async () => [{ ...chunk, read: () => count }],
          now: () => 0,
        });
        await expect(broken.load(stage, files)).rejects.toThrow("weights.bin cannot be read");
      }
      expect(closed).toBe(3);
    });

    it("refuses a stage without its weights", async () => {
      const executor = new ShoalExecutor({
        module,
        readBlob,
        openChunks: async () => [],
        now: () => 0,
      });
      const graph = new Blob([new Uint8Array(golden("q4", "model.onnx"))]);
      await expect(executor.load(stage, { graph, weights: new Map() })).rejects.toThrow(
        "weights.bin cannot be read",
      );
    });
  });
}
