// What may go wrong while a tab is lent: each goes on by itself or says what to do. And the limits
// that depend on the machine around it.

import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";

import { Coordinator } from "./harness/coordinator.ts";
import { storytellerSmall } from "./harness/paths.ts";
import { Proxy } from "./harness/proxy.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab, usualExecutor } from "./harness/tabs.ts";

const lend = `/lend?executor=${usualExecutor}`;

let coordinator: Coordinator;
const tabs: Tab[] = [];

beforeAll(async () => {
  coordinator = await Coordinator.start(await pack("storyteller-7m", storytellerSmall));
});

afterEach(async () => {
  await closeAll(tabs);
  await coordinator.untilStatus("nobody", ({ volunteers }) => volunteers.length === 0);
});

afterAll(async () => {
  await coordinator.stop();
});

async function open(url: string, path: string, moreFlags: string[] = []): Promise<Tab> {
  const tab = await Tab.open(url, path, moreFlags);
  tabs.push(tab);
  return tab;
}

async function start(page: Page): Promise<void> {
  await page.getByTestId("lend-consent").check();
  await page.getByTestId("lend-start").click();
}

const volunteers = async () => (await coordinator.status()).volunteers.length;
const detailOf = (page: Page) => page.getByTestId("lend-detail").textContent();

it("offline: says so, and goes on by itself", async () => {
  const proxy = await Proxy.start(coordinator.url);
  const tab = await open(proxy.url, `${lend}&auto=1`);
  await tab.untilState("ready");
  await tab.page.context().setOffline(true);
  proxy.blocked = true;
  proxy.cut();
  await tab.untilState("reconnecting");
  await expect.poll(() => detailOf(tab.page)).toContain("You are offline");
  await tab.page.context().setOffline(false);
  proxy.blocked = false;
  await tab.untilState("ready");
  await coordinator.untilReady();
  await tab.close();
  tabs.pop();
  await proxy.stop();
});

it("storage full: says so, and lends from memory", async () => {
  const tab = await open(coordinator.url, lend);
  const { page } = tab;
  const cdp = await page.context().newCDPSession(page);
  // The pieces have 28 MB.
  const origin = coordinator.url;
  await cdp.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 10 * 1024 * 1024 });
  await start(page);
  await page.getByTestId("lend-problem").getByText("storage is full").waitFor();
  await tab.untilState("ready");
  await coordinator.untilReady();
});

it("memory that does not suffice: says so, and lends less at a click", async () => {
  // WebAssembly gets 20 MB in all.
  const tab = await open(coordinator.url, "/lend", ["--js-flags=--wasm-max-mem-pages=320"]);
  const { page } = tab;
  await start(page);
  const problem = page.getByTestId("lend-problem");
  await problem.getByText("did not suffice").waitFor();
  await page.getByTestId("lend-less").click();
  const patience = { timeout: 20_000 };
  await expect
    .poll(() => page.getByTestId("lend-memory").getAttribute("aria-valuetext"), patience)
    .toBe("256 MB");
  await expect
    .poll(async () => (await coordinator.status()).volunteers[0]?.memory_bytes, patience)
    .toBe(256 * 1024 ** 2);
});

it("lent too little for a piece: says so", async () => {
  const tab = await open(coordinator.url, `${lend}&auto=1&memory=16M`);
  await tab.untilState("waiting");
  await expect.poll(() => detailOf(tab.page), { timeout: 10_000 }).toContain("lend more memory");
});

it("rests on battery and on a metered network, if told so", async () => {
  const tab = await open(coordinator.url, lend);
  const { page } = tab;
  await page.addInitScript(() => {
    const battery = Object.assign(new EventTarget(), { charging: true });
    const connection = Object.assign(new EventTarget(), { saveData: false, type: "wifi" });
    Object.assign(globalThis, { battery, network: connection });
    Object.defineProperty(navigator, "getBattery", { value: () => Promise.resolve(battery) });
    Object.defineProperty(navigator, "connection", { value: connection });
  });
  await page.reload();
  const set = (name: "battery" | "network", values: object, event: string): Promise<void> =>
    page.evaluate(
      ([target, change, type]) => {
        const found = (globalThis as unknown as Record<string, EventTarget>)[target]!;
        Object.assign(found, change);
        found.dispatchEvent(new Event(type));
      },
      [name, values, event] as const,
    );
  await page.getByTestId("lend-only-mains").check();
  await page.locator("#only-unmetered").check();
  await start(page);
  await tab.untilState("ready");
  await set("battery", { charging: false }, "chargingchange");
  await expect.poll(volunteers).toBe(0);
  expect(await detailOf(page)).toContain("battery");
  await set("battery", { charging: true }, "chargingchange");
  await tab.untilState("ready");
  await set("network", { type: "cellular" }, "change");
  await expect.poll(volunteers).toBe(0);
  expect(await detailOf(page)).toContain("metered");
  await set("network", { type: "wifi" }, "change");
  await tab.untilState("ready");
});

it("holds a lock and keeps the screen on while it lends, and not after", async () => {
  const tab = await open(coordinator.url, lend);
  const { page } = tab;
  await page.addInitScript(() => {
    const screen = { held: 0 };
    Object.assign(globalThis, { wakes: screen });
    const request = (): Promise<unknown> => {
      ++screen.held;
      return Promise.resolve({ release: () => Promise.resolve(void --screen.held) });
    };
    Object.defineProperty(navigator, "wakeLock", { value: { request } });
  });
  await page.reload();
  const held = (): Promise<[number, number]> =>
    page.evaluate(async () => {
      const locks = (await navigator.locks.query()).held ?? [];
      const own = locks.filter(({ name }) => name === "shoal-lend").length;
      return [own, (globalThis as unknown as { wakes: { held: number } }).wakes.held];
    });
  expect(await held()).toEqual([0, 0]);
  await start(page);
  await tab.untilState("ready");
  expect(await held()).toEqual([1, 1]);
  await page.getByTestId("lend-pause").click();
  await expect.poll(held).toEqual([0, 0]);
});
