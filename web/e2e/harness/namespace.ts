// A network of its own: a namespace with one address, joined to this machine by a pair of virtual
// interfaces. To a browser outside, what listens there is on another machine: not on loopback.

import { execFileSync } from "node:child_process";

const binary = "/usr/sbin/ip";

function ip(...args: string[]): void {
  execFileSync(binary, args, { stdio: "pipe" });
}

export class Namespace {
  // Inside it.
  readonly address: string;
  readonly #name: string;

  private constructor(name: string, address: string) {
    this.#name = name;
    this.address = address;
  }

  // Why none can be made here; undefined where it can.
  static whyNot(): string | undefined {
    if (process.getuid?.() !== 0) return "making a network namespace needs root";
    const name = `shoal-probe-${process.pid}`;
    try {
      ip("netns", "add", name);
      ip("netns", "delete", name);
      return undefined;
    } catch (thrown) {
      return `no network namespace can be made: ${String(thrown)}`;
    }
  }

  static open(): Namespace {
    const name = `shoal-${process.pid}`;
    const net = `10.231.${process.pid % 256}`;
    const [here, there] = [`sh${process.pid % 1e6}a`, `sh${process.pid % 1e6}b`];
    ip("netns", "add", name);
    const namespace = new Namespace(name, `${net}.2`);
    try {
      ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name);
      ip("address", "add", `${net}.1/30`, "dev", here);
      ip("link", "set", here, "up");
      for (const args of [
        ["address", "add", `${net}.2/30`, "dev", there],
        ["link", "set", there, "up"],
        ["link", "set", "lo", "up"],
      ]) {
        ip("-n", name, ...args);
      }
    } catch (thrown) {
      namespace.close();
      throw thrown;
    }
    return namespace;
  }

  // What runs a program inside.
  get wrapper(): string[] {
    return [binary, "netns", "exec", this.#name];
  }

  // The interfaces go with it.
  close(): void {
    ip("netns", "delete", this.#name);
  }
}
