// The executor worker of `ort-webgpu`: owns one GPU device and one ONNX Runtime instance. Calls are
// answered one after the other (serveCalls): two runs at once would freeze the instance for good.
// When the device is lost the Worker fails, and its owner starts another: ONNX Runtime works on a
// new device only when nothing of the old one is left.

import type { InferenceSession, Tensor } from "onnxruntime-common";
import asyncifyMjsUrl from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url";
import asyncifyWasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url";
import jspiMjsUrl from "onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url";
import jspiWasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url";

import { ShoalError } from "../../core/index.ts";
import type { StageFiles } from "../executor.ts";
import { serveCalls, type Port } from "../rpc.ts";
import type { ExecutorCalls } from "./calls.ts";
import { GatedBlob, UploadGate } from "./gated_blob.ts";
import { openDevice } from "./gpu_device.ts";
import { OrtWebgpuExecutor } from "./ort_webgpu.ts";
import { WideBlob } from "./wide_blob.ts";
import { wideLocation, widenConstants } from "./wide_constants.ts";

// What the two builds have in common. Their types are those of onnxruntime-common.
interface Ort {
  env: { logLevel?: string; wasm: { wasmPaths?: unknown; numThreads?: number; proxy?: boolean } };
  InferenceSession: {
    create(model: Uint8Array, options: Record<string, unknown>): Promise<InferenceSession>;
  };
  Tensor: typeof Tensor;
}

// Where the browser can suspend WebAssembly, weights are streamed to the GPU as they are read.
const hasJspi = "Suspending" in WebAssembly;

// Of weights on their way to the GPU, which each take their bytes once more until they are there.
const uploadBytesMax = 16 * 1024 * 1024;

let executor: Promise<OrtWebgpuExecutor> | undefined;

async function loadOrt(threads: number): Promise<Ort> {
  const ort = (hasJspi
    ? await import("onnxruntime-web/jspi")
    : await import("onnxruntime-web/webgpu")) as unknown as Ort;
  const absolute = (url: string): string => new URL(url, self.location.href).href;
  ort.env.wasm.wasmPaths = hasJspi
    ? { mjs: absolute(jspiMjsUrl), wasm: absolute(jspiWasmUrl) }
    : { mjs: absolute(asyncifyMjsUrl), wasm: absolute(asyncifyWasmUrl) };
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.proxy = false;
  ort.env.logLevel = "error";
  return ort;
}

// Uncaught, so that the owner hears of it although nothing was asked.
function fail(detail: string): void {
  setTimeout(() => {
    throw new Error(detail);
  });
}

async function start(threads: number): Promise<OrtWebgpuExecutor> {
  const [ort, device] = await Promise.all([loadOrt(threads), openDevice(fail)]);
  const gate = new UploadGate(uploadBytesMax, () => device.queue.onSubmittedWorkDone());
  const createSession = async (
    { graph, weights }: StageFiles,
    onGpu: string[],
  ): Promise<InferenceSession> => {
    const model = new Uint8Array(await graph.arrayBuffer());
    const externalData: { path: string; data: Blob | Uint8Array }[] = [];
    for (const [path, blob] of weights) {
      if (hasJspi) {
        externalData.push({ path, data: new GatedBlob(blob, gate) });
        const data = new GatedBlob(new WideBlob(blob), gate);
        externalData.push({ path: wideLocation(path), data });
      } else {
        externalData.push({ path, data: new Uint8Array(await blob.arrayBuffer()) });
      }
    }
    return await ort.InferenceSession.create(hasJspi ? widenConstants(model) : model, {
      executionProviders: [{ name: "webgpu", device }],
      externalData,
      preferredOutputLocation: Object.fromEntries(onGpu.map((name) => [name, "gpu-buffer"])),
      // A node on the CPU would drag its inputs through memory at every step.
      extra: { session: { disable_cpu_ep_fallback: "1" } },
    });
  };
  return new OrtWebgpuExecutor({
    device,
    createSession,
    Tensor: ort.Tensor,
    now: () => performance.now(),
  });
}

async function loaded(): Promise<OrtWebgpuExecutor> {
  if (executor === undefined) throw new ShoalError("failed_precondition", "no stage loaded");
  return await executor;
}

serveCalls<ExecutorCalls>(self as unknown as Port, {
  load: async ({ stage, files, threads }) => {
    executor ??= start(threads);
    return await (await executor).load(stage, files);
  },
  open: async ({ kv, capacity }) => await (await loaded()).open(kv, capacity),
  run: async (request, transfer) => {
    const result = await (await loaded()).run(request);
    for (const group of result.groups) {
      if (!group.ok) continue;
      transfer.push(group.output.buffer);
      for (const { ids, logits } of group.largest ?? []) transfer.push(ids.buffer, logits.buffer);
    }
    return result;
  },
  rollback: async ({ kv, length }) => await (await loaded()).rollback(kv, length),
  release: async ({ kv }) => await (await loaded()).release(kv),
  exportKv: async ({ kv, block, from, to }, transfer) => {
    const part = await (await loaded()).exportKv(kv, block, from, to);
    transfer.push(part.keys.buffer, part.values.buffer);
    return part;
  },
  importKv: async ({ kv, block, part }) => await (await loaded()).importKv(kv, block, part),
  copyKv: async ({ from, to, positions }) => await (await loaded()).copyKv(from, to, positions),
});
