// The tables of docs/api.md against the `openai` client's own types and the server: every field
// that the client knows is in one of three lists (the compiler sees to that), and what the
// documents and the server say about it is the same.

import type OpenAI from "openai";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Coordinator } from "./harness/coordinator.ts";
import { root, scratch, storyteller } from "./harness/paths.ts";
import { pack } from "./harness/shoal.ts";

// "yes": in the tables and in /openapi.json. Else a value that the client might send: `refused` is
// answered with 400 and named, `ignored` changes nothing.
type Said = "yes" | { refused: unknown } | { ignored: unknown };
type Fields<T> = Record<keyof T, Said>;

const cache = {
  prompt_cache_key: { ignored: "k" },
  prompt_cache_options: { ignored: {} },
  prompt_cache_retention: { ignored: "24h" },
  safety_identifier: { ignored: "s" },
  service_tier: { ignored: "auto" },
  moderation: { ignored: {} },
} satisfies Record<string, Said>;

const chat: Fields<OpenAI.ChatCompletionCreateParamsNonStreaming> = {
  ...cache,
  messages: "yes",
  model: "yes",
  audio: { refused: { voice: "alloy", format: "wav" } },
  frequency_penalty: "yes",
  function_call: { ignored: "auto" },
  functions: { refused: [{ name: "f" }] },
  logit_bias: "yes",
  logprobs: "yes",
  max_completion_tokens: "yes",
  max_tokens: "yes",
  metadata: { ignored: { a: "b" } },
  modalities: { refused: ["text", "audio"] },
  n: "yes",
  parallel_tool_calls: "yes",
  prediction: { refused: { type: "content", content: "x" } },
  presence_penalty: "yes",
  reasoning_effort: { ignored: "low" },
  response_format: "yes",
  seed: "yes",
  stop: "yes",
  store: { ignored: false },
  stream: "yes",
  stream_options: "yes",
  temperature: "yes",
  tool_choice: "yes",
  tools: "yes",
  top_logprobs: "yes",
  top_p: "yes",
  user: { ignored: "u" },
  verbosity: { ignored: "low" },
  web_search_options: { refused: { search_context_size: "low" } },
};

const plain: Fields<OpenAI.CompletionCreateParamsNonStreaming> = {
  model: "yes",
  prompt: "yes",
  best_of: "yes",
  echo: "yes",
  frequency_penalty: "yes",
  logit_bias: "yes",
  logprobs: "yes",
  max_tokens: "yes",
  n: "yes",
  presence_penalty: "yes",
  seed: "yes",
  stop: "yes",
  stream: "yes",
  stream_options: "yes",
  suffix: { refused: "x" },
  temperature: "yes",
  top_p: "yes",
  user: { ignored: "u" },
};

const responses: Fields<OpenAI.Responses.ResponseCreateParamsNonStreaming> = {
  ...cache,
  background: { refused: true },
  context_management: { ignored: [] },
  conversation: { refused: "c" },
  include: { ignored: [] },
  input: "yes",
  instructions: "yes",
  max_output_tokens: "yes",
  metadata: "yes",
  model: "yes",
  parallel_tool_calls: "yes",
  previous_response_id: { refused: "resp_1" },
  prompt: { refused: { id: "p" } },
  reasoning: { ignored: { effort: "low" } },
  store: { ignored: true },
  stream: "yes",
  stream_options: { ignored: { include_obfuscation: false } },
  temperature: "yes",
  text: "yes",
  tool_choice: "yes",
  tools: "yes",
  top_logprobs: { refused: 3 },
  top_p: "yes",
  truncation: { refused: "auto" },
  user: "yes",
};

const apis = [
  {
    path: "/v1/chat/completions",
    section: "Fields of a request",
    schema: "ChatRequest",
    fields: chat as Record<string, Said>,
    base: { messages: [{ role: "user", content: "Hello" }], max_tokens: 3, temperature: 0 },
  },
  {
    path: "/v1/completions",
    section: "Fields of a request",
    schema: "CompletionRequest",
    fields: plain as Record<string, Said>,
    base: { prompt: "Once", max_tokens: 3, temperature: 0 },
  },
  {
    path: "/v1/responses",
    section: "Responses",
    schema: "ResponsesRequest",
    fields: responses as Record<string, Said>,
    base: { input: "Hello", max_output_tokens: 3, temperature: 0 },
  },
];

interface Answer {
  choices?: { text?: string; message?: { content: string } }[];
  output?: { content: { text: string }[] }[];
  error?: { param: string };
}

let coordinator: Coordinator;

beforeAll(async () => {
  const folder = await pack("storyteller", storyteller, "q8");
  const limits = ["--requests-per-minute", "0"];
  const lend = ["--lend", "1G", "--data", `${scratch}/table-data`];
  coordinator = await Coordinator.start(folder, ...lend, ...limits);
  await coordinator.untilReady();
});
afterAll(async () => {
  expect(await coordinator.stop()).toBe(0);
});

async function post(path: string, body: object): Promise<{ status: number; answer: Answer }> {
  const headers = { "content-type": "application/json" };
  const how = { method: "POST", body: JSON.stringify(body), headers };
  const response = await fetch(coordinator.url + path, how);
  return { status: response.status, answer: (await response.json()) as Answer };
}
const textOf = ({ choices, output }: Answer): string | undefined =>
  choices?.[0]?.text ?? choices?.[0]?.message?.content ?? output?.[0]?.content[0]?.text;

const document = readFileSync(`${root}docs/api.md`, "utf8");
const tableOf = (section: string): string =>
  document.split(`\n## ${section}\n`)[1]!.split("\n## ")[0]!;

describe.each(apis)("$path", ({ path, section, schema, fields, base }) => {
  const named = Object.entries(fields);

  it("has what the tables say it has", async () => {
    const openapi = (await (await fetch(`${coordinator.url}/openapi.json`)).json()) as {
      components: { schemas: Record<string, { properties: object }> };
    };
    const known = Object.keys(openapi.components.schemas[schema]!.properties);
    for (const [name] of named.filter(([, said]) => said === "yes")) {
      expect(known).toContain(name);
      const row = new RegExp(`^\\|[^|]*\`${name}[\`.]`, "m");
      expect(tableOf(section), name).toMatch(row);
    }
  });

  it("refuses what it would have to do otherwise", async () => {
    for (const [name, said] of named) {
      if (said === "yes" || !("refused" in said)) continue;
      const { status, answer } = await post(path, { ...base, [name]: said.refused });
      const said400 = { status, param: answer.error?.param };
      expect(said400, name).toEqual({ status: 400, param: name });
      expect(tableOf(section)).toContain(`\`${name}\``);
    }
  });

  it("ignores what changes no answer", async () => {
    const expected = textOf((await post(path, base)).answer);
    expect(expected).toBeTypeOf("string");
    for (const [name, said] of named) {
      if (said === "yes" || !("ignored" in said)) continue;
      const { status, answer } = await post(path, { ...base, [name]: said.ignored });
      expect({ name, status, text: textOf(answer) }).toEqual({ name, status: 200, text: expected });
    }
  });
});

it("has nothing else below /v1", async () => {
  for (const path of ["embeddings", "files", "audio/speech", "assistants", "batches", "x"]) {
    expect((await post(`/v1/${path}`, {})).status).toBe(404);
  }
  for (const method of ["GET", "DELETE"]) {
    const response = await fetch(`${coordinator.url}/v1/responses/resp_1`, { method });
    expect(response.status).toBe(404);
  }
});
