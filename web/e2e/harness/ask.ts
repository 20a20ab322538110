// Asking the API, with the real client.

import type OpenAI from "openai";

// Fields that this API adds to the OpenAI ones.
interface Extras {
  return_token_ids: boolean;
}
interface ChunkExtras {
  token_ids?: number[];
}

export interface AskOptions {
  maxTokens: number;
  temperature?: number;
  seed?: number;
  // Called with the number of ids so far.
  onTokens?: (count: number) => void;
}

// Streams a completion of token ids and gives the ids that came.
export async function completeIds(
  client: OpenAI,
  promptIds: number[],
  { maxTokens, temperature = 0, seed = 0, onTokens }: AskOptions,
): Promise<number[]> {
  const request: OpenAI.CompletionCreateParamsStreaming & Extras = {
    // Served whatever its name.
    model: await servedModel(client),
    prompt: promptIds,
    max_tokens: maxTokens,
    temperature,
    seed,
    stream: true,
    return_token_ids: true,
  };
  const ids: number[] = [];
  for await (const chunk of await client.completions.create(request)) {
    const choice = chunk.choices[0] as (typeof chunk.choices)[0] & ChunkExtras;
    const more = choice?.token_ids ?? [];
    ids.push(...more);
    if (more.length > 0) onTokens?.(ids.length);
  }
  return ids;
}

export async function servedModel(client: OpenAI): Promise<string> {
  const models = await client.models.list();
  return models.data[0]!.id;
}
