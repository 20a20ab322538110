// The node worker: owns the socket, the wire codec and the sessions of one volunteer; its executor
// runs in a Worker below it.

import { loadCore, type Core } from "../core/index.ts";
import { HttpBlobs, MemoryBlobs, type BlobSource } from "./blobs.ts";
import { CachedBlobs } from "./cache/cached_blobs.ts";
import { LockLeases } from "./cache/leases.ts";
import { defaultBytesMax, openStore } from "./cache/storage.ts";
import { createExecutorWorker } from "./executors/create_worker.ts";
import { RemoteExecutor } from "./executors/remote.ts";
import { DataMeter, Pacer } from "./limits.ts";
import type { Socket, SocketHandlers } from "./link.ts";
import type { PageToNode, VolunteerEvent, VolunteerOptions } from "./messages.ts";
import { VolunteerNode } from "./node.ts";
import { chooseExecutor, type Machine } from "./probe/choose_executor.ts";

const dataEveryMs = 500;

// A volunteer and what keeps it to its owner's limits.
interface Started {
  node: VolunteerNode;
  pacer: Pacer;
  meter: DataMeter;
}

let started: Promise<Started> | undefined;

function emit(event: VolunteerEvent): void {
  self.postMessage(event);
}

async function start(options: VolunteerOptions, platform: string): Promise<Started> {
  const core = await loadCore(new URL("../core/shoal_core.wasm", import.meta.url));
  const pacer = new Pacer(options.timeShare ?? 1, () => performance.now(), (ms) => sleep(ms));
  const meter = new DataMeter(options.dataBytesLeft ?? Infinity, () => {
    const detail = "the data that may be used today is used up";
    emit({ kind: "data", bytes: meter.used, isSpent: true });
    emit({ kind: "problem", code: "resource_exhausted", detail });
    void node.stop(detail);
  });
  const machine = await chooseExecutor(
    options.executor,
    options.memoryBytes,
    options.threads ?? 1,
    ({ code, detail }) => emit({ kind: "problem", code, detail }),
  );
  const { executor, tried } = machine;
  emit({ kind: "executor", executor, memoryBytes: options.memoryBytes, tried });
  const parts = { options, platform, core, pacer, meter, machine };
  const node = build(parts, await openBlobs(options, meter));
  setInterval(() => emit({ kind: "data", bytes: meter.used, isSpent: false }), dataEveryMs);
  return { node, pacer, meter };
}

// Past the browser's storage where there is one.
async function openBlobs(
  { url, cacheBytes }: VolunteerOptions,
  meter: DataMeter,
): Promise<BlobSource> {
  const origin = new HttpBlobs({
    origin: new URL(url).href,
    fetch: meter.fetch((input, init) => fetch(input, init)),
    sleep,
  });
  const store = await openStore();
  if (store === undefined) return origin;
  return new CachedBlobs({
    store,
    origin,
    leases: new LockLeases(navigator.locks),
    bytesMax: cacheBytes ?? (await defaultBytesMax()),
    onProblem: ({ code, detail }) => emit({ kind: "problem", code, detail }),
  });
}

interface Parts {
  options: VolunteerOptions;
  platform: string;
  core: Core;
  pacer: Pacer;
  meter: DataMeter;
  machine: Machine;
}

function build(parts: Parts, files: BlobSource): VolunteerNode {
  const { options, platform, core, pacer, meter, machine } = parts;
  const origin = new URL(options.url);
  const socketUrl = new URL("/volunteer", origin);
  socketUrl.protocol = origin.protocol === "https:" ? "wss:" : "ws:";
  const newExecutor = (): RemoteExecutor =>
    new RemoteExecutor({
      createWorker: () => createExecutorWorker(machine.executor),
      threads: options.threads ?? 1,
      onDeath: (error) => node.onExecutorDeath(error),
    });
  const node = new VolunteerNode({
    options: { ...options, executor: machine.executor },
    measures: machine.measures,
    agent: `shoal ${core.version} (web)`,
    platform,
    core,
    executor: newExecutor(),
    newExecutor,
    blobs: new MemoryBlobs(files),
    openSocket: meter.socket((handlers) => openSocket(socketUrl, handlers)),
    emit,
    now: () => performance.now(),
    random: () => Math.random(),
    rest: (busyMs) => pacer.rest(busyMs),
  });
  return node;
}

function openSocket(url: URL, handlers: SocketHandlers): Socket {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => handlers.onOpen();
  socket.onmessage = (event) => handlers.onMessage(event.data);
  socket.onclose = (event) => handlers.onClose(event.code, event.reason);
  return socket;
}

function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      },
      { once: true },
    );
  });
}

self.addEventListener("message", (event: MessageEvent<PageToNode>) => {
  const message = event.data;
  switch (message.kind) {
    case "start":
      if (started !== undefined) return;
      started = start(message.options, message.platform);
      started.catch((thrown: unknown) => {
        const detail = `the core did not load: ${String(thrown)}`;
        emit({ kind: "state", state: "refused", node: 0, detail });
      });
      return;
    case "limits":
      void started?.then(({ pacer, meter }) => {
        pacer.share = message.timeShare;
        meter.left = message.dataBytesLeft;
      });
      return;
    case "stop":
      void started?.then(({ node }) => node.stop(message.reason));
      return;
  }
});
