// A coordinator in the test's hands: serves the built pages and the files of stages, speaks frames
// with real tabs, relays between them, and can say what a real one never would.

import { createHash } from "node:crypto";
import { createReadStream, existsSync, readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";

import type { Assign, Bodies, Core, Frame, FrameOf, Kind, StageFile } from "../../core/index.ts";
import { chunkBytes } from "../../volunteer/blobs.ts";
import { dist } from "./paths.ts";
import type { StageFolder } from "./shoal.ts";
import { until, withLimit } from "./wait.ts";

const frameMs = 60_000;

const contentTypes: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript",
  mjs: "text/javascript",
  css: "text/css",
  svg: "image/svg+xml",
  wasm: "application/wasm",
  onnx: "application/octet-stream",
};

// A tab, as the coordinator sees it.
export class FakeVolunteer {
  readonly node: number;
  readonly frames: Frame[] = [];
  readonly #socket: WebSocket;
  readonly #core: Core;
  // Looks for what somebody waits for; true when it was there.
  readonly #waiting = new Set<() => boolean>();

  constructor(node: number, socket: WebSocket, core: Core) {
    this.node = node;
    this.#socket = socket;
    this.#core = core;
  }

  send<K extends Kind>(kind: K, body: Bodies[K], from = 0): void {
    this.sendRaw(this.#core.encode({ kind, to: this.node, from, body } as Frame));
  }

  sendRaw(bytes: Uint8Array | string): void {
    this.#socket.send(bytes);
  }

  // Takes the first frame of a kind, waiting for it.
  async next<K extends Kind>(
    kind: K,
    fits: (frame: FrameOf<K>) => boolean = () => true,
  ): Promise<FrameOf<K>> {
    const isIt = (frame: Frame): frame is FrameOf<K> =>
      frame.kind === kind && fits(frame as FrameOf<K>);
    const arrived = new Promise<FrameOf<K>>((resolve) => {
      const look = (): boolean => {
        const index = this.frames.findIndex(isIt);
        if (index !== -1) resolve(this.frames.splice(index, 1)[0] as FrameOf<K>);
        return index !== -1;
      };
      if (!look()) this.#waiting.add(look);
    });
    return await withLimit(`a ${kind} frame from node ${this.node}`, frameMs, arrived);
  }

  arrive(frame: Frame): void {
    this.frames.push(frame);
    for (const look of this.#waiting) if (look()) this.#waiting.delete(look);
  }

  // Assigns, and waits until it is loaded. An error frame fails it.
  async hold(assign: Assign): Promise<void> {
    this.send("assign", assign);
    await until(`node ${this.node} to load`, frameMs, () => {
      const error = this.frames.find((frame) => frame.kind === "error");
      if (error !== undefined) throw new Error(JSON.stringify(error.body, (_, v) => String(v)));
      return this.frames.some((frame) => frame.kind === "ready" && frame.body.done);
    });
  }

  disconnect(): void {
    this.#socket.terminate();
  }
}

export class FakeCoordinator {
  readonly url: string;
  readonly core: Core;
  // By node number, from 1.
  readonly volunteers = new Map<number, FakeVolunteer>();
  readonly #server: Server;
  readonly #files = new Map<string, string>();
  // May damage the bytes of a blob on their way.
  damage: ((bytes: Buffer, path: string) => void) | undefined;
  // Ranges of blobs that were sent.
  readonly served: { path: string; from: number; bytes: number }[] = [];
  // Leaves requests for ranges without an answer.
  holdBack: ((from: number) => boolean) | undefined;
  heldBack = 0;

  private constructor(server: Server, core: Core) {
    this.#server = server;
    this.core = core;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(core: Core): Promise<FakeCoordinator> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const coordinator = new FakeCoordinator(server, core);
    server.on("request", (request, response) => coordinator.#serve(request, response));
    const sockets = new WebSocketServer({ server, path: "/volunteer" });
    sockets.on("connection", (socket) => coordinator.#join(socket));
    return coordinator;
  }

  // The assignment of a stage; its files are served from now on.
  assignment(stage: StageFolder, generation = 1): Assign {
    const { folder, first, last, hidden, vocab, positions, kv } = stage;
    return {
      generation,
      first,
      last,
      hidden,
      vocab,
      positions,
      max_rows: Math.min(128, positions),
      graph: this.#describe(`${folder}/${stage.graph}`),
      weights: stage.weights.map(({ location }) => this.#describe(`${folder}/${location}`)),
      kv,
      parts: [],
      experts: [],
    };
  }

  // Of a stage's files together.
  bytesOf(stage: StageFolder): number {
    const { graph, weights } = this.assignment(stage);
    return weights.reduce((sum, { bytes }) => sum + bytes, graph.bytes);
  }

  // The volunteer of the n-th tab that came, from 1, once it has sent its profile.
  async volunteer(node: number): Promise<FakeVolunteer> {
    const volunteer = await until(`node ${node}`, frameMs, () => this.volunteers.get(node));
    await volunteer.next("profile");
    return volunteer;
  }

  async stop(): Promise<void> {
    for (const volunteer of this.volunteers.values()) volunteer.disconnect();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #describe(path: string): StageFile {
    const bytes = readFileSync(path);
    const sha = (from: number, to: number): string =>
      createHash("sha256").update(bytes.subarray(from, to)).digest("hex");
    const location = sha(0, bytes.length);
    this.#files.set(location, path);
    const count = Math.ceil(bytes.length / chunkBytes);
    const chunks = Array.from({ length: count }, (_, i) =>
      sha(i * chunkBytes, (i + 1) * chunkBytes),
    );
    return { location, path: `/blobs/${location}`, bytes: bytes.length, chunks };
  }

  #join(socket: WebSocket): void {
    const volunteer = new FakeVolunteer(this.volunteers.size + 1, socket, this.core);
    this.volunteers.set(volunteer.node, volunteer);
    socket.binaryType = "arraybuffer";
    socket.on("message", (data) => {
      const bytes = new Uint8Array(data as ArrayBuffer);
      const frame = this.core.decode(bytes);
      volunteer.arrive(frame);
      if (frame.to !== 0) this.volunteers.get(frame.to)?.sendRaw(bytes);
      if (frame.kind === "ping" && !frame.body.reply) {
        volunteer.send("ping", { nonce: frame.body.nonce, reply: true });
      }
      if (frame.kind !== "hello") return;
      const hello = { version_min: 1, version_max: 1, node: volunteer.node, agent: "fake" };
      volunteer.send("hello", { ...hello, join_secret: "", resume_token: "" });
    });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url!, this.url);
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    if (pathname === "/status.json") {
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify({ ready: true, blocks: 0, volunteers: [] }));
      return;
    }
    const blob = this.#files.get(pathname.replace("/blobs/", ""));
    if (blob !== undefined) {
      this.#serveRange(blob, request, response);
      return;
    }
    const file = pathname.endsWith("/lend") ? `${pathname}/index.html` : pathname;
    const path = dist + (file === "/" ? "/index.html" : file);
    if (pathname.includes("..") || !existsSync(path) || !statSync(path).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.setHeader("Content-Type", contentTypes[path.split(".").pop()!]!);
    createReadStream(path).pipe(response);
  }

  #serveRange(path: string, request: IncomingMessage, response: ServerResponse): void {
    const bytes = readFileSync(path);
    this.damage?.(bytes, path);
    const [, from, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "")!;
    if (this.holdBack?.(Number(from)) === true) {
      ++this.heldBack;
      return;
    }
    const part = bytes.subarray(Number(from), Number(last) + 1);
    this.served.push({ path, from: Number(from), bytes: part.length });
    response.writeHead(206, {
      "Content-Range": `bytes ${from}-${last}/${bytes.length}`,
      "Content-Length": part.length,
    });
    response.end(part);
  }
}
