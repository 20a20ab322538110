// A real coordinator in a process of its own.

import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import OpenAI from "openai";

import { binary, dist } from "./paths.ts";
import { until, withLimit } from "./wait.ts";

export interface Status {
  ready: boolean;
  missing_bytes: number;
  blocks: number;
  volunteers: {
    id: number;
    executor: string;
    blocks: [number, number][];
    memory_bytes: number;
    tokens_done: number;
    state?: string;
  }[];
  sessions: number;
  tokens_per_second: number;
}

const startMs = 30_000;
const readyMs = 120_000;
const stopMs = 20_000;

export class Coordinator {
  readonly url: string;
  readonly client: OpenAI;
  readonly #process: ChildProcess;
  readonly #log: string[];

  private constructor(url: string, process: ChildProcess, log: string[]) {
    this.url = url;
    this.#process = process;
    this.#log = log;
    this.client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  }

  static async start(pack: string, ...args: string[]): Promise<Coordinator> {
    const child = spawn(binary, ["serve", pack, "--port", "0", "--pages", dist, ...args]);
    const log: string[] = [];
    child.stderr.setEncoding("utf8").on("data", (text: string) => log.push(text));
    const listening = new Promise<string>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (code) => reject(new Error(`serve ended with ${code}: ${log.join("")}`)));
      createInterface({ input: child.stdout }).on("line", (line) => {
        const match = /^listening on (http:\/\/\S+)$/.exec(line);
        if (match !== null) resolve(match[1]!);
      });
    });
    return new Coordinator(await withLimit("the coordinator", startMs, listening), child, log);
  }

  get isAlive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  // What it wrote to stderr.
  get log(): string {
    return this.#log.join("");
  }

  async status(): Promise<Status> {
    return (await (await fetch(`${this.url}/status.json`)).json()) as Status;
  }

  async untilReady(): Promise<Status> {
    return await this.untilStatus("a ready swarm", (status) => status.ready);
  }

  async untilStatus(what: string, holds: (status: Status) => boolean): Promise<Status> {
    let last: Status | undefined;
    try {
      return await until(what, readyMs, async () => {
        last = await this.status();
        return holds(last) ? last : undefined;
      });
    } catch (thrown) {
      throw new Error(`${String(thrown)}; status ${JSON.stringify(last)}\n${this.log}`);
    }
  }

  // The exit code.
  async stop(): Promise<number | null> {
    if (!this.isAlive) return this.#process.exitCode;
    const exited = new Promise<number | null>((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGTERM");
    return await withLimit("the coordinator to stop", stopMs, exited);
  }
}
