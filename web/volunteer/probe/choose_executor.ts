// Measures this machine in its Workers and says what it shall run stages on.

import { ShoalError, type Measure } from "../../core/index.ts";
import type { ExecutorName } from "../executor.ts";
import { createExecutorWorker } from "../executors/create_worker.ts";
import { findAdapter, runsF16 } from "../executors/gpu_device.ts";
import { RemoteExecutor } from "../executors/remote.ts";
import type { Tried } from "../messages.ts";
import { choose, fetchGraphs, measure, stepMs, type Speed } from "./probe.ts";

// A GPU that takes longer for a few layers is of no use here.
const limitMs = 20_000;

export interface Machine {
  executor: ExecutorName;
  measures: Measure[];
  // In the order in which they were measured; none where an executor was asked for.
  tried: Tried[];
}

async function speedOf(
  name: ExecutorName,
  threads: number,
  graphs: Awaited<ReturnType<typeof fetchGraphs>>,
): Promise<Speed> {
  const executor = new RemoteExecutor({
    createWorker: () => createExecutorWorker(name),
    threads,
    onDeath: () => {},
  });
  return await measure(executor, graphs, () => performance.now(), limitMs);
}

function toMeasures({ fixedMs, gbPerS, gflops }: Speed): Measure[] {
  return [
    { name: "probe.fixed_ms", value: fixedMs },
    { name: "probe.gb_per_s", value: gbPerS },
    { name: "probe.gflops", value: gflops },
  ];
}

// `wanted` is taken as it is and not measured; otherwise the fastest for `memoryBytes` of weights.
// `onProblem` hears of executors that could not be measured.
export async function chooseExecutor(
  wanted: ExecutorName | undefined,
  memoryBytes: number,
  threads: number,
  onProblem: (error: ShoalError) => void,
): Promise<Machine> {
  const adapter = await findAdapter().catch(() => undefined);
  const f16 = adapter !== undefined && runsF16(adapter);
  const ofGpu = f16 ? [{ name: "activations.f16", value: 1 }] : [];
  if (wanted !== undefined) {
    return { executor: wanted, measures: wanted === "ort-webgpu" ? ofGpu : [], tried: [] };
  }
  const speeds = new Map<ExecutorName, Speed>();
  const tried: Tried[] = [];
  const candidates: ExecutorName[] = adapter === undefined ? ["shoal"] : ["shoal", "ort-webgpu"];
  // One after the other, so that they do not slow each other.
  for (const name of candidates) {
    try {
      const speed = await speedOf(name, threads, await fetchGraphs());
      speeds.set(name, speed);
      tried.push({ executor: name, stepMs: stepMs(speed, memoryBytes), problem: "" });
    } catch (thrown) {
      const { code, detail } = ShoalError.from(thrown, "unavailable");
      tried.push({ executor: name, stepMs: undefined, problem: detail });
      onProblem(new ShoalError(code, `${name} could not be measured: ${detail}`));
    }
  }
  const executor = choose(speeds, memoryBytes);
  const speed = speeds.get(executor);
  const measures = speed === undefined ? [] : toMeasures(speed);
  const all = executor === "ort-webgpu" ? [...measures, ...ofGpu] : measures;
  return { executor, measures: all, tried };
}
