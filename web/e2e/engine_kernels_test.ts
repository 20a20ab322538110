// The engine's kernels as Chromium compiles them, against the plain C++ one.

import { afterAll, beforeAll, expect, it } from "vitest";
import type { Browser, Page } from "playwright-core";

import { PageServer } from "./harness/page_server.ts";
import { root } from "./harness/paths.ts";
import { sharedBrowser } from "./harness/browsers.ts";

let server: PageServer;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  server = await PageServer.start(`${root}web/core`);
  browser = await sharedBrowser();
  page = await browser.newPage();
  // Any page of that origin.
  await page.goto(`${server.url}/copy_wasm.mjs`);
});

afterAll(async () => {
  await server?.stop();
});

it.each(["shoal_engine", "shoal_engine_relaxed"])("are right: %s", async (name) => {
  const results = await page.evaluate(async (url) => {
    const bytes = await (await fetch(url)).arrayBuffer();
    const imports = { shoal: { read_weight: () => 0 } };
    const { instance } = await WebAssembly.instantiate(bytes, imports);
    const { _initialize: initialize, shoal_kernels: count, shoal_kernels_try: run } =
      instance.exports as Record<string, (...numbers: number[]) => number>;
    initialize!();
    const found: number[] = [];
    // The first by the baseline compiler, the last by the other.
    for (let kernels = 0; kernels < count!(); ++kernels) {
      for (let i = 0; i < 40; ++i) found.push(run!(kernels, i === 0 ? 1 : 50));
    }
    return found;
  }, `${server.url}/${name}.wasm`);
  expect(new Set(results)).toEqual(new Set([1]));
  expect(results.length).toBe(name === "shoal_engine" ? 80 : 120);
});
