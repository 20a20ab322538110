// A thread of the engine in node, where a Worker has another face.

import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { transformWithOxc } from "vite";

import type { CreateThread } from "../executors/shoal_threads.ts";

const source = new URL("../executors/shoal_thread.ts", import.meta.url);
const tail = `
import { parentPort } from "node:worker_threads";
serveThread({
  postMessage: (message) => parentPort.postMessage(message),
  addEventListener: (_, listener) => parentPort.on("message", (data) => listener({ data })),
});`;

export async function nodeThreads(): Promise<CreateThread> {
  const { code } = await transformWithOxc(readFileSync(source, "utf8"), "shoal_thread.ts");
  const script = new URL(`data:text/javascript,${encodeURIComponent(code + tail)}`);
  return () => {
    const worker = new Worker(script);
    return {
      postMessage: (message) => worker.postMessage(message),
      terminate: () => worker.terminate(),
      addEventListener: (type, listener) => worker.on(type, listener),
    };
  };
}
