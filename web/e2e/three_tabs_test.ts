// The trained model over three tabs, through the API with the real client. SHOAL_TESTS=full: every
// prompt alone, too.

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { completeIds, servedModel } from "./harness/ask.ts";
import { Coordinator } from "./harness/coordinator.ts";
import { storyteller } from "./harness/paths.ts";
import { certainSteps, prompts } from "./harness/reference.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

const full = process.env["SHOAL_TESTS"] === "full";

let coordinator: Coordinator;
const tabs: Tab[] = [];

beforeAll(async () => {
  const folder = await pack("storyteller", storyteller);
  coordinator = await Coordinator.start(folder, "--stages", "3");
});

afterAll(async () => {
  await closeAll(tabs);
  expect(await coordinator?.stop()).toBe(0);
});

// Embedding, twelve layers, norm and head.
const blocks = 14;

describe("three tabs", () => {
  it("are told how many are missing before they are there", async () => {
    const status = await coordinator.status();
    expect(status).toMatchObject({ ready: false, blocks, volunteers: [] });
    const asked = coordinator.client.chat.completions.create({
      model: await servedModel(coordinator.client),
      messages: [{ role: "user", content: "hello" }],
    });
    const error = (await asked.then(
      () => undefined,
      (thrown: unknown) => thrown,
    )) as { status: number; headers: Headers; message: string };
    expect(error.status).toBe(503);
    expect(Number(error.headers.get("retry-after"))).toBeGreaterThan(0);
    expect(error.message).toMatch(/volunteer/);
  });

  it("divide the blocks among themselves", async () => {
    const lent = [1, 2, 3].map(() => Tab.lend(coordinator.url, { executor: "ort-wasm" }));
    tabs.push(...(await Promise.all(lent)));
    const status = await coordinator.untilReady();
    const ranges = status.volunteers.flatMap(({ blocks }) => blocks).sort(([a], [b]) => a - b);
    expect(status.volunteers.length).toBe(3);
    expect(ranges.length).toBe(3);
    expect(ranges[0]![0]).toBe(0);
    expect(ranges.at(-1)![1]).toBe(blocks);
    expect(ranges.slice(1).map(([from]) => from)).toEqual(ranges.slice(0, -1).map(([, to]) => to));
    for (const volunteer of status.volunteers) {
      expect(volunteer).toMatchObject({ executor: "ort-wasm", memory_bytes: 512 * 1024 ** 2 });
    }
    const nodes = await Promise.all(tabs.map((tab) => tab.node()));
    expect(nodes.sort()).toEqual(status.volunteers.map(({ id }) => id).sort());
  });

  // Four clients at once ask the others.
  const alone = full ? prompts : prompts.slice(4);
  it.each(alone.map((prompt) => [prompt.prompt, prompt] as const))(
    "give the reference ids for: %s",
    async (_name, prompt) => {
      const ids = await completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: 96 });
      const certain = certainSteps(prompt);
      expect(ids.slice(0, certain)).toEqual(prompt.greedy_ids.slice(0, certain));
    },
  );

  it("answer a chat, streamed and whole", async () => {
    const prompt = prompts[0]!;
    const request = {
      model: await servedModel(coordinator.client),
      messages: [{ role: "user" as const, content: prompt.prompt }],
      temperature: 0,
      max_tokens: prompt.greedy_ids.length,
    };
    const whole = await coordinator.client.chat.completions.create(request);
    expect(whole.choices[0]!.message.content).toBe(prompt.greedy_text);
    expect(whole.usage).toMatchObject({
      prompt_tokens: prompt.prompt_ids.length,
      completion_tokens: prompt.greedy_ids.length,
    });
    let text = "";
    const stream = await coordinator.client.chat.completions.create({ ...request, stream: true });
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    expect(text).toBe(prompt.greedy_text);
  });

  it("answer four clients at once", async () => {
    const asked = prompts.slice(0, 4);
    const answers = await Promise.all(
      asked.map(({ prompt_ids: ids }) => completeIds(coordinator.client, ids, { maxTokens: 96 })),
    );
    for (const [index, prompt] of asked.entries()) {
      const certain = certainSteps(prompt);
      expect(answers[index]!.slice(0, certain)).toEqual(prompt.greedy_ids.slice(0, certain));
    }
  });

  it("count what passed through them, and hit no error", async () => {
    const status = await coordinator.untilStatus("no session", ({ sessions }) => sessions === 0);
    for (const { tokens_done: done } of status.volunteers) expect(done).toBeGreaterThan(500);
    for (const tab of tabs) {
      expect(tab.errors).toEqual([]);
      expect(await tab.page.getByTestId("lend-problem").isVisible()).toBe(false);
    }
  });
});
