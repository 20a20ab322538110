// A volunteer's node on a bench: its socket, executor and files are in the test's hands.

import { createHash } from "node:crypto";

import type { Assign, Bodies, Core, Frame, FrameOf, Kind, StageFile } from "../../core/index.ts";
import { MemoryBlobs, type BlobSource } from "../blobs.ts";
import type { Socket, SocketHandlers } from "../link.ts";
import type { VolunteerEvent, ChosenOptions, VolunteerState } from "../messages.ts";
import { VolunteerNode } from "../node.ts";
import { FakeExecutor } from "./fake_executor.ts";

export const benchNode = 5;

class BenchSocket implements Socket {
  readonly bufferedAmount = 0;
  readonly handlers: SocketHandlers;
  readonly #onBytes: (bytes: Uint8Array) => void;
  isClosed = false;

  constructor(handlers: SocketHandlers, onBytes: (bytes: Uint8Array) => void) {
    this.handlers = handlers;
    this.#onBytes = onBytes;
  }

  send(bytes: Uint8Array<ArrayBuffer>): void {
    if (!this.isClosed) this.#onBytes(bytes);
  }

  close(): void {
    this.isClosed = true;
  }
}

export class Bench {
  readonly core: Core;
  readonly executor = new FakeExecutor(9);
  readonly sockets: BenchSocket[] = [];
  // What the volunteer sent and told.
  readonly frames: Frame[] = [];
  readonly events: VolunteerEvent[] = [];
  readonly fetched: string[] = [];
  // Answers fetches; rejects to fail them.
  fetchFile: (file: StageFile, signal: AbortSignal) => Promise<Blob> = async ({ bytes }) =>
    new Blob([new Uint8Array(bytes)]);
  readonly node: VolunteerNode;
  nowMs = 0;

  constructor(core: Core, options: Partial<ChosenOptions> = {}) {
    this.core = core;
    const origin: BlobSource = {
      fetch: async (file, signal, onBytes) => {
        this.fetched.push(file.path);
        const blob = await this.fetchFile(file, signal);
        onBytes(file.bytes, file.bytes);
        return blob;
      },
    };
    this.node = new VolunteerNode({
      options: { url: "http://x", executor: "ort-wasm", memoryBytes: 1 << 20, ...options },
      agent: "bench",
      platform: "node",
      core,
      executor: this.executor,
      newExecutor: () => new FakeExecutor(9),
      blobs: new MemoryBlobs(origin),
      measures: [],
      openSocket: (handlers) => {
        const socket = new BenchSocket(handlers, (bytes) => this.frames.push(core.decode(bytes)));
        this.sockets.push(socket);
        return socket;
      },
      emit: (event) => this.events.push(event),
      now: () => this.nowMs,
      random: () => 0.5,
    });
  }

  get socket(): BenchSocket {
    return this.sockets.at(-1)!;
  }

  get state(): VolunteerState | undefined {
    for (const event of this.events.toReversed()) if (event.kind === "state") return event.state;
    return undefined;
  }

  // From the coordinator, or relayed from `from`.
  send<K extends Kind>(kind: K, body: Bodies[K], from = 0, to = benchNode): void {
    this.sendRaw(this.core.encode({ kind, to, from, body } as Frame));
  }

  sendRaw(bytes: Uint8Array<ArrayBuffer>): void {
    this.socket.handlers.onMessage(bytes.slice().buffer);
  }

  // Takes the frames of one kind that have been sent since the last call.
  take<K extends Kind>(kind: K): FrameOf<K>[] {
    const taken = this.frames.filter((frame): frame is FrameOf<K> => frame.kind === kind);
    for (const frame of taken) this.frames.splice(this.frames.indexOf(frame), 1);
    return taken;
  }

  // "code session epoch generation" of the error frames since the last call.
  takeErrors(): string[] {
    return this.take("error").map(
      ({ body: { code, session, epoch, generation } }) =>
        `${code} ${session} ${epoch} ${generation}`,
    );
  }

  // Lets everything happen that needs no time.
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; ++turn) await new Promise((resolve) => setImmediate(resolve));
  }

  welcome(node = benchNode, resumeToken = ""): void {
    this.socket.handlers.onOpen();
    this.send(
      "hello",
      {
        version_min: 1,
        version_max: 1,
        node,
        agent: "test",
        join_secret: "",
        resume_token: resumeToken,
      },
      0,
      node,
    );
  }

  // Connects, and holds blocks [first, last) of a model with blocks 0 to 9.
  async hold(first: number, last: number, change: Partial<Assign> = {}): Promise<void> {
    this.welcome();
    this.send("assign", assignment(first, last, change));
    await this.settle();
  }
}

// A file with the bytes that the bench serves.
export function benchFile(bytes: number): StageFile {
  const sha = createHash("sha256").update(new Uint8Array(bytes)).digest("hex");
  return { location: sha, path: `/blobs/${bytes}`, bytes, chunks: [sha] };
}

export function assignment(first: number, last: number, change: Partial<Assign> = {}): Assign {
  const layers = Array.from({ length: last - first }, (_, i) => first + i);
  return {
    generation: 1,
    first,
    last,
    hidden: 4,
    vocab: 100,
    positions: 16,
    max_rows: 8,
    graph: benchFile(100 * last + first + 1),
    weights: [benchFile(5000 + first), benchFile(6000 + first)],
    kv: layers
      .filter((block) => block >= 1 && block <= 8)
      .map((block) => ({ block, heads: 1, head_size: 2 })),
    parts: [],
    experts: [],
    ...change,
  };
}
