// `shoal join` in a process of its own.

import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";

import { binary } from "./paths.ts";
import { until, withLimit } from "./wait.ts";

const saidMs = 60_000;
const stopMs = 20_000;

export class Joiner {
  readonly #process: ChildProcess;
  readonly #exited: Promise<number | null>;
  // Lines of stdout, and what came on stderr.
  readonly said: string[] = [];
  #log = "";

  private constructor(process: ChildProcess) {
    this.#process = process;
    process.stderr!.setEncoding("utf8").on("data", (text: string) => (this.#log += text));
    createInterface({ input: process.stdout! }).on("line", (line) => this.said.push(line));
    this.#exited = new Promise((resolve) => process.once("close", (code) => resolve(code)));
  }

  // `cache`: the folder of what it fetches.
  static start(url: string, cache: string, args: string[] = [], env = {}): Joiner {
    const all = ["join", url, "--cache", cache, "--memory", "512M", "--threads", "2", ...args];
    return new Joiner(spawn(binary, all, { env: { ...process.env, ...env } }));
  }

  get log(): string {
    return this.#log;
  }

  // The first line that matches, once it has been written.
  async untilSaid(pattern: RegExp): Promise<RegExpExecArray> {
    try {
      return await until(`a line like ${pattern}`, saidMs, () => {
        for (const line of this.said) {
          const match = pattern.exec(line);
          if (match !== null) return match;
        }
        return undefined;
      });
    } catch (thrown) {
      throw new Error(`${String(thrown)}\n${this.said.join("\n")}\n${this.log}`);
    }
  }

  async untilExit(): Promise<number | null> {
    return await withLimit("shoal join to end", stopMs, this.#exited);
  }

  // SIGTERM; the exit code.
  async stop(): Promise<number | null> {
    this.#process.kill("SIGTERM");
    return await this.untilExit();
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }
}
