// A layer's experts divided over volunteers: the router's device sends rows to the holders of the
// experts that they chose, native ones and tabs, and the answer is the reference; also when a
// holder is lost in the middle of it, or (SHOAL_TESTS=full) the router's device leaves.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, afterEach, describe, expect, it } from "vitest";

import { testCore } from "../volunteer/testing/frames.ts";
import { completeIds } from "./harness/ask.ts";
import { Claims } from "./harness/claims.ts";
import { Coordinator, type Status } from "./harness/coordinator.ts";
import { Native } from "./harness/native.ts";
import { golden } from "./harness/paths.ts";
import { certainSteps, type Prompt } from "./harness/reference.ts";
import { evalGreedy, pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";
import { eventsOf, readTrace } from "./harness/trace.ts";

const isFull = process.env["SHOAL_TESTS"] === "full";

let coordinator: Coordinator | undefined;
const natives: Native[] = [];
const tabs: Tab[] = [];

afterEach(async () => {
  await closeAll(tabs);
  await Promise.all(natives.splice(0).map((native) => native.close()));
  expect(await coordinator?.stop()).toBe(0);
  coordinator = undefined;
});

function reference(kind: string): { ids: number[]; expected: number[] } {
  const text = readFileSync(`${golden(`hf/${kind}`)}/ref.json`, "utf8");
  const prompt = JSON.parse(text) as Prompt;
  const expected = prompt.greedy_ids.slice(0, certainSteps(prompt));
  return { ids: prompt.prompt_ids, expected };
}

async function serve(kind: string, holders: number, ...args: string[]): Promise<Coordinator> {
  const folder = await pack(kind, golden(`hf/${kind}`));
  coordinator = await Coordinator.start(folder, "--expert-holders", String(holders), ...args);
  return coordinator;
}

const holdersOf = (status: Status): number =>
  status.volunteers.filter(({ expert_groups: groups }) => groups > 0).length;

describe.each(["qwen3_moe", "mixtral", "deepseek_v3", "kimi_k2", "gpt_oss"])("%s", (kind) => {
  it.each([2, 3])("is answered with its experts on %i native volunteers", async (holders) => {
    const { url, client } = await serve(kind, holders);
    for (let i = 0; i <= holders; ++i) natives.push(Native.join(url));
    const status = await coordinator!.untilReady();
    expect(holdersOf(status)).toBe(holders);
    expect(status.volunteers.filter(({ blocks }) => blocks.length > 0).length).toBe(1);
    const { ids, expected } = reference(kind);
    const answers = await Promise.all(
      [1, 2, 3].map(() => completeIds(client, ids, { maxTokens: 24 })),
    );
    for (const answer of answers) expect(answer.slice(0, expected.length)).toEqual(expected);
  });
});

describe("experts in tabs", () => {
  it.each(["shoal", "ort-wasm"])("are held, and routed to, by %s", async (executor) => {
    const { url, client } = await serve("qwen3_moe", 2);
    const path = `/lend?auto=1&executor=${executor}&memory=512M`;
    tabs.push(...(await Promise.all([1, 2, 3].map(() => Tab.open(url, path)))));
    const status = await coordinator!.untilReady();
    expect(holdersOf(status)).toBe(2);
    const { ids, expected } = reference("qwen3_moe");
    const answer = await completeIds(client, ids, { maxTokens: 24 });
    expect(answer.slice(0, expected.length)).toEqual(expected);
    for (const tab of tabs) expect(tab.errors).toEqual([]);
  });

  it("and on a native volunteer answer together, three holders", async () => {
    const { url, client } = await serve("qwen3_moe", 3);
    natives.push(Native.join(url), Native.join(url));
    const path = "/lend?auto=1&executor=shoal&memory=256M";
    tabs.push(...(await Promise.all([1, 2].map(() => Tab.open(url, path)))));
    const status = await coordinator!.untilReady();
    expect(holdersOf(status)).toBe(3);
    const { ids, expected } = reference("qwen3_moe");
    const answer = await completeIds(client, ids, { maxTokens: 24 });
    expect(answer.slice(0, expected.length)).toEqual(expected);
  });
});

describe("a holder that is killed in the middle of an answer", () => {
  it("is replaced, and the answer goes on", async () => {
    const { url, client } = await serve("qwen3_moe", 2);
    // Who has most memory routes.
    natives.push(Native.join(url, "1G"), Native.join(url), Native.join(url));
    await coordinator!.untilReady();
    const { ids, expected } = reference("qwen3_moe");
    let killed = false;
    const answer = await completeIds(client, ids, {
      maxTokens: 24,
      onTokens: (count) => {
        if (count < 3 || killed) return;
        killed = true;
        natives[1]!.kill();
        // With two holders asked for, nobody else could do.
        natives.push(Native.join(url));
      },
    });
    expect(killed).toBe(true);
    expect(answer.slice(0, expected.length)).toEqual(expected);
  });
});

// A newcomer takes its place: one that has been there for longer may have followed.
describe("the router's tab that leaves in the middle of an answer", () => {
  const folder = mkdtempSync(`${tmpdir()}/shoal-experts-`);
  let claims: Claims | undefined;
  afterEach(async () => {
    await claims?.stop();
    claims = undefined;
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  // The newcomer says that it is so slow that it is quicker to send it KV than to have it compute,
  // and just fast enough that it is believed. It has six seconds to load the stage, which may be
  // too few for ort-wasm beside three busy tabs.
  const claim = { name: "probe.gflops", value: 0.05 };
  const sends = it.runIf(isFull).each(["ort-wasm", "shoal"]);
  sends("sends its KV, all parts', from %s to shoal", async (executor) => {
    const trace = `${folder}/${executor}.jsonl`;
    const { url, client } = await serve("qwen3_moe", 2, "--trace", trace);
    claims = await Claims.start(url, await testCore(), [claim]);
    const path = `/lend?auto=1&executor=${executor}&memory=512M`;
    tabs.push(...(await Promise.all([1, 2, 3].map(() => Tab.open(url, path)))));
    const newcomer = await Tab.open(claims.url, "/lend?executor=shoal&memory=512M");
    tabs.push(newcomer);
    const before = await coordinator!.untilReady();
    const router = before.volunteers.find(({ blocks }) => blocks.length > 0)!.id;
    const { ids } = reference("qwen3_moe");
    const maxTokens = 450;
    const nodes = await Promise.all(tabs.map((tab) => tab.node()));
    await newcomer.page.getByTestId("lend-consent").check();
    const leave = async (): Promise<void> => {
      await newcomer.page.getByTestId("lend-start").click();
      await expect.poll(() => newcomer.node(), { timeout: 30_000 }).toBeGreaterThan(0);
      await tabs[nodes.indexOf(router)]!.page.getByTestId("lend-stop").click();
    };
    let leaving: Promise<void> | undefined;
    const answer = await completeIds(client, ids, {
      maxTokens,
      onTokens: (count) => {
        if (count >= 3) leaving ??= leave();
      },
    });
    await leaving;
    const whole = await pack("qwen3_moe", golden("hf/qwen3_moe"));
    expect(answer).toEqual(await evalGreedy(whole, ids, maxTokens, [1], "f32"));
    const events = readTrace(trace);
    const routes = eventsOf(events, "routed");
    expect(routes.length).toBe(2);
    const { epoch, from, stages } = routes[1]!;
    expect(stages.map(({ node }) => node)).toEqual([await newcomer.node()]);
    // All that the cache held has come over; only what was under way was computed again.
    for (const { copied } of stages) {
      expect(copied, JSON.stringify(routes[1])).toBeGreaterThan(ids.length);
    }
    const again = eventsOf(events, "step")
      .filter((step) => step.epoch === epoch && step.position < from)
      .reduce((rows, step) => rows + step.rows, 0);
    expect(again).toBeLessThanOrEqual(2);
    for (const tab of tabs) expect(tab.errors).toEqual([]);
  });
});
