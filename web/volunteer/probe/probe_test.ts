import { describe, expect, it } from "vitest";

import type { ExecutorName, RunRequest, RunResult, Stage } from "../executor.ts";
import { FakeExecutor } from "../testing/fake_executor.ts";
import { choose, measure, stepMs, type Speed } from "./probe.ts";

const layerBytes = 7_577_600;
const layerFlops = 2 * 12_058_624;
const graphs = { oneLayer: new Blob(), fourLayers: new Blob() };

// A machine whose clock is moved by what it is asked to do.
class Machine extends FakeExecutor {
  nowMs = 0;
  readonly #speed: Speed;
  #layers = 0;
  isUnloaded = false;

  constructor(speed: Speed) {
    super(99);
    this.#speed = speed;
  }

  override async load(stage: Stage): ReturnType<FakeExecutor["load"]> {
    this.#layers = stage.kv.length;
    return { hasHead: false };
  }

  override async open(): Promise<void> {}
  override async rollback(): Promise<void> {}
  override async unload(): Promise<void> {
    this.isUnloaded = true;
  }

  override async run({ groups, input }: RunRequest): Promise<RunResult> {
    const rows = groups[0]!.rows;
    const { fixedMs, gbPerS, gflops } = this.#speed;
    const read = (this.#layers * layerBytes) / (gbPerS * 1e6);
    const multiply = (rows * this.#layers * layerFlops) / (gflops * 1e6);
    this.nowMs += fixedMs + Math.max(read, rows > 1 ? multiply : 0);
    return { groups: [{ ok: true, output: input as Float32Array<ArrayBuffer> }], computeUs: 0 };
  }
}

describe("the probe", () => {
  it.each([
    { fixedMs: 5, gbPerS: 40, gflops: 2000 },
    { fixedMs: 0.5, gbPerS: 8, gflops: 30 },
  ])("finds out what it is to find out: %o", async (speed) => {
    const machine = new Machine(speed);
    const found = await measure(machine, graphs, () => machine.nowMs, 1000);
    expect(found.fixedMs).toBeCloseTo(speed.fixedMs, 3);
    expect(found.gbPerS).toBeCloseTo(speed.gbPerS, 3);
    expect(found.gflops).toBeCloseTo(speed.gflops, 1);
    expect(machine.isUnloaded).toBe(true);
  });

  it("gives up on a machine that takes too long, and lets go of it", async () => {
    const machine = new Machine({ fixedMs: 1, gbPerS: 1, gflops: 1 });
    machine.run = () => new Promise(() => {});
    await expect(measure(machine, graphs, () => machine.nowMs, 20)).rejects.toThrow("20 ms");
    expect(machine.isUnloaded).toBe(true);
  });
});

describe("the choice", () => {
  const shoal = { fixedMs: 0.5, gbPerS: 8, gflops: 30 };
  const gpu = { fixedMs: 6, gbPerS: 100, gflops: 2000 };
  const speeds = (entries: [ExecutorName, Speed][]): Map<ExecutorName, Speed> => new Map(entries);

  it("is what is faster for as many weights as are lent", () => {
    const both = speeds([
      ["shoal", shoal],
      ["ort-webgpu", gpu],
    ]);
    expect(choose(both, 16e6)).toBe("shoal");
    expect(choose(both, 512e6)).toBe("ort-webgpu");
    expect(stepMs(gpu, 500e6)).toBeCloseTo(11);
  });

  it("is our own executor where the GPU is slower, or nothing was measured", () => {
    const software = { fixedMs: 50, gbPerS: 0.5, gflops: 1 };
    expect(
      choose(
        speeds([
          ["shoal", shoal],
          ["ort-webgpu", software],
        ]),
        1e9,
      ),
    ).toBe("shoal");
    expect(choose(speeds([["shoal", shoal]]), 1e9)).toBe("shoal");
    expect(choose(speeds([]), 1e9)).toBe("shoal");
    expect(choose(speeds([["ort-webgpu", gpu]]), 1e9)).toBe("ort-webgpu");
  });
});
