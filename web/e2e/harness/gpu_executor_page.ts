// What a test of the executor `ort-webgpu` runs in a page: the executor itself, without its Worker,
// with its runs counted.

import type { InferenceSession, Tensor } from "onnxruntime-common";
import wasmMjsUrl from "onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url";

import type { RowGroup, Stage } from "../../volunteer/executor.ts";
import { openDevice } from "../../volunteer/executors/gpu_device.ts";
import { OrtWebgpuExecutor } from "../../volunteer/executors/ort_webgpu.ts";

interface Ort {
  env: { logLevel?: string; wasm: { wasmPaths?: unknown; numThreads?: number } };
  InferenceSession: {
    create(model: Uint8Array, options: Record<string, unknown>): Promise<InferenceSession>;
  };
  Tensor: typeof Tensor;
}

export interface GpuExecutorPage {
  // Files of the stage lie in `folder` of the server. How often each of the sessions that this made
  // has run; the count of runs begins after it.
  load(stage: Stage, folder: string, graph: string, weights: string[]): Promise<number[]>;
  open(kv: number, capacity: number): Promise<void>;
  // Tokens in, each group's output out; rejects if one fails.
  run(groups: RowGroup[], tokens: number[]): Promise<number[][]>;
  rollback(kv: number, length: number): Promise<void>;
  release(kv: number): Promise<void>;
  keys(kv: number, block: number, to: number): Promise<number[]>;
  runs(): number;
}

let runs = 0;
let sessionRuns: number[] = [];
let executor: OrtWebgpuExecutor | undefined;

async function start(): Promise<OrtWebgpuExecutor> {
  const ort = (await import("onnxruntime-web/jspi")) as unknown as Ort;
  const absolute = (url: string): string => new URL(url, location.href).href;
  ort.env.wasm.wasmPaths = { mjs: absolute(wasmMjsUrl), wasm: absolute(wasmUrl) };
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  const device = await openDevice((detail) => {
    throw new Error(detail);
  });
  return new OrtWebgpuExecutor({
    device,
    Tensor: ort.Tensor,
    now: () => performance.now(),
    createSession: async ({ graph, weights }, onGpu) => {
      const session = await ort.InferenceSession.create(new Uint8Array(await graph.arrayBuffer()), {
        executionProviders: [{ name: "webgpu", device }],
        externalData: [...weights].map(([path, data]) => ({ path, data })),
        preferredOutputLocation: Object.fromEntries(onGpu.map((name) => [name, "gpu-buffer"])),
        extra: { session: { disable_cpu_ep_fallback: "1" } },
      });
      const run = session.run.bind(session) as (...given: unknown[]) => Promise<never>;
      const index = sessionRuns.push(0) - 1;
      session.run = (...given: unknown[]) => {
        ++runs;
        ++sessionRuns[index]!;
        return run(...given);
      };
      return session;
    },
  });
}

async function fetchBlob(url: string): Promise<Blob> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return await response.blob();
}

const page: GpuExecutorPage = {
  load: async (stage, folder, graph, weights) => {
    executor ??= await start();
    const blobs = weights.map(
      async (location) => [location, await fetchBlob(`${folder}/${location}`)] as const,
    );
    const files = {
      graph: await fetchBlob(`${folder}/${graph}`),
      weights: new Map(await Promise.all(blobs)),
    };
    sessionRuns = [];
    await executor.load(stage, files);
    runs = 0;
    return [...sessionRuns];
  },
  open: async (kv, capacity) => await executor!.open(kv, capacity),
  run: async (groups, tokens) => {
    const result = await executor!.run({ groups, input: Int32Array.from(tokens) });
    return result.groups.map((group) => {
      if (!group.ok) throw new Error(group.detail);
      return [...group.output];
    });
  },
  rollback: async (kv, length) => await executor!.rollback(kv, length),
  release: async (kv) => await executor!.release(kv),
  keys: async (kv, block, to) => [...(await executor!.exportKv(kv, block, 0, to)).keys],
  runs: () => runs,
};
Object.assign(globalThis, { gpuExecutor: page });
