// The live map in each of its states, with swarms of up to 200 volunteers.

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";

import { lookAt } from "./harness/looks.ts";
import { PageServer } from "./harness/page_server.ts";
import { readyStatus, swarmStatus } from "./harness/statuses.ts";
import { sharedBrowser } from "./harness/browsers.ts";

const columns = ["t", "tokens_per_second", "volunteers", "answers", "available"];
const now = 1_800_000_000;

// Ups and downs, and a gap in which the coordinator was away.
function series(period: number, count: number) {
  const samples = Array.from({ length: count }, (_, index) => {
    const wave = Math.sin(index / 17) + Math.sin(index / 5) / 2;
    const isDown = index > count * 0.6 && index < count * 0.65;
    const speed = isDown ? 0 : 18 + 6 * wave;
    return [now + index * period, speed, 3 + Math.round(wave + 1), 1, isDown ? 0 : 1];
  });
  return {
    period_s: period,
    columns,
    samples: samples.filter((_, i) => i < count / 4 || i > count / 3),
  };
}

let server: PageServer;
let browser: Browser;

beforeAll(async () => {
  server = await PageServer.start();
  server.history = { series: [series(10, 360), series(300, 288)] };
  browser = await sharedBrowser();
});

afterAll(async () => {
  await server.stop();
});

it.each([
  ["map-ready", readyStatus],
  ["map-missing", swarmStatus({ holders: 2, needed: 6, blocks: 34 })],
  ["map-loading", swarmStatus({ holders: 3, loading: 1 })],
  ["map-empty", { ...swarmStatus({ holders: 0 }), missing_bytes: 140e9, blocks: 82 }],
  ["map-many", swarmStatus({ holders: 200, needed: 20, blocks: 82, spares: 0 })],
])("%s", async (name, status) => {
  server.status = status;
  const { volunteers } = status as { volunteers: unknown[] };
  await lookAt(browser, {
    name,
    url: `${server.url}/map`,
    prepare: async (page) => {
      const count = (): Promise<number> => page.getByTestId("map-volunteer").count();
      await expect.poll(count, { timeout: 10_000 }).toBe(volunteers.length);
      await page.locator(".chart .line").first().waitFor();
    },
  });
});

it("map-offline", async () => {
  server.status = undefined;
  await lookAt(browser, {
    name: "map-offline",
    url: `${server.url}/map`,
    prepare: (page) => page.getByTestId("map-health").getByText("No answer").waitFor(),
  });
});

it("says how many devices of which size would do", async () => {
  server.status = swarmStatus({ holders: 2, needed: 6, blocks: 34 });
  const page = await browser.newPage();
  await page.goto(`${server.url}/map`);
  const needs = page.getByTestId("map-needs").locator("li");
  await needs.first().waitFor();
  expect(await needs.allTextContents()).toEqual([
    "about 1 phone (512 MB)",
  ]);
  expect(await page.getByTestId("map-missing").count()).toBe(1);
  await page.close();
});

it("shows the routes of the answers under way, and what was predicted", async () => {
  server.status = swarmStatus({ holders: 20, needed: 5, blocks: 34 });
  const page = await browser.newPage();
  await page.goto(`${server.url}/map`);
  const picture = page.getByTestId("map-picture");
  await expect.poll(() => picture.locator(".route.running").count()).toBe(3);
  expect(await picture.locator(".span").count()).toBe(20);
  await picture.locator("circle").first().waitFor();
  const figures = page.getByTestId("map-now");
  await figures.getByText("predicted 50 ms (\u22128\u00a0%)").waitFor();
  // A coordinator that goes away is told of, and nothing of before is shown as if it were now.
  server.status = undefined;
  await page.getByTestId("map-health").getByText("does not answer").waitFor();
  expect(await figures.locator("div").count()).toBe(0);
  await expect.poll(() => picture.locator("circle").count()).toBe(0);
  server.status = readyStatus;
  await page.getByTestId("map-health").getByText("The model answers").waitFor();
  await page.close();
});

interface Cost {
  // Of the main thread, for each look at the status.
  lookMs: number;
  busyShare: number;
  // Times between frames, sorted.
  frames: number[];
}

// What it takes to show so many volunteers, of whom some come, some go and all work.
async function costOf(holders: number): Promise<Cost> {
  const page = await browser.newPage();
  server.status = swarmStatus({ holders, needed: 20, blocks: 82 });
  await page.goto(`${server.url}/map`);
  const count = (): Promise<number> => page.getByTestId("map-volunteer").count();
  await expect.poll(count).toBe(holders);
  // The main thread's own time, whatever else this machine does.
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
  const busyMs = async (): Promise<number> => {
    const { metrics } = await cdp.send("Performance.getMetrics");
    return 1000 * metrics.find(({ name }) => name === "TaskDuration")!.value;
  };
  await page.evaluate(watchFrames);
  const kept = await page.getByTestId("map-volunteer").first().elementHandle();
  const [beganMs, beginMs] = [performance.now(), await busyMs()];
  const looks = 4;
  for (let look = 0; look < looks; ++look) {
    const shown = holders - 5 + look;
    const status = swarmStatus({ holders: shown, needed: 20, blocks: 82 });
    for (const volunteer of status["volunteers"] as { tokens_done: number }[]) {
      volunteer.tokens_done += 40 * (look + 1);
    }
    server.status = status;
    await expect.poll(count, { timeout: 20_000 }).toBe(shown);
  }
  const [endedMs, endMs] = [performance.now(), await busyMs()];
  const frames = await page.evaluate(
    () => (globalThis as unknown as { frames: number[] }).frames,
  );
  // The rows are the same ones, changed in place.
  expect(await kept!.evaluate((row) => row.isConnected)).toBe(true);
  await page.close();
  return {
    lookMs: (endMs - beginMs) / looks,
    busyShare: (endMs - beginMs) / (endedMs - beganMs),
    frames: frames.sort((a, b) => a - b),
  };
}

it("shows 200 volunteers that come, go and work for what their number costs", async () => {
  const few = await costOf(40);
  const many = await costOf(200);
  for (const [name, { lookMs, busyShare, frames }] of Object.entries({ few, many })) {
    const at = (share: number): string =>
      `${frames[Math.floor(share * (frames.length - 1))]!.toFixed(0)} ms`;
    console.log(
      `${name} volunteers: main thread busy ${(100 * busyShare).toFixed(0)} % of the time, ` +
        `${lookMs.toFixed(0)} ms a look; frames: median ${at(0.5)}, ` +
        `95 of 100 within ${at(0.95)}`,
    );
  }
  // Five times as many; what grows with their square would cost 25 times as much.
  expect(many.lookMs / few.lookMs).toBeLessThan(10);
});

// In the page: how long each frame took to come.
function watchFrames(): void {
  const frames: number[] = [];
  Object.assign(globalThis, { frames });
  let lastMs = performance.now();
  const look = (nowMs: number): void => {
    frames.push(nowMs - lastMs);
    lastMs = nowMs;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
