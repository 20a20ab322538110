// A thread of the engine: an instance of its module in a Worker of its own, on the memory of the
// main instance (src/wasm/worker_pool.h). It works while the main instance does, and never returns.

import type { Port } from "../rpc.ts";

// First message: instantiate, and answer "ready". Second message, whatever it is: work.
export interface ThreadStart {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  // Where this thread's stack begins; it grows down.
  stackTop: number;
}

interface ThreadExports {
  __stack_pointer: WebAssembly.Global;
  shoal_thread_work(): never;
  shoal_thread_broke(): void;
}

// Only the main instance loads weights.
const imports = { read_weight: (): number => 0 };

export function serveThread(port: Port): void {
  let exports: ThreadExports | undefined;
  port.addEventListener("message", ({ data }) => {
    if (exports === undefined) {
      const { module, memory, stackTop } = data as ThreadStart;
      const instance = new WebAssembly.Instance(module, { env: { memory }, shoal: imports });
      exports = instance.exports as unknown as ThreadExports;
      exports.__stack_pointer.value = stackTop;
      port.postMessage("ready", []);
      return;
    }
    try {
      exports.shoal_thread_work();
    } catch (thrown) {
      exports.shoal_thread_broke();
      throw thrown;
    }
  });
}
