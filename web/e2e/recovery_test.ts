// Tabs vanish, freeze and lose their sockets in the middle of answers; the answers do not change.
// SHOAL_TESTS=full: each of the three is killed in a greedy answer, otherwise the middle one.

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { completeIds } from "./harness/ask.ts";
import { Coordinator, type Status } from "./harness/coordinator.ts";
import { storytellerSmall } from "./harness/paths.ts";
import { Proxy } from "./harness/proxy.ts";
import { certainSteps, smallPrompts } from "./harness/reference.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

// From the loss of a volunteer to the next token of an answer: 4 s until a silent one is given up,
// then the others load its blocks and run the tokens again.
const recoveryMs = 30_000;

const full = process.env["SHOAL_TESTS"] === "full";
const prompt = smallPrompts[0]!;
const certain = prompt.greedy_ids.slice(0, certainSteps(prompt));

let coordinator: Coordinator;
const tabs: Tab[] = [];

beforeAll(async () => {
  const folder = await pack("storyteller-7m", storytellerSmall);
  coordinator = await Coordinator.start(folder, "--stages", "3");
});

afterEach(async () => await closeAll(tabs));

afterAll(async () => {
  expect(coordinator.isAlive).toBe(true);
  expect(await coordinator.stop()).toBe(0);
});

// Three ready tabs in the order of their blocks; `urls` are their ways to the coordinator.
async function openTabs(...urls: string[]): Promise<Tab[]> {
  await coordinator.untilStatus("the last test's tabs to go", (s) => s.volunteers.length === 0);
  tabs.push(...(await Promise.all(urls.map((url) => Tab.lend(url)))));
  const status = await coordinator.untilReady();
  const nodes = await Promise.all(tabs.map((tab) => tab.node()));
  const first = (node: number): number => blocksOf(status, node)[0];
  return tabs
    .map((_, i) => i)
    .sort((a, b) => first(nodes[a]!) - first(nodes[b]!))
    .map((i) => tabs[i]!);
}

function blocksOf(status: Status, node: number): [number, number] {
  return status.volunteers.find(({ id }) => id === node)!.blocks[0]!;
}

// Asks for a story, does something after `after` tokens, and gives the ids and the longest pause.
async function interrupted(
  after: number,
  interrupt: () => void,
  options = { temperature: 0, seed: 0 },
): Promise<{ ids: number[]; longestMs: number }> {
  let longestMs = 0;
  let lastMs = performance.now();
  let done = false;
  const ids = await completeIds(coordinator.client, prompt.prompt_ids, {
    ...options,
    maxTokens: 96,
    onTokens: (count) => {
      longestMs = Math.max(longestMs, performance.now() - lastMs);
      lastMs = performance.now();
      if (count < after || done) return;
      done = true;
      interrupt();
    },
  });
  expect(done).toBe(true);
  return { ids, longestMs };
}

describe("an answer under way", () => {
  const killed: [string, number][] = [
    ["middle", 1],
    ...(full ? ([["first", 0], ["head's", 2]] as [string, number][]) : []),
  ];
  it.each(killed)("goes on when the %s tab is killed", async (_name, index) => {
    const { url } = coordinator;
    const ordered = await openTabs(url, url, url);
    const { ids, longestMs } = await interrupted(10, () => ordered[index]!.signal("SIGKILL"));
    expect(ids.slice(0, certain.length)).toEqual(certain);
    expect(longestMs).toBeLessThan(recoveryMs);
  });

  it("goes on when a tab freezes, which comes back later as a new one", async () => {
    const { url } = coordinator;
    const ordered = await openTabs(url, url, url);
    const { ids, longestMs } = await interrupted(10, () => ordered[1]!.signal("SIGSTOP"));
    expect(ids.slice(0, certain.length)).toEqual(certain);
    expect(longestMs).toBeLessThan(recoveryMs);
    ordered[1]!.signal("SIGCONT");
    const status = await coordinator.untilReady();
    expect(status.volunteers.length).toBe(3);
    const again = await completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: 20 });
    expect(again).toEqual(prompt.greedy_ids.slice(0, 20));
  });

  it("goes on when a socket is cut, and the tab reconnects", async () => {
    const proxy = await Proxy.start(coordinator.url);
    try {
      const { url } = coordinator;
      await openTabs(url, proxy.url, url);
      const { ids, longestMs } = await interrupted(10, () => proxy.cut());
      expect(ids.slice(0, certain.length)).toEqual(certain);
      expect(longestMs).toBeLessThan(recoveryMs);
      const status = await coordinator.untilReady();
      expect(status.volunteers.length).toBe(3);
    } finally {
      await proxy.stop();
    }
  });

  it("has the same text at temperature 1 when the head's tab is killed", async () => {
    const { url } = coordinator;
    const ordered = await openTabs(url, url, url);
    const options = { temperature: 1, seed: 7 };
    const calm = await completeIds(coordinator.client, prompt.prompt_ids, {
      ...options,
      maxTokens: 96,
    });
    expect(calm.length).toBeGreaterThan(10);
    const { ids } = await interrupted(8, () => ordered[2]!.signal("SIGKILL"), options);
    expect(ids).toEqual(calm);
  });

  it("ends with a clear error when nobody is left, and a later one works", async () => {
    const { url } = coordinator;
    await openTabs(url, url, url);
    const failed = interrupted(10, () => {
      for (const tab of tabs) tab.signal("SIGKILL");
    });
    await expect(failed).rejects.toThrow(/volunteer|available/i);
    const refused = completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: 4 });
    await expect(refused).rejects.toMatchObject({ status: 503 });
    await closeAll(tabs);
    await openTabs(url, url, url);
    const again = await completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: 20 });
    expect(again).toEqual(prompt.greedy_ids.slice(0, 20));
  });
});
