// The executor worker of `shoal`: owns one engine instance and runs one thing at a time.

import plainUrl from "../../core/shoal_engine.wasm?url";
import relaxedUrl from "../../core/shoal_engine_relaxed.wasm?url";

import { serveCalls, type Port } from "../rpc.ts";
import type { ExecutorCalls } from "./calls.ts";
import { ShoalExecutor } from "./shoal.ts";

let executor: ShoalExecutor | undefined;

function loaded(): ShoalExecutor {
  if (executor === undefined) throw new Error("no stage loaded");
  return executor;
}

async function fetchBytes(url: string): Promise<ArrayBuffer> {
  const response = await fetch(new URL(url, self.location.href));
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`);
  return await response.arrayBuffer();
}

// The module with relaxed SIMD where the browser knows its instructions.
async function compileEngine(): Promise<WebAssembly.Module> {
  const relaxed = await fetchBytes(relaxedUrl);
  const bytes = WebAssembly.validate(relaxed) ? relaxed : await fetchBytes(plainUrl);
  return await WebAssembly.compile(bytes);
}

// Of dedicated workers; the page's types lack it.
declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}
const reader = new FileReaderSync();

serveCalls<ExecutorCalls>(self as unknown as Port, {
  load: async ({ stage, files }) => {
    executor ??= new ShoalExecutor({
      module: await compileEngine(),
      readBlob: (blob, from, to) => new Uint8Array(reader.readAsArrayBuffer(blob.slice(from, to))),
      now: () => performance.now(),
    });
    return await executor.load(stage, files);
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
