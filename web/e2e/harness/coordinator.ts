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
    platform: string;
    blocks: [number, number][];
    weights: string;
    activations: string;
    memory_bytes: number;
    tokens_done: number;
    expert_groups: number;
    threads: number;
    state?: string;
    // What its steps are expected to cost.
    step?: { fixed_ms: number; gb_per_s: number; gflops: number };
  }[];
  sessions: number;
  tokens_per_second: number;
}

export interface How {
  // A program and its arguments that the coordinator is run by.
  wrapper?: string[];
  // In place of the one that there is: for certificates that nobody knows.
  fetch?: typeof fetch;
  apiKey?: string;
  // Of one that takes another's place; any free one otherwise.
  port?: string;
}

const startMs = 30_000;
const readyMs = 300_000;
const stopMs = 20_000;

export class Coordinator {
  readonly url: string;
  readonly client: OpenAI;
  readonly #process: ChildProcess;
  readonly #log: string[];

  // What it wrote to stdout.
  readonly said: string[];
  readonly #fetch: typeof fetch;

  private constructor(url: string, process: ChildProcess, log: string[], said: string[], how: How) {
    this.url = url;
    this.#process = process;
    this.#log = log;
    this.said = said;
    this.#fetch = how.fetch ?? fetch;
    this.client = this.clientWith(how.apiKey ?? "none");
  }

  static async start(pack: string, ...args: string[]): Promise<Coordinator> {
    return await Coordinator.startAs(pack, args, {});
  }

  static async startAs(pack: string, args: string[], how: How): Promise<Coordinator> {
    const serve = [binary, "serve", pack, "--port", how.port ?? "0", "--pages", dist, ...args];
    const [program, ...rest] = [...(how.wrapper ?? []), ...serve];
    const child = spawn(program!, rest);
    const log: string[] = [];
    const said: string[] = [];
    child.stderr.setEncoding("utf8").on("data", (text: string) => log.push(text));
    const listening = new Promise<string>((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", (code) => reject(new Error(`serve ended with ${code}: ${log.join("")}`)));
      createInterface({ input: child.stdout }).on("line", (line) => {
        said.push(line);
        const match = /^listening on (https?:\/\/\S+)$/.exec(line);
        if (match !== null) resolve(match[1]!);
      });
    });
    const url = await withLimit("the coordinator", startMs, listening);
    return new Coordinator(url, child, log, said, how);
  }

  clientWith(apiKey: string): OpenAI {
    const options = { baseURL: `${this.url}/v1`, apiKey, maxRetries: 0 };
    return new OpenAI({ ...options, fetch: this.#fetch });
  }

  get isAlive(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  // What it wrote to stderr.
  get log(): string {
    return this.#log.join("");
  }

  async status(): Promise<Status> {
    return (await (await this.#fetch(`${this.url}/status.json`)).json()) as Status;
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

  // Without a word to anybody.
  async kill(): Promise<void> {
    const exited = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGKILL");
    await withLimit("the coordinator to end", stopMs, exited);
  }

  // The exit code.
  async stop(): Promise<number | null> {
    if (!this.isAlive) return this.#process.exitCode;
    const exited = new Promise<number | null>((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGTERM");
    return await withLimit("the coordinator to stop", stopMs, exited);
  }
}
