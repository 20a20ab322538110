// A volunteer of the test's own, at a real coordinator: says what it is told to.

import { WebSocket } from "ws";

import type { Bodies, Core, Frame, FrameOf, Kind } from "../../core/index.ts";
import { until } from "./wait.ts";

const frameMs = 30_000;

export class Liar {
  readonly frames: Frame[] = [];
  node = 0;
  isClosed = false;
  // Called with every frame that comes.
  onFrame: (frame: Frame) => void = () => {};
  readonly #socket: WebSocket;
  readonly #core: Core;

  private constructor(socket: WebSocket, core: Core) {
    this.#socket = socket;
    this.#core = core;
    socket.binaryType = "arraybuffer";
    socket.on("close", () => (this.isClosed = true));
    // Being cut off is what happens to liars; `isClosed` tells.
    socket.on("error", () => {});
    socket.on("message", (data) => {
      const frame = core.decode(new Uint8Array(data as ArrayBuffer));
      this.frames.push(frame);
      if (frame.kind === "hello") this.node = frame.body.node;
      if (frame.kind === "ping" && !frame.body.reply) {
        this.send("ping", { nonce: frame.body.nonce, reply: true });
      }
      this.onFrame(frame);
    });
  }

  static async connect(url: string, core: Core): Promise<Liar> {
    const socket = new WebSocket(`${url.replace("http", "ws")}/volunteer`);
    const liar = new Liar(socket, core);
    await new Promise((resolve, reject) => {
      socket.once("open", resolve);
      socket.once("error", reject);
    });
    return liar;
  }

  // Becomes a member of the swarm.
  async join(memoryBytes: number): Promise<void> {
    const who = { agent: "liar", join_secret: "", resume_token: "" };
    this.send("hello", { version_min: 1, version_max: 1, node: 0, ...who });
    await this.next("hello");
    this.send("profile", {
      executor: "ort-wasm",
      memory_bytes: memoryBytes,
      threads: 1,
      platform: "test",
      measures: [],
      cached: [],
    });
  }

  send<K extends Kind>(kind: K, body: Bodies[K], to = 0): void {
    this.sendRaw(this.#core.encode({ kind, to, from: this.node, body } as Frame));
  }

  sendRaw(data: Uint8Array | string): void {
    this.#socket.send(data);
  }

  async next<K extends Kind>(kind: K): Promise<FrameOf<K>> {
    return await until(`a ${kind} frame`, frameMs, () => {
      const index = this.frames.findIndex((frame) => frame.kind === kind);
      return index === -1 ? undefined : (this.frames.splice(index, 1)[0] as FrameOf<K>);
    });
  }

  async untilClosed(): Promise<void> {
    await until("the coordinator to hang up", frameMs, () => this.isClosed);
  }

  close(): void {
    this.#socket.terminate();
  }
}
