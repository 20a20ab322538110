// The executor worker of `shoal`: owns one engine instance and runs one thing at a time.

import plainUrl from "../../core/shoal_engine.wasm?url";
import relaxedUrl from "../../core/shoal_engine_relaxed.wasm?url";
import relaxedThreadsUrl from "../../core/shoal_engine_relaxed_threads.wasm?url";
import threadsUrl from "../../core/shoal_engine_threads.wasm?url";

import { openChunks } from "../cache/opfs_store.ts";
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
async function compileEngine(relaxed: string, plain: string): Promise<WebAssembly.Module> {
  const bytes = await fetchBytes(relaxed);
  return await WebAssembly.compile(
    WebAssembly.validate(bytes) ? bytes : await fetchBytes(plain),
  );
}

// Without isolation no memory is shared: one thread then, whatever was asked for.
async function startExecutor(threads: number): Promise<ShoalExecutor> {
  const runtime = {
    readBlob,
    openChunks,
    now: () => performance.now(),
  };
  if (threads <= 1 || !self.crossOriginIsolated) {
    return new ShoalExecutor({ ...runtime, module: await compileEngine(relaxedUrl, plainUrl) });
  }
  return new ShoalExecutor({
    ...runtime,
    module: await compileEngine(relaxedThreadsUrl, threadsUrl),
    threads: { count: threads, create: createThread },
  });
}

function createThread(): Worker {
  return new Worker(new URL("./shoal_thread.worker.ts", import.meta.url), {
    type: "module",
    name: "shoal engine thread",
  });
}

// Of dedicated workers; the page's types lack it.
declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer;
}
const reader = new FileReaderSync();

function readBlob(blob: Blob, offset: number, target: Uint8Array): void {
  const bytes = reader.readAsArrayBuffer(blob.slice(offset, offset + target.length));
  target.set(new Uint8Array(bytes));
  // Freed now, where browsers know how: a stage is read faster than they collect.
  (bytes as ArrayBuffer & { transfer?(length: number): ArrayBuffer }).transfer?.(0);
}

serveCalls<ExecutorCalls>(self as unknown as Port, {
  load: async ({ stage, files, threads }) => {
    executor ??= await startExecutor(threads);
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
