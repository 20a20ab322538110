// How fast this machine runs stages on an executor: two stages of real layers, of one layer and of
// four, tell what a step costs besides the work and what the work costs.
//
// The graphs are `shoal stage PACK 1 2` and `1 5` of a q4 pack of a Llama of 1,024 wide layers
// (docs/webgpu.md says how they are made). Their weights are made up: what they say does not
// matter, and all layers read the same bytes.

import type { Executor, ExecutorName, Stage } from "../executor.ts";

// As the swarm's model of a volunteer has it (protocol.md, Measure).
export interface Speed {
  fixedMs: number;
  gbPerS: number;
  gflops: number;
}

const hidden = 1024;
const positions = 128;
const prefillRows = 64;
const steps = 7;
const layerBytes = 7_577_600;
// Two operations for each of a layer's weights, and row.
const layerFlops = 2 * 12_058_624;
const rotaryBytes = 2 * positions * 32 * 4;
// 1.06 as a float16 scale, 0.01 as a float32, and codes of either sign.
const fillByte = 0x3c;

const layers = [
  "37260ac60287be12f4a5f10fcc70e925c885a0a06cb551b059c46ab3b708ccbf",
  "596543481396cc807bb74b31b9d20a8d465e965f33bc997dbbe6f3fe2645ff7f",
  "6e07bc1cc918ab308b7a04210e83a884df3ef53b8fb3fbc2d1144c3ebe6fa1c5",
  "bc52b83e54b8fac4076309ea5090c0dc1f33f2ceaedb56346209c2c4c710ab0b",
];
const rotary = "d3f726c4019e5e562aee03cab27f8fcfb42dca79dd04823d6f695781d98fb353";

export interface ProbeGraphs {
  oneLayer: Blob;
  fourLayers: Blob;
}

export async function fetchGraphs(): Promise<ProbeGraphs> {
  const get = async (url: URL): Promise<Blob> => await (await fetch(url)).blob();
  const [oneLayer, fourLayers] = await Promise.all([
    get(new URL("./one_layer.onnx", import.meta.url)),
    get(new URL("./four_layers.onnx", import.meta.url)),
  ]);
  return { oneLayer, fourLayers };
}

const median = (values: number[]): number => values.sort((a, b) => a - b)[values.length >> 1]!;

class Timed {
  readonly #executor: Executor;
  readonly #now: () => number;

  constructor(executor: Executor, now: () => number) {
    this.#executor = executor;
    this.#now = now;
  }

  async load(graph: Blob, count: number): Promise<void> {
    const kv = layers.slice(0, count).map((_, i) => ({ block: i + 1, heads: 4, head_size: 64 }));
    const shape = { first: 1, last: count + 1, hidden, vocab: 8192 };
    const stage: Stage = { ...shape, maxRows: prefillRows, positions, kv };
    const bytes = new Blob([new Uint8Array(layerBytes).fill(fillByte)]);
    const weights = new Map(layers.slice(0, count).map((location) => [location, bytes]));
    weights.set(rotary, new Blob([new Uint8Array(rotaryBytes).fill(fillByte)]));
    await this.#executor.load(stage, { graph, weights });
    await this.#executor.open(1, positions);
  }

  // Of several runs of so many rows.
  async ms(rows: number, runs: number): Promise<number> {
    const taken: number[] = [];
    for (let run = 0; run < runs; ++run) {
      const input = Float32Array.from({ length: rows * hidden }, (_, i) => Math.sin(i));
      const groups = [{ kv: 1, position: 0, rows, logitRows: [] }];
      const start = this.#now();
      const result = await this.#executor.run({ groups, input });
      taken.push(this.#now() - start);
      const group = result.groups[0]!;
      if (!group.ok) throw new Error(group.detail);
      await this.#executor.rollback(1, 0);
    }
    return median(taken);
  }
}

// Leaves the executor without a stage. Rejects when it cannot run the stages, or not within
// `limitMs`.
export async function measure(
  executor: Executor,
  graphs: ProbeGraphs,
  now: () => number,
  limitMs: number,
): Promise<Speed> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no result within ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([measureUnlimited(executor, graphs, now), late]);
  } finally {
    clearTimeout(timer);
    await executor.unload();
  }
}

async function measureUnlimited(
  executor: Executor,
  graphs: ProbeGraphs,
  now: () => number,
): Promise<Speed> {
  const timed = new Timed(executor, now);
  await timed.load(graphs.oneLayer, 1);
  const one = await timed.ms(1, steps);
  await timed.load(graphs.fourLayers, 4);
  const four = await timed.ms(1, steps);
  const prefill = await timed.ms(prefillRows, 2);
  // A clock may be as coarse as 0.1 ms, and noise may turn the order around.
  const layerMs = Math.max((four - one) / 3, four / 40, 0.01);
  const fixedMs = Math.max(one - layerMs, 0.01);
  return {
    fixedMs,
    gbPerS: layerBytes / layerMs / 1e6,
    gflops: (4 * prefillRows * layerFlops) / Math.max(prefill - fixedMs, 0.01) / 1e6,
  };
}

// What a decode step over so many bytes of weights is expected to take.
export function stepMs(speed: Speed, weightBytes: number): number {
  return speed.fixedMs + weightBytes / (speed.gbPerS * 1e6);
}

// The executor of a tab that may hold so many bytes: our own, unless the GPU is faster. Neither was
// measured: our own.
export function choose(
  speeds: ReadonlyMap<ExecutorName, Speed>,
  weightBytes: number,
): ExecutorName {
  const [shoal, webgpu] = [speeds.get("shoal"), speeds.get("ort-webgpu")];
  if (webgpu === undefined) return "shoal";
  if (shoal === undefined) return "ort-webgpu";
  return stepMs(webgpu, weightBytes) < stepMs(shoal, weightBytes) ? "ort-webgpu" : "shoal";
}
