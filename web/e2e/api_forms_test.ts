// Answers of a given form, by a tab that keeps to the masks it is sent, as the `openai` client asks
// for them. The model is a storyteller: left alone it would never write JSON.

import OpenAI from "openai";
import { afterAll, beforeAll, expect, it } from "vitest";

import { Coordinator } from "./harness/coordinator.ts";
import { storytellerSmall } from "./harness/paths.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

const schema = {
  type: "object",
  properties: {
    animal: { enum: ["fox", "dragon", "rabbit"] },
    age: { type: "integer" },
    friends: { type: "array", items: { type: "string", maxLength: 12 }, maxItems: 2 },
    mood: { anyOf: [{ const: "glad" }, { type: "null" }] },
  },
  required: ["animal", "age", "friends", "mood"],
  additionalProperties: false,
};

const params: OpenAI.ChatCompletionCreateParamsNonStreaming = {
  model: "storyteller-7m",
  messages: [{ role: "user", content: "Tell me a story about a dragon." }],
  response_format: { type: "json_schema", json_schema: { name: "hero", strict: true, schema } },
  max_tokens: 200,
};

let coordinator: Coordinator;
let client: OpenAI;
const tabs: Tab[] = [];

beforeAll(async () => {
  coordinator = await Coordinator.start(await pack("storyteller-7m", storytellerSmall));
  client = coordinator.client;
  tabs.push(await Tab.lend(coordinator.url));
  await coordinator.untilReady();
});

afterAll(async () => {
  const errors = tabs.flatMap((tab) => tab.errors);
  await closeAll(tabs);
  expect(await coordinator.stop()).toBe(0);
  expect(errors).toEqual([]);
});

function check(text: string): void {
  const hero = JSON.parse(text) as Record<string, unknown>;
  expect(Object.keys(hero)).toEqual(["animal", "age", "friends", "mood"]);
  expect(schema.properties.animal.enum).toContain(hero["animal"]);
  expect(hero["age"]).toSatisfy(Number.isInteger);
  const friends = hero["friends"] as string[];
  expect(friends.length).toBeLessThanOrEqual(2);
  for (const friend of friends) expect([...friend].length).toBeLessThanOrEqual(12);
  expect(["glad", null]).toContain(hero["mood"]);
}

it("fulfils a schema, greedily and hot", async () => {
  for (const sampling of [{ temperature: 0 }, { temperature: 2, top_p: 1, seed: 1, n: 3 }]) {
    const answer = await client.chat.completions.create({ ...params, ...sampling });
    for (const { message, finish_reason } of answer.choices) {
      expect(finish_reason).toBe("stop");
      check(message.content!);
    }
  }
});

it("is the same streamed", async () => {
  const greedy = { ...params, temperature: 0 };
  const whole = await client.chat.completions.create(greedy);
  let text = "";
  for await (const chunk of await client.chat.completions.create({ ...greedy, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  expect(text).toBe(whole.choices[0]!.message.content);
});

it("refuses a schema that it cannot keep to, and tools that the model does not know", async () => {
  const property = { type: "string", pattern: "^a+$" };
  const json_schema = { name: "x", schema: { type: "object", properties: { a: property } } };
  const call = client.chat.completions.create({
    ...params,
    response_format: { type: "json_schema", json_schema },
  });
  await expect(call).rejects.toMatchObject({ status: 400, param: "response_format" });
  await expect(call).rejects.toThrow(/properties\.a\.pattern/);
  const { model, messages } = params;
  const tools = [{ type: "function" as const, function: { name: "look", parameters: {} } }];
  const withTools = client.chat.completions.create({ model, messages, tools });
  await expect(withTools).rejects.toMatchObject({ status: 400, param: "tools" });
});
