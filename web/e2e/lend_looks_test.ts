// The lend page in each of its states: pictures, and no serious finding of axe-core.

import type { Browser } from "playwright-core";
import { afterAll, beforeAll, it } from "vitest";

import { Coordinator } from "./harness/coordinator.ts";
import { lookAt } from "./harness/looks.ts";
import { PageServer } from "./harness/page_server.ts";
import { storytellerSmall } from "./harness/paths.ts";
import { pack } from "./harness/shoal.ts";
import { swarmStatus } from "./harness/statuses.ts";
import { sharedBrowser } from "./harness/browsers.ts";

let server: PageServer;
let coordinator: Coordinator;
let browser: Browser;

beforeAll(async () => {
  server = await PageServer.start();
  coordinator = await Coordinator.start(await pack("storyteller-7m", storytellerSmall));
  browser = await sharedBrowser();
});

afterAll(async () => {
  await server.stop();
  await coordinator.stop();
});

it("before lending", async () => {
  server.status = swarmStatus({ holders: 2, needed: 3, spares: 1 });
  await lookAt(browser, {
    name: "lend-before",
    url: `${server.url}/lend`,
    prepare: async (page) => {
      await page.getByTestId("map-summary").getByText("3\u00a0volunteers").waitFor();
      await page.getByTestId("lend-consent").check();
    },
  });
});

it("no coordinator", async () => {
  server.status = undefined;
  await lookAt(browser, {
    name: "lend-offline",
    url: `${server.url}/lend?auto=1`,
    prepare: (page) => page.locator('[data-state="reconnecting"]').waitFor(),
  });
});

it("lending", async () => {
  await lookAt(browser, {
    name: "lend-ready",
    url: `${coordinator.url}/lend?auto=1&executor=shoal`,
    prepare: async (page) => {
      await page.locator('[data-testid="lend-state"][data-state="ready"]').waitFor();
      await page.locator('.map-row.own[data-blocks="0,10"]').waitFor();
    },
  });
});

it("loading", async () => {
  await lookAt(browser, {
    name: "lend-loading",
    url: `${coordinator.url}/lend?executor=shoal`,
    prepare: async (page) => {
      // Half of the pieces come, the others take their time.
      let count = 0;
      await page.context().route("**/blobs/**", async (route) => {
        if (++count > 6) await new Promise((resolve) => setTimeout(resolve, 60_000));
        await route.continue().catch(() => {});
      });
      await page.getByTestId("lend-consent").check();
      await page.getByTestId("lend-start").click();
      await page.locator('[data-testid="lend-state"][data-state="loading"]').waitFor();
      await page.locator("#progress details summary").click();
      await page.locator('.files [data-state="fetched"]').nth(3).waitFor();
    },
  });
});

it("paused, and resting by a limit", async () => {
  await lookAt(browser, {
    name: "lend-paused",
    url: `${coordinator.url}/lend?auto=1&executor=shoal`,
    prepare: async (page) => {
      await page.locator('[data-testid="lend-state"][data-state="ready"]').waitFor();
      await page.getByTestId("lend-pause").click();
      await page.locator('[data-testid="lend-state"][data-lender="paused"]').waitFor();
    },
  });
});

it("a piece that is not there", async () => {
  await lookAt(browser, {
    name: "lend-problem",
    url: `${coordinator.url}/lend?auto=1&executor=shoal`,
    prepare: async (page) => {
      await page.context().route("**/blobs/**", (route) => route.fulfill({ status: 404 }));
      await page.reload();
      await page.getByTestId("lend-problem").waitFor();
    },
  });
});
