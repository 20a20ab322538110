// ONNX Runtime Web's WebAssembly build, CPU only. One per Worker: its heap never shrinks, so the
// Worker is replaced with the stage (remote.ts).

import * as ort from "onnxruntime-web/wasm";

import type { StageFiles } from "../executor.ts";
import { OrtCpuExecutor } from "./ort_cpu.ts";

export interface OrtWasmOptions {
  // Where ONNX Runtime's own files are; undefined: beside the module (node).
  wasmPaths?: { mjs: string; wasm: string };
  // More than one needs cross-origin isolation.
  threads: number;
}

export function createOrtWasm(options: OrtWasmOptions): OrtCpuExecutor {
  if (options.wasmPaths !== undefined) ort.env.wasm.wasmPaths = options.wasmPaths;
  ort.env.wasm.numThreads = options.threads;
  ort.env.wasm.proxy = false;
  ort.env.logLevel = "error";
  return new OrtCpuExecutor({
    createSession,
    Tensor: ort.Tensor,
    now: () => performance.now(),
  });
}

async function createSession({ graph, weights }: StageFiles): Promise<ort.InferenceSession> {
  const externalData: { path: string; data: Uint8Array }[] = [];
  for (const [path, blob] of weights) {
    externalData.push({ path, data: new Uint8Array(await blob.arrayBuffer()) });
  }
  const bytes = new Uint8Array(await graph.arrayBuffer());
  return await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], externalData });
}
