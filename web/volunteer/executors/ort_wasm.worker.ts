// The executor worker of `ort-wasm`: owns one ONNX Runtime instance and runs one thing at a time.

import mjsUrl from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import wasmUrl from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";

import { serveCalls, type Port } from "../rpc.ts";
import type { ExecutorCalls } from "./calls.ts";
import type { OrtCpuExecutor } from "./ort_cpu.ts";
import { createOrtWasm } from "./ort_wasm.ts";

let executor: OrtCpuExecutor | undefined;

function loaded(): OrtCpuExecutor {
  if (executor === undefined) throw new Error("no stage loaded");
  return executor;
}

serveCalls<ExecutorCalls>(self as unknown as Port, {
  load: ({ stage, files, threads }) => {
    const absolute = (url: string): string => new URL(url, self.location.href).href;
    executor ??= createOrtWasm({
      wasmPaths: { mjs: absolute(mjsUrl), wasm: absolute(wasmUrl) },
      threads,
    });
    return executor.load(stage, files);
  },
  open: ({ kv, capacity }) => loaded().open(kv, capacity),
  run: async (request, transfer) => {
    const result = await loaded().run(request);
    for (const group of result.groups) if (group.ok) transfer.push(group.output.buffer);
    return result;
  },
  rollback: ({ kv, length }) => loaded().rollback(kv, length),
  release: ({ kv }) => loaded().release(kv),
  exportKv: async ({ kv, block, from, to }, transfer) => {
    const part = await loaded().exportKv(kv, block, from, to);
    transfer.push(part.keys.buffer, part.values.buffer);
    return part;
  },
  importKv: ({ kv, block, part }) => loaded().importKv(kv, block, part),
  copyKv: ({ from, to, positions }) => loaded().copyKv(from, to, positions),
});
