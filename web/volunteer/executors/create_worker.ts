// The Worker of an executor, by its name. Addresses and options are written out, since
// the bundler finds Workers by them.

import type { ExecutorName } from "../executor.ts";

export function createExecutorWorker(name: ExecutorName): Worker {
  switch (name) {
    case "shoal":
      return new Worker(new URL("./shoal.worker.ts", import.meta.url), {
        type: "module",
        name: "shoal executor",
      });
    case "ort-webgpu":
      return new Worker(new URL("./ort_webgpu.worker.ts", import.meta.url), {
        type: "module",
        name: "shoal executor",
      });
    case "ort-wasm":
      return new Worker(new URL("./ort_wasm.worker.ts", import.meta.url), {
        type: "module",
        name: "shoal executor",
      });
  }
}
