// A TCP relay between a tab and the coordinator whose connections can be cut, and whose answers can
// be damaged.

import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

export class Proxy {
  readonly url: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;
  // While set, nobody gets through.
  blocked = false;
  // May change bytes on their way to the tab, in place.
  damage: ((bytes: Buffer) => void) | undefined;

  private constructor(server: Server, sockets: Set<Socket>) {
    this.#server = server;
    this.#sockets = sockets;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async start(target: string): Promise<Proxy> {
    const { hostname, port } = new URL(target);
    const sockets = new Set<Socket>();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const proxy = new Proxy(server, sockets);
    server.on("connection", (near) => {
      if (proxy.blocked) {
        near.destroy();
        return;
      }
      const far = connect(Number(port), hostname);
      for (const [from, to] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(from);
        from.on("data", (bytes) => {
          if (from === far) proxy.damage?.(bytes);
          to.write(bytes);
        });
        from.on("error", () => to.destroy());
        from.on("close", () => {
          sockets.delete(from);
          to.destroy();
        });
      }
    });
    return proxy;
  }

  // Resets every connection there is.
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    this.blocked = true;
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
