// Native volunteers, each in a process of its own, so that one can be killed without the others.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { binary } from "./paths.ts";

export class Native {
  readonly #process: ChildProcess;
  readonly #cache: string;
  readonly #log: string[] = [];

  private constructor(process: ChildProcess, cache: string) {
    this.#process = process;
    this.#cache = cache;
    process.stdout?.setEncoding("utf8").on("data", (text: string) => this.#log.push(text));
    process.stderr?.setEncoding("utf8").on("data", (text: string) => this.#log.push(text));
  }

  static join(url: string, memory = "512M"): Native {
    const cache = mkdtempSync(join(tmpdir(), "shoal-native-"));
    const args = ["join", url, "--memory", memory, "--cache", cache, "--threads", "1"];
    return new Native(spawn(binary, args), cache);
  }

  // What it wrote.
  get log(): string {
    return this.#log.join("");
  }

  get isAlive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  // At once, as a power cut would.
  kill(): void {
    this.#process.kill("SIGKILL");
  }

  async close(): Promise<void> {
    if (this.isAlive) {
      const exited = new Promise((resolve) => this.#process.once("exit", resolve));
      this.#process.kill("SIGKILL");
      await exited;
    }
    rmSync(this.#cache, { recursive: true, force: true });
  }
}
