// The engine in WebAssembly against what it gave natively (tests/golden/engine), to the bit.

import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { ShoalError } from "../../core/index.ts";
import type { RowGroup, Stage } from "../executor.ts";
import { ShoalExecutor } from "./shoal.ts";

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

async function load(module: WebAssembly.Module, format: string): Promise<ShoalExecutor> {
  const executor = new ShoalExecutor({
    module,
    readBlob: (blob, from, to) => (blob as Bytes).whole.subarray(from, to),
    now: () => performance.now(),
  });
  const loaded = await executor.load(stage, {
    graph: new Blob([new Uint8Array(golden(format, "model.onnx"))]),
    weights: new Map([["weights.bin", new Bytes(new Uint8Array(golden(format, "weights.bin")))]]),
  });
  expect(loaded).toEqual({ hasHead: false });
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

for (const name of ["shoal_engine", "shoal_engine_relaxed"]) {
  const file = at(`../../core/${name}.wasm`);
  const bytes = existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined;
  const runnable = bytes !== undefined && WebAssembly.validate(bytes);
  describe.skipIf(!runnable)(name, async () => {
    const module = runnable ? await WebAssembly.compile(bytes) : (undefined as never);

    it.each(["q4", "q8", "f32"])("has the native bits: %s", async (format) => {
      const executor = await load(module, format);
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

    it("refuses a stage without its weights", async () => {
      const executor = new ShoalExecutor({
        module,
        readBlob: (blob, from, to) => (blob as Bytes).whole.subarray(from, to),
        now: () => 0,
      });
      const graph = new Blob([new Uint8Array(golden("q4", "model.onnx"))]);
      await expect(executor.load(stage, { graph, weights: new Map() })).rejects.toThrow(
        "weights.bin cannot be read",
      );
    });
  });
}
