// Rows of several sessions in one run of the executor `ort-webgpu`, in real Chromium on the
// software adapter: each comes out as from a session that is always by itself.

import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { build } from "vite";
import type { Browser, Page } from "playwright-core";

import type { GpuExecutorPage } from "./harness/gpu_executor_page.ts";
import { PageServer } from "./harness/page_server.ts";
import { golden, root, scratch } from "./harness/paths.ts";
import { blockCount, pack, stage } from "./harness/shoal.ts";
import { sharedBrowser } from "./harness/browsers.ts";

const folder = `${scratch}/gpu-batch`;
const full = process.env["SHOAL_TESTS"] === "full";
// Whole models; of those with experts, which ONNX Runtime does not compute on a GPU, the blocks
// before the first of them.
const few: [string, number?][] = [["gpt2"], ["deepseek_v3", 2]];
const families = full
  ? [...few, ["llama3"], ["gemma2"], ["gemma3"], ["phi3"], ["smollm3"]] satisfies typeof few
  : few;
// Sums in another order, of the largest logit.
const tolerance = 1e-4;

let server: PageServer;
let browser: Browser;
let page: Page;
const errors: string[] = [];

beforeAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await build({
    configFile: false,
    logLevel: "warn",
    base: "./",
    build: {
      outDir: folder,
      emptyOutDir: false,
      target: "esnext",
      assetsInlineLimit: 0,
      lib: {
        entry: `${root}web/e2e/harness/gpu_executor_page.ts`,
        formats: ["es"],
        fileName: () => "page.js",
      },
    },
  });
  writeFileSync(`${folder}/index.html`, '<script type="module" src="page.js"></script>');
  server = await PageServer.start(folder);
  browser = await sharedBrowser(["--enable-unsafe-webgpu"]);
  page = await browser.newPage();
  page.on("pageerror", ({ message }) => errors.push(message));
  await page.goto(server.url);
  await page.waitForFunction(() => "gpuExecutor" in globalThis);
});

afterEach(() => expect(errors).toEqual([]));

afterAll(async () => {
  await server?.stop();
});

async function call<Name extends keyof GpuExecutorPage>(
  name: Name,
  ...given: Parameters<GpuExecutorPage[Name]>
): Promise<Awaited<ReturnType<GpuExecutorPage[Name]>>> {
  return (await page.evaluate(
    async ([method, args]) => {
      const { gpuExecutor } = globalThis as unknown as {
        gpuExecutor: Record<string, (...all: unknown[]) => unknown>;
      };
      return await gpuExecutor[method]!(...args);
    },
    [name, given] as const,
  )) as Awaited<ReturnType<GpuExecutorPage[Name]>>;
}

// The blocks of a family's fixture up to `end`, as one stage.
async function load(family: string, end?: number): Promise<{ vocab: number; block: number }> {
  const packed = await pack(family, golden(`hf/${family}`));
  const described = await stage(packed, 0, end ?? blockCount(packed), "f32", 64);
  cpSync(described.folder, `${folder}/${family}`, { recursive: true });
  const { first, last, hidden, vocab, positions, kv, graph, weights } = described;
  const shape = { first, last, hidden, vocab, positions, kv, maxRows: 8 };
  const files = weights.map(({ location }) => location);
  const runs = await call("load", shape, family, graph, files);
  // Of several layers: of what holds the kernels, of the first by itself, and of the whole.
  const whole = runs.at(-1)!;
  expect(whole).toBeGreaterThan(0);
  expect(runs).toEqual(kv.length > 1 ? [0, whole, whole] : [whole]);
  return { vocab, block: kv[0]!.block };
}

function distance(a: number[], b: number[]): number {
  expect(a.length).toBe(b.length);
  const scale = Math.max(...b.map(Math.abs));
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / scale;
}

// Two caches for every session: one that computes by itself, one that computes with the others.
class Twins {
  readonly #vocab: number;
  readonly #lengths: number[] = [];
  runs = 0;

  constructor(vocab: number) {
    this.#vocab = vocab;
  }

  // A session with a prompt of some length.
  async begin(length: number): Promise<void> {
    const session = this.#lengths.push(0) - 1;
    for (const kv of [2 * session, 2 * session + 1]) await call("open", kv, 40);
    await this.step([session], length);
  }

  async rollback(session: number, length: number): Promise<void> {
    for (const kv of [2 * session, 2 * session + 1]) await call("rollback", kv, length);
    this.#lengths[session] = length;
  }

  async release(session: number): Promise<void> {
    for (const kv of [2 * session, 2 * session + 1]) await call("release", kv);
  }

  // `rows` rows of each of `sessions`; `silent` ones want no logits.
  async step(sessions: number[], rows = 1, silent: number[] = []): Promise<void> {
    const groups = sessions.map((session) => ({
      kv: 2 * session,
      position: this.#lengths[session]!,
      rows,
      logitRows: silent.includes(session) ? [] : [rows - 1],
    }));
    const tokens = sessions.map((session) =>
      Array.from(
        { length: rows },
        (_, row) => (31 * session + 17 * (this.#lengths[session]! + row) + 3) % this.#vocab,
      ),
    );
    const expected: number[][] = [];
    for (const [i, group] of groups.entries()) {
      expected.push((await call("run", [group], tokens[i]!))[0]!);
    }
    const before = await call("runs");
    const together = groups.map((group) => ({ ...group, kv: group.kv + 1 }));
    const outputs = await call("run", together, tokens.flat());
    this.runs = (await call("runs")) - before;
    for (const [i, output] of outputs.entries()) {
      if (expected[i]!.length === 0) {
        expect(output).toEqual([]);
      } else {
        expect(distance(output, expected[i]!)).toBeLessThan(tolerance);
      }
    }
    for (const session of sessions) this.#lengths[session]! += rows;
  }

  async compareKv(session: number, block: number): Promise<void> {
    const length = this.#lengths[session]!;
    const [alone, together] = [
      await call("keys", 2 * session, block, length),
      await call("keys", 2 * session + 1, block, length),
    ];
    expect(distance(together, alone)).toBeLessThan(tolerance);
  }
}

it.each(families)("%s computes rows side by side as one after the other", async (family, end) => {
  const { vocab, block } = await load(family, end);
  const twins = new Twins(vocab);
  for (const length of [5, 1, 7, 3]) await twins.begin(length);
  await twins.step([0, 1]);
  expect(twins.runs).toBe(1);
  await twins.step([0, 1, 2, 3]);
  expect(twins.runs).toBe(1);
  // Some are elsewhere, or want no logits.
  await twins.step([3, 1]);
  await twins.step([2, 0, 3], 1, [0]);
  await twins.step([1]);
  expect(twins.runs).toBe(1);
  // By itself again, and back.
  await twins.step([2], 4);
  await twins.rollback(0, 2);
  await twins.step([0, 1, 2, 3]);
  expect(twins.runs).toBe(1);
  await twins.step([0, 3], 2);
  expect(twins.runs).toBe(2);
  // Another one takes a place that was left.
  await twins.release(1);
  await twins.begin(6);
  await twins.step([0, 2, 3, 4]);
  expect(twins.runs).toBe(1);
  for (const session of [0, 2, 3, 4]) await twins.compareKv(session, block);
  for (const session of [0, 2, 3, 4]) await twins.release(session);
});
