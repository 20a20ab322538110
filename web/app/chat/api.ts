// /v1/chat/completions, streamed.

import { apiKeyOf, ownStorage } from "../common/access.ts";
import { requestFields, type Settings } from "./settings.ts";
import { readEvents } from "./sse.ts";
import type { Message } from "./tree.ts";

// Why an answer did not come or did not end; `detail` is for a person.
export class ChatError extends Error {
  // 0: no answer at all, or one that broke off.
  readonly status: number;
  readonly retryAfterMs: number;

  constructor(status: number, detail: string, retryAfterMs = 0) {
    super(detail);
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export type ChatEvent =
  | { kind: "text"; text: string }
  | { kind: "finish"; reason: string }
  | { kind: "usage"; completionTokens: number };

interface Chunk {
  choices?: { delta?: { content?: string | null }; finish_reason?: string | null }[];
  usage?: { completion_tokens?: number } | null;
  error?: { message?: string };
}

export interface ChatRequest {
  // Of the coordinator; "" is that of the page.
  origin: string;
  messages: Message[];
  settings: Settings;
}

// Gives the answer piece by piece; throws ChatError. Aborting `signal` ends it silently.
export async function* chat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<ChatEvent> {
  try {
    const response = await post(request, signal);
    if (response.body === null) throw new ChatError(0, "The coordinator sent an empty answer.");
    let finished = false;
    for await (const data of readEvents(response.body)) {
      if (data === "[DONE]") return;
      for (const event of eventsOf(data)) {
        finished ||= event.kind === "finish";
        yield event;
      }
    }
    if (!finished) throw new ChatError(0, "The connection ended in the middle of the answer.");
  } catch (thrown) {
    if (signal.aborted) return;
    if (thrown instanceof ChatError) throw thrown;
    throw new ChatError(0, "The coordinator cannot be reached.");
  }
}

async function post(
  { origin, messages, settings }: ChatRequest,
  signal: AbortSignal,
): Promise<Response> {
  const response = await fetch(`${origin}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...authorization(origin) },
    body: JSON.stringify({
      messages,
      ...requestFields(settings),
      stream: true,
      stream_options: { include_usage: true },
    }),
    signal,
  });
  if (!response.ok) throw await errorOf(response);
  return response;
}

let lastKey = "";

// The key for this page's own coordinator, as the address says now, or said before.
export function ownKey(): string {
  lastKey = apiKeyOf(new URL(location.href), ownStorage()) || lastKey;
  return lastKey;
}

// For this page's own coordinator only.
function authorization(origin: string): Record<string, string> {
  const key = origin === "" ? ownKey() : "";
  return key === "" ? {} : { Authorization: `Bearer ${key}` };
}

async function errorOf(response: Response): Promise<ChatError> {
  if (response.status === 401) {
    const detail =
      "This coordinator answers only with a key. Open the link that its owner gave you, or put " +
      "#key= and the key behind this page\u2019s address.";
    return new ChatError(401, detail);
  }
  const body = (await response.json().catch(() => undefined)) as Chunk | undefined;
  const detail = body?.error?.message ?? `The coordinator answered ${response.status}.`;
  const seconds = Number(response.headers.get("Retry-After"));
  return new ChatError(response.status, detail, Number.isFinite(seconds) ? seconds * 1000 : 0);
}

function* eventsOf(data: string): Generator<ChatEvent> {
  let chunk: Chunk;
  try {
    chunk = JSON.parse(data) as Chunk;
  } catch {
    throw new ChatError(0, "The coordinator sent something that is not JSON.");
  }
  if (chunk.error !== undefined) {
    throw new ChatError(0, chunk.error.message ?? "The answer could not be finished.");
  }
  const choice = chunk.choices?.[0];
  const text = choice?.delta?.content;
  if (typeof text === "string" && text !== "") yield { kind: "text", text };
  if (typeof choice?.finish_reason === "string") {
    yield { kind: "finish", reason: choice.finish_reason };
  }
  if (typeof chunk.usage?.completion_tokens === "number") {
    yield { kind: "usage", completionTokens: chunk.usage.completion_tokens };
  }
}
