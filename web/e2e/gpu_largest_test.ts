// The kernels that pick the largest logits, in real Chromium on the software adapter, against a
// sort of the same logits.

import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { build } from "vite";
import type { Browser, Page } from "playwright-core";

import type { PickLargest } from "./harness/gpu_modules.ts";
import { PageServer } from "./harness/page_server.ts";
import { root } from "./harness/paths.ts";
import { sharedBrowser } from "./harness/browsers.ts";

let server: PageServer;
let browser: Browser;
let page: Page;
const errors: string[] = [];

beforeAll(async () => {
  const entry = `${root}web/e2e/harness/gpu_modules.ts`;
  const built = await build({
    configFile: false,
    logLevel: "warn",
    build: { write: false, target: "esnext", lib: { entry, formats: ["es"] } },
  });
  const [output] = [built].flat();
  if (output === undefined || !("output" in output)) throw new Error("nothing was built");
  server = await PageServer.start();
  browser = await sharedBrowser(["--enable-unsafe-webgpu"]);
  page = await browser.newPage();
  page.on("pageerror", ({ message }) => errors.push(message));
  await page.goto(server.url);
  await page.addScriptTag({ type: "module", content: output.output[0].code });
  await page.waitForFunction(() => "pickLargest" in globalThis);
});

afterEach(() => expect(errors).toEqual([]));

afterAll(async () => {
  await server?.stop();
});

interface Picked {
  ids: number[];
  logits: number[];
  logSumExp: number;
}

async function pick(rows: number[][]): Promise<(Picked | undefined)[]> {
  return await page.evaluate(async (given) => {
    const { pickLargest } = globalThis as unknown as { pickLargest: PickLargest };
    const picked = await pickLargest(given);
    return picked.map(
      (row) => row && { ...row, ids: [...row.ids], logits: [...row.logits] },
    );
  }, rows);
}

function sorted(row: number[]): number[] {
  return [...row.keys()].sort((a, b) => row[b]! - row[a]! || a - b).slice(0, 128);
}

// Between -8 and 8; `steps` to a unit, so that few steps make many equal.
function makeRow(vocab: number, seed: number, steps: number): number[] {
  let state = seed;
  return Array.from({ length: vocab }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.round((state / 2 ** 32 - 0.5) * 16 * steps) / steps;
  });
}

it.each([5, 128, 129, 1025, 50257])(
  "picks what a sort picks of %i logits",
  async (vocab) => {
    const fine = makeRow(vocab, 1, 2 ** 16);
    const coarse = makeRow(vocab, 2, 2 ** 8);
    const rising = coarse.toSorted((a, b) => a - b);
    // The largest all in the share of one thread.
    const gathered = fine.map((logit, id) => (id % 1024 === 3 ? logit + 100 : logit));
    const rows = [fine, coarse, rising, gathered];
    const picked = await pick(rows);
    for (const [index, row] of rows.entries()) {
      const ids = sorted(row);
      expect(picked[index]!.ids).toEqual(ids);
      expect(picked[index]!.logits).toEqual(ids.map((id) => row[id]));
      const most = picked[index]!.logits[0]!;
      const sum = row.reduce((total, logit) => total + Math.exp(logit - most), 0);
      expect(picked[index]!.logSumExp).toBeCloseTo(most + Math.log(sum), 4);
    }
  },
);

it("leaves a row alone in which too many are equal", async () => {
  const equal = Array<number>(3000).fill(1);
  const [left, picked] = await pick([equal, makeRow(3000, 7, 1000)]);
  expect(left).toBeUndefined();
  expect(picked!.ids).toEqual(sorted(makeRow(3000, 7, 1000)));
  const [whole] = await pick([equal.slice(0, 1024)]);
  expect(whole!.ids).toEqual(sorted(equal.slice(0, 1024)));
});

it("tells the row whose logits are not finite", async () => {
  const rows = Array.from({ length: 4 }, (_, seed) => makeRow(3000, seed, 1000));
  rows[1]![2999] = NaN;
  rows[2]![1500] = Infinity;
  const picked = await pick(rows);
  const broken = picked.map((row) => Number.isNaN(row!.logSumExp));
  expect(broken).toEqual([false, true, true, false]);
  expect(picked[3]!.ids).toEqual(sorted(rows[3]!));
});
