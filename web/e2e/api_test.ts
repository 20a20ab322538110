// The API as the real `openai` client meets it, over a tab that lends itself. What answers must be
// is taken from the model's reference, from logits of `shoal eval`, or follows from their meaning.

import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Coordinator } from "./harness/coordinator.ts";
import { storyteller } from "./harness/paths.ts";
import { certainSteps, prompts } from "./harness/reference.ts";
import { evalLogits, pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

type Chat = OpenAI.ChatCompletion;
type ChatParams = OpenAI.ChatCompletionCreateParamsNonStreaming;
// Fields beyond OpenAI's.
type Extras = Partial<{
  min_p: number;
  top_k: number;
  repetition_penalty: number;
  return_token_ids: boolean;
}>;
type WithIds = { prompt_token_ids: number[]; token_ids: number[] };

const model = "storyteller";
const tale = prompts[0]!;
// An answer that ends by itself.
const brief = prompts.find(({ greedy_text }) => greedy_text.endsWith("<|end|>"))!;
const ask = (text: string): ChatParams => ({
  model,
  messages: [{ role: "user", content: text }],
  temperature: 0,
});

let folder: string;
let coordinator: Coordinator;
let client: OpenAI;
const tabs: Tab[] = [];

beforeAll(async () => {
  folder = await pack("storyteller", storyteller);
  coordinator = await Coordinator.start(folder);
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

async function chat(params: ChatParams & Extras): Promise<Chat> {
  return await client.chat.completions.create(params);
}
const textOf = (answer: Chat, index = 0): string => answer.choices[index]!.message.content ?? "";
const idsOf = (answer: Chat, index = 0): number[] =>
  (answer.choices[index] as unknown as WithIds).token_ids;

interface Streamed {
  texts: string[];
  reasons: (string | null)[];
  usage: OpenAI.CompletionUsage | null | undefined;
  ids: Set<string>;
}

async function streamed(params: ChatParams & Extras): Promise<Streamed> {
  const out: Streamed = { texts: [], reasons: [], usage: undefined, ids: new Set() };
  const stream = await client.chat.completions.create({ ...params, stream: true });
  for await (const chunk of stream) {
    out.ids.add(chunk.id);
    out.usage = chunk.usage;
    for (const { index, delta, finish_reason } of chunk.choices) {
      out.texts[index] = (out.texts[index] ?? "") + (delta.content ?? "");
      out.reasons[index] ??= finish_reason;
    }
  }
  return out;
}

// log P of every token after the first `from`, by the CPU engine: another program than the tab's.
async function referenceLogprobs(ids: number[], from: number): Promise<Float64Array[]> {
  const logits = await evalLogits(folder, ids);
  const vocab = logits.length / ids.length;
  return ids.slice(from).map((_id, step) => {
    const row = logits.subarray((from + step - 1) * vocab, (from + step) * vocab);
    const most = row.reduce((a, b) => Math.max(a, b));
    const sum = row.reduce((total, logit) => total + Math.exp(logit - most), 0);
    return Float64Array.from(row, (logit) => logit - most - Math.log(sum));
  });
}

describe("chat", () => {
  it("answers whole", async () => {
    const answer = await chat(ask(brief.prompt));
    expect(textOf(answer)).toBe(brief.greedy_text.replace("<|end|>", ""));
    expect(answer).toMatchObject({ object: "chat.completion", model });
    expect(answer.choices).toHaveLength(1);
    expect(answer.choices[0]).toMatchObject({ index: 0, finish_reason: "stop", logprobs: null });
    expect(answer.choices[0]!.message).toMatchObject({ role: "assistant", refusal: null });
    const [asked, made] = [brief.prompt_ids.length, brief.greedy_ids.length];
    expect(answer.usage).toMatchObject({
      prompt_tokens: asked,
      completion_tokens: made,
      total_tokens: asked + made,
    });
  });

  it("streams the same, and says what it used when it is asked to", async () => {
    const params = ask(brief.prompt);
    const plain = await streamed(params);
    expect(plain.texts).toEqual([brief.greedy_text.replace("<|end|>", "")]);
    expect(plain.reasons).toEqual(["stop"]);
    expect(plain.usage).toBeUndefined();
    expect(plain.ids.size).toBe(1);
    const stream_options = { include_usage: true };
    const told = await streamed({ ...params, stream_options } as unknown as ChatParams);
    expect(told.texts).toEqual(plain.texts);
    expect(told.usage).toMatchObject({ completion_tokens: brief.greedy_ids.length });
  });

  it("works with the client's own helper for streams", async () => {
    const { messages } = ask(brief.prompt);
    const runner = client.chat.completions.stream({ model, messages, temperature: 0 });
    let text = "";
    runner.on("content", (delta) => (text += delta));
    const message = await runner.finalMessage();
    expect(message.content).toBe(brief.greedy_text.replace("<|end|>", ""));
    expect(text).toBe(message.content);
  });

  it("goes on with a conversation", async () => {
    const extras = { return_token_ids: true };
    const first = await chat({ ...ask(tale.prompt), ...extras, max_tokens: 12 });
    const messages: OpenAI.ChatCompletionMessageParam[] = [
      { role: "user", content: tale.prompt },
      { role: "assistant", content: textOf(first) },
      { role: "user", content: "Go on." },
    ];
    const second = await chat({ model, messages, temperature: 0, ...extras, max_tokens: 12 });
    const { prompt_token_ids: sent } = second as unknown as WithIds;
    // The model sees what was said before, in the very tokens it was said in.
    const before = [...tale.prompt_ids, ...idsOf(first)];
    expect(idsOf(first)).toEqual(tale.greedy_ids.slice(0, 12));
    expect(sent.slice(0, before.length)).toEqual(before);
    expect(second.usage!.prompt_tokens).toBe(sent.length);
    const again = await chat({ model, messages, temperature: 0, max_tokens: 12 });
    expect(textOf(again)).toBe(textOf(second));
  });

  it("stops at max_tokens, by both of its names", async () => {
    for (const limit of [{ max_tokens: 5 }, { max_completion_tokens: 5 }]) {
      const answer = await chat({ ...ask(tale.prompt), ...limit });
      expect(answer.usage!.completion_tokens).toBe(5);
      expect(answer.choices[0]!.finish_reason).toBe("length");
    }
  });
});

describe("log-probabilities", () => {
  it("are those of the model", async () => {
    const steps = Math.min(16, certainSteps(tale));
    const params = { ...ask(tale.prompt), max_tokens: steps, logprobs: true, top_logprobs: 5 };
    const answer = await chat(params);
    const content = answer.choices[0]!.logprobs!.content!;
    expect(content).toHaveLength(steps);
    expect(content.map(({ token }) => token).join("")).toBe(textOf(answer));
    const ids = [...tale.prompt_ids, ...tale.greedy_ids.slice(0, steps)];
    const expected = await referenceLogprobs(ids, tale.prompt_ids.length);
    for (const [step, entry] of content.entries()) {
      const row = expected[step]!;
      expect(entry.logprob).toBeCloseTo(row[tale.greedy_ids[step]!]!, 3);
      const best = [...row].sort((a, b) => b - a).slice(0, 5);
      expect(entry.top_logprobs).toHaveLength(5);
      for (const [rank, { logprob }] of entry.top_logprobs.entries()) {
        expect(logprob).toBeCloseTo(best[rank]!, 3);
      }
      expect(Buffer.from(entry.bytes!).toString()).toBe(entry.token);
    }
  });

  it("come with streams and with plain completions", async () => {
    const params = { ...ask(tale.prompt), max_tokens: 4, logprobs: true, top_logprobs: 2 };
    const whole = (await chat(params)).choices[0]!.logprobs!.content!;
    const pieces: typeof whole = [];
    for await (const chunk of await client.chat.completions.create({ ...params, stream: true })) {
      pieces.push(...(chunk.choices[0]?.logprobs?.content ?? []));
    }
    expect(pieces).toEqual(whole);
    const plain = await client.completions.create({
      model,
      prompt: tale.prompt_ids,
      max_tokens: 4,
      temperature: 0,
      logprobs: 2,
    });
    const { tokens, token_logprobs, top_logprobs } = plain.choices[0]!.logprobs!;
    expect(tokens).toEqual(whole.map(({ token }) => token));
    expect(token_logprobs).toEqual(whole.map(({ logprob }) => logprob));
    expect(Object.keys(top_logprobs![0]!)).toHaveLength(2);
  });
});

describe("several answers", () => {
  const params = { ...ask(tale.prompt), n: 3, temperature: 1, top_p: 1, seed: 7, max_tokens: 16 };

  it("differ, and are the same for the same seed, whole and streamed", async () => {
    const answer = await chat(params);
    expect(answer.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    const texts = [0, 1, 2].map((index) => textOf(answer, index));
    expect(new Set(texts).size).toBe(3);
    expect((await streamed(params)).texts).toEqual(texts);
    expect(answer.usage!.completion_tokens).toBeGreaterThan(16);
    const other = await chat({ ...params, seed: 8 });
    expect([0, 1, 2].map((index) => textOf(other, index))).not.toEqual(texts);
  });

  it("are for every prompt of a plain completion", async () => {
    const prompt = [brief.prompt_ids, tale.prompt_ids];
    const answer = await client.completions.create({
      model,
      prompt,
      max_tokens: 4,
      temperature: 0,
      n: 2,
    });
    expect(answer.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    const texts = answer.choices.map(({ text }) => text);
    expect(texts[0]).toBe(texts[1]);
    expect(texts[2]).toBe(texts[3]);
    expect(texts[0]).not.toBe(texts[2]);
  });
});

describe("stop sequences", () => {
  // The end of one token and the beginning of the next.
  async function acrossABorder(): Promise<string> {
    const params = { ...ask(tale.prompt), max_tokens: 24, logprobs: true };
    const tokens = (await chat(params)).choices[0]!.logprobs!.content!.map(({ token }) => token);
    const isLong = (at: number): boolean => tokens[at]!.length > 2;
    const at = tokens.findIndex((_token, i) => i > 8 && isLong(i) && isLong(i + 1));
    expect(at).toBeGreaterThan(0);
    return tokens[at]!.slice(-2) + tokens[at + 1]!.slice(0, 2);
  }

  it("are found across tokens' borders, and never shown", async () => {
    const stop = await acrossABorder();
    const expected = tale.greedy_text.slice(0, tale.greedy_text.indexOf(stop));
    for (const stops of [stop, ["never to be found", stop]]) {
      const params = { ...ask(tale.prompt), stop: stops };
      const answer = await chat(params);
      expect(textOf(answer)).toBe(expected);
      expect(answer.choices[0]!.finish_reason).toBe("stop");
      const { texts, reasons } = await streamed(params);
      expect(texts).toEqual([expected]);
      expect(reasons).toEqual(["stop"]);
    }
    // The tab does not go on for nobody.
    await coordinator.untilStatus("no session", ({ sessions }) => sessions === 0);
  });

  it("end what is held back when they do not come", async () => {
    const text = brief.greedy_text.replace("<|end|>", "");
    const { texts } = await streamed({ ...ask(brief.prompt), stop: [`${text.slice(-3)}never`] });
    expect(texts).toEqual([text]);
  });
});

describe("sampling parameters", () => {
  const hot = { temperature: 2, top_p: 1, seed: 3, max_tokens: 12 };

  it("min_p and top_k leave the most probable token", async () => {
    const plain = textOf(await chat({ ...ask(tale.prompt), max_tokens: 12 }));
    const narrow: Extras[] = [{ min_p: 1 }, { top_k: 1 }];
    for (const extras of narrow) {
      expect(textOf(await chat({ ...ask(tale.prompt), ...hot, ...extras }))).toBe(plain);
    }
    expect(textOf(await chat({ ...ask(tale.prompt), ...hot }))).not.toBe(plain);
    expect(textOf(await chat({ ...ask(tale.prompt), ...hot, top_p: 0 }))).toBe(plain);
  });

  it("logit_bias forces tokens and forbids them", async () => {
    const extras = { return_token_ids: true, max_tokens: 3 };
    const [first, other] = [tale.greedy_ids[0]!, tale.greedy_ids[5]!];
    const forced = await chat({ ...ask(tale.prompt), ...extras, logit_bias: { [other]: 100 } });
    expect(idsOf(forced)).toEqual([other, other, other]);
    const forbidden = await chat({ ...ask(tale.prompt), ...extras, logit_bias: { [first]: -100 } });
    const row = (await referenceLogprobs([...tale.prompt_ids, first], tale.prompt_ids.length))[0]!;
    row[first] = -Infinity;
    expect(idsOf(forbidden)[0]).toBe(row.indexOf(Math.max(...row)));
  });

  // Greedy decoding by hand: the model's own probabilities, less what the penalty takes.
  it.each<[string, Partial<ChatParams> & Extras, (logit: number, count: number) => number]>([
    ["frequency_penalty", { frequency_penalty: 1.5 }, (x, count) => x - 1.5 * count],
    ["presence_penalty", { presence_penalty: 1.5 }, (x, count) => x - 1.5 * Math.min(count, 1)],
    [
      "repetition_penalty",
      { repetition_penalty: 1.8 },
      (x, count) => (count === 0 ? x : x > 0 ? x / 1.8 : x * 1.8),
    ],
  ])("%s does what its formula says", async (_name, parameters, penalised) => {
    const extras = { return_token_ids: true, max_tokens: 20 };
    const answer = await chat({ ...ask(tale.prompt), ...extras, ...parameters });
    const ids = [...tale.prompt_ids, ...idsOf(answer)];
    const logits = await evalLogits(folder, ids);
    const vocab = logits.length / ids.length;
    for (let at = tale.prompt_ids.length; at < ids.length; ++at) {
      const counts = new Map<number, number>();
      for (const id of ids.slice(0, at)) counts.set(id, (counts.get(id) ?? 0) + 1);
      const row = logits.subarray((at - 1) * vocab, at * vocab);
      const values = Array.from(row, (logit, id) => penalised(logit, counts.get(id) ?? 0));
      // Near ties may go either way between two programs.
      expect(values[ids[at]!]!).toBeGreaterThan(Math.max(...values) - 1e-2);
    }
    expect(idsOf(answer)).not.toEqual(tale.greedy_ids.slice(0, 20));
  });
});

it("cancels what the client leaves", async () => {
  const stream = await client.chat.completions.create({ ...ask(tale.prompt), stream: true });
  let pieces = 0;
  for await (const _chunk of stream) {
    if (++pieces === 3) stream.controller.abort();
  }
  expect(pieces).toBeLessThan(20);
  await coordinator.untilStatus("no session", ({ sessions }) => sessions === 0);
});

describe("errors", () => {
  async function errorOf(call: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
    const thrown = await call.then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(thrown).toBeInstanceOf(OpenAI.APIError);
    return thrown as InstanceType<typeof OpenAI.APIError>;
  }

  it.each<[string, object, string]>([
    ["no messages", { messages: [] }, "messages"],
    ["a role that is no string", { messages: [{ role: 1, content: "x" }] }, "messages"],
    ["a temperature out of range", { temperature: 3 }, "temperature"],
    ["a string for a number", { max_tokens: "many" }, "max_tokens"],
    ["too many log-probabilities", { logprobs: true, top_logprobs: 21 }, "top_logprobs"],
    ["more answers than are made for one client", { n: 65 }, "n"],
    ["a token that is not in the vocabulary", { logit_bias: { 9999999: 1 } }, "logit_bias"],
    ["an image", { messages: [{ role: "user", content: [{ type: "image_url" }] }] }, "messages"],
  ])("400 for %s", async (_name, wrong, param) => {
    const error = await errorOf(chat({ ...ask("hello"), ...wrong } as ChatParams));
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ status: 400, type: "invalid_request_error" });
    expect(error.param).toContain(param);
  });

  it("400 for more than the context holds", async () => {
    const error = await errorOf(chat({ ...ask("hello"), max_tokens: 100_000 }));
    expect(error).toMatchObject({ status: 400, code: "context_length_exceeded" });
  });

  it("404 for another model and another path", async () => {
    const missing = await errorOf(chat({ ...ask("hello"), model: "gpt-4o" }));
    expect(missing).toBeInstanceOf(OpenAI.NotFoundError);
    expect(missing).toMatchObject({ code: "model_not_found", param: "model" });
    await expect(client.models.retrieve("gpt-4o")).rejects.toThrow(OpenAI.NotFoundError);
    await expect(client.get("/nowhere")).rejects.toThrow(OpenAI.NotFoundError);
    await expect(client.get("/chat/completions")).rejects.toMatchObject({ status: 405 });
  });

  it("403 for a page of another origin", async () => {
    const headers = { Origin: "https://stranger.example" };
    const call = client.models.list({ headers }).then(() => {});
    await expect(call).rejects.toThrow(OpenAI.PermissionDeniedError);
  });

  it("413 for a body that is too large", async () => {
    const error = await errorOf(chat(ask("x".repeat((8 << 20) + 1))));
    expect(error.status).toBe(413);
    expect(error.message).toMatch(/large/);
  });

  it("429 with the time to wait, for too many requests and too many answers", async () => {
    const strict = await Coordinator.start(folder, "--requests-per-minute", "4");
    try {
      await strict.client.models.list();
      const limited = await errorOf(strict.client.models.list().then(() => {}));
      expect(limited).toBeInstanceOf(OpenAI.RateLimitError);
      expect(limited.code).toBe("rate_limit_exceeded");
      expect(Number(limited.headers!.get("retry-after"))).toBeGreaterThan(0);
    } finally {
      await strict.stop();
    }
    const params = { ...ask(tale.prompt), n: 20, max_tokens: 4 };
    const many = Array.from({ length: 3 }, () => chat(params));
    const results = await Promise.allSettled(many);
    const refused = results.filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(2);
    expect(refused[0]).toMatchObject({ reason: { status: 429 } });
  });

  it("503 when nobody lends, and none at all when nobody listens", async () => {
    const empty = await Coordinator.start(folder);
    const error = await errorOf(empty.client.chat.completions.create(ask("hello")));
    expect(error).toBeInstanceOf(OpenAI.InternalServerError);
    expect(error).toMatchObject({ status: 503, code: "service_unavailable" });
    expect(Number(error.headers!.get("retry-after"))).toBeGreaterThan(0);
    await empty.stop();
    await expect(empty.client.models.list()).rejects.toThrow(OpenAI.APIConnectionError);
  });
});
