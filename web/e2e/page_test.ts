// The pages, as somebody uses them: lend, ask, read, stop, and see who holds what.

import { afterAll, beforeAll, expect, it } from "vitest";

import { Coordinator } from "./harness/coordinator.ts";
import { storytellerSmall } from "./harness/paths.ts";
import { smallPrompts as prompts } from "./harness/reference.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

// One answer that ends by itself, and one that goes on for long.
const brief = prompts.find(({ greedy_text }) => greedy_text.endsWith("<|end|>"))!;
const endless = prompts.find(({ greedy_text }) => !greedy_text.endsWith("<|end|>"))!;

let coordinator: Coordinator;
let chat: Tab;
const tabs: Tab[] = [];

beforeAll(async () => {
  const model = await pack("storyteller-7m", storytellerSmall);
  coordinator = await Coordinator.start(model, "--stages", "2");
  chat = await Tab.open(coordinator.url, "/");
  tabs.push(chat);
});

afterAll(async () => {
  const errors = tabs.flatMap((tab) => tab.errors);
  await closeAll(tabs);
  await coordinator.stop();
  expect(errors).toEqual([]);
});

async function ask(text: string): Promise<void> {
  await chat.page.getByTestId("chat-input").fill(text);
  await chat.page.keyboard.press("Enter");
}

it("is small, isolated, and loads ONNX Runtime only for lending", async () => {
  const sizes: { url: string; bytes: number }[] = [];
  chat.page.on("response", async (response) => {
    const body = await response.body().catch(() => Buffer.alloc(0));
    sizes.push({ url: response.url(), bytes: body.length });
  });
  await chat.page.reload({ waitUntil: "networkidle" });
  expect(sizes.length).toBeGreaterThan(3);
  const pages = sizes.filter(({ url }) => !url.endsWith("/status.json"));
  expect(pages.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThan(200 * 1024);
  expect(pages.filter(({ url }) => url.endsWith(".wasm"))).toEqual([]);
  expect(await chat.page.evaluate(() => crossOriginIsolated)).toBe(true);
  chat.page.removeAllListeners("response");
});

it("says what is missing, and that asking is no use yet", async () => {
  const { page } = chat;
  await page.getByTestId("notice").getByText("Lend this tab").waitFor();
  await page.getByTestId("chat-empty").getByText("Ask the shoal").waitFor();
  await ask("hello");
  const error = page.getByTestId("chat-error");
  await error.getByText("Lend this tab").waitFor();
  expect(await error.getByTestId("chat-retry").isVisible()).toBe(true);
  await page.getByTestId("chat-clear").click();
  expect(await page.getByTestId("message-user").count()).toBe(0);
});

it("lends at a click and tells what it holds", async () => {
  for (let i = 0; i < 2; ++i) {
    const tab = await Tab.open(coordinator.url, "/lend");
    tabs.push(tab);
    const { page } = tab;
    expect(await page.getByTestId("lend-start").isDisabled()).toBe(true);
    await page.getByTestId("lend-consent").check();
    await page.getByTestId("lend-memory").fill("2");
    await page.getByTestId("lend-start").click();
  }
  const status = await coordinator.untilReady();
  for (const tab of tabs.slice(1)) {
    await tab.untilState("ready");
    const node = await tab.node();
    const volunteer = status.volunteers.find(({ id }) => id === node)!;
    expect(volunteer.memory_bytes).toBe(256 * 1024 ** 2);
    const holds = await tab.page.getByTestId("lend-holds").getAttribute("data-blocks");
    expect(holds).toBe(volunteer.blocks[0]!.join(","));
  }
});

it("shows the map of who holds what", async () => {
  const map = await Tab.open(coordinator.url, "/map");
  tabs.push(map);
  const rows = map.page.locator('[data-testid="map-volunteer"]:not([data-blocks=""])');
  await rows.nth(1).waitFor();
  const { volunteers } = await coordinator.status();
  const shown = await rows.evaluateAll((all) => all.map((row) => row.getAttribute("data-blocks")));
  expect(shown.sort()).toEqual(volunteers.map(({ blocks }) => blocks[0]!.join(",")).sort());
  expect(await map.page.getByTestId("map-missing").count()).toBe(0);
  await map.close();
  tabs.pop();
  await chat.page.getByTestId("notice").waitFor({ state: "hidden" });
});

it("streams an answer", async () => {
  const { page } = chat;
  await page.getByTestId("open-settings").click();
  await page.getByTestId("setting-temperature").fill("0");
  await page.getByTestId("settings-save").click();
  await ask(brief.prompt);
  const answer = page.getByTestId("message-assistant");
  await answer.getByTestId("message-facts").waitFor({ timeout: 60_000 });
  const text = await answer.getByTestId("message-text").innerText();
  const words = (all: string): string => all.replace(/\s+/g, " ").trim();
  expect(words(text)).toContain(words(brief.greedy_text.replace("<|end|>", "")));
  expect(text).not.toContain("<|end|>");
  const facts = (await answer.getByTestId("message-facts").textContent())!.replaceAll(
    "\u00a0",
    " ",
  );
  expect(facts).toMatch(/tokens\/s . first after .* through 2 volunteers/);
  expect(await page.getByTestId("chat-stop").isVisible()).toBe(false);
});

it("stops an answer, for the coordinator too", async () => {
  const { page } = chat;
  await page.getByTestId("chat-clear").click();
  await ask(endless.prompt);
  const answer = page.getByTestId("message-assistant");
  await expect.poll(() => answer.getByTestId("message-text").textContent()).not.toBe("");
  await page.keyboard.press("Escape");
  expect(await answer.getByTestId("message-facts").textContent()).toContain("stopped");
  await coordinator.untilStatus("no session", ({ sessions }) => sessions === 0);
});

it("stops lending at a click", async () => {
  const tab = tabs.pop()!;
  await tab.page.getByTestId("lend-stop").click();
  await tab.untilState("stopped");
  await coordinator.untilStatus("one volunteer", ({ volunteers }) => volunteers.length === 1);
  await tab.page.getByTestId("lend-start").click();
  await coordinator.untilReady();
  await tab.close();
});
