// The further threads of an engine instance, as its owner sees them.

import type { ThreadStart } from "./shoal_thread.ts";

// What this module needs of a Worker.
export interface ThreadWorker {
  postMessage(message: unknown): void;
  terminate(): unknown;
  addEventListener(type: "message" | "error", listener: (event: Event) => void): void;
}

export type CreateThread = () => ThreadWorker;

// Starts a Worker for each stack, and gives those that came up: the engine works with any number.
export async function startThreads(
  create: CreateThread,
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  stackTops: readonly number[],
): Promise<ThreadWorker[]> {
  const ready: ThreadWorker[] = [];
  await Promise.all(
    stackTops.map(async (stackTop) => {
      let worker: ThreadWorker | undefined;
      try {
        worker = create();
        await untilReady(worker, { module, memory, stackTop });
        ready.push(worker);
      } catch {
        worker?.terminate();
      }
    }),
  );
  for (const worker of ready) worker.postMessage("work");
  return ready;
}

async function untilReady(worker: ThreadWorker, start: ThreadStart): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    worker.addEventListener("message", () => resolve());
    worker.addEventListener("error", (event) => {
      event.preventDefault();
      reject(new Error("a thread of the engine did not start"));
    });
    worker.postMessage(start);
  });
}
