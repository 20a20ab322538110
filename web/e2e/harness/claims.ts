// A way to the coordinator on which volunteers' profiles say what the test wants them to have
// measured of themselves.

import { createServer, request, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";

import type { Core, Measure } from "../../core/index.ts";

export class Claims {
  readonly url: string;
  readonly #server: Server;
  readonly #sockets: WebSocketServer;

  private constructor(server: Server, sockets: WebSocketServer) {
    this.#server = server;
    this.#sockets = sockets;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(target: string, core: Core, measures: Measure[]): Promise<Claims> {
    const { host, hostname, port } = new URL(target);
    const server = createServer((incoming, answer) => {
      const { url: path, method, headers } = incoming;
      const about = { hostname, port, path, method, headers: { ...headers, host } };
      const outgoing = request(about, (response) => {
        answer.writeHead(response.statusCode!, response.headers);
        response.pipe(answer);
      });
      outgoing.on("error", () => answer.destroy());
      incoming.pipe(outgoing);
    });
    const sockets = new WebSocketServer({ noServer: true });
    server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
      sockets.handleUpgrade(incoming, socket, head, (near) => {
        relay(near, new WebSocket(`ws://${host}${incoming.url}`), core, measures);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return new Claims(server, sockets);
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function relay(near: WebSocket, far: WebSocket, core: Core, measures: Measure[]): void {
  const opened = new Promise<void>((resolve) => far.once("open", resolve));
  near.on("message", (data) => {
    const bytes = new Uint8Array(data as Buffer);
    const frame = core.decode(bytes);
    if (frame.kind === "profile") frame.body.measures = measures;
    const passed = frame.kind === "profile" ? core.encode(frame) : bytes;
    void opened.then(() => far.send(passed));
  });
  far.on("message", (data) => near.send(data as Buffer));
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    from.on("close", () => to.close());
    from.on("error", () => to.terminate());
  }
}
