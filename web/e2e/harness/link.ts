// An emulated network between a tab and the coordinator: `shoal link` in a process of its own.

import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

import { binary } from "./paths.ts";
import { withLimit } from "./wait.ts";

const startMs = 10_000;

export class Link {
  // What a tab opens in place of the coordinator's address.
  readonly url: string;
  readonly #process: ChildProcess;
  readonly #control: string;

  private constructor(process: ChildProcess, url: string, control: string) {
    this.#process = process;
    this.url = url;
    this.#control = control;
  }

  // `options` as in docs/links.md: "--delay", "20ms", ...
  static async start(target: string, ...options: string[]): Promise<Link> {
    const to = ["--to", new URL(target).host, "--control", "127.0.0.1:0"];
    const child = spawn(binary, ["link", ...to, ...options], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const listening = new Promise<[string, string]>((resolve, reject) => {
      let control = "";
      child.on("error", reject);
      child.on("exit", (code) => reject(new Error(`link ended with ${code}`)));
      createInterface({ input: child.stdout }).on("line", (line) => {
        control = /^control on (\S+)$/.exec(line)?.[1] ?? control;
        const match = /^listening on (\S+)$/.exec(line);
        if (match !== null) resolve([`http://${match[1]}`, control]);
      });
    });
    const [url, control] = await withLimit("the link", startMs, listening);
    return new Link(child, url, control);
  }

  // Nothing gets through until `heal`; connections stay open.
  cut(): Promise<void> {
    return this.#steer("cut");
  }
  heal(): Promise<void> {
    return this.#steer("heal");
  }
  // Resets every connection; new ones are let through.
  reset(): Promise<void> {
    return this.#steer("reset");
  }

  async #steer(what: string): Promise<void> {
    const response = await fetch(`${this.#control}/${what}`, { method: "POST" });
    if (!response.ok) throw new Error(await response.text());
  }

  stop(): void {
    this.#process.kill("SIGTERM");
  }
}
