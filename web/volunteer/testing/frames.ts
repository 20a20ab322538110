// Frames and cores for tests.

import { readFileSync } from "node:fs";

import { loadCore, type Core, type Sampling } from "../../core/index.ts";

export async function testCore(): Promise<Core> {
  return await loadCore(readFileSync(new URL("../../core/shoal_core.wasm", import.meta.url)));
}

export function greedy(row: number, change: Partial<Sampling> = {}): Sampling {
  return {
    row,
    seed: 0n,
    choice: 0,
    temperature: 0,
    top_k: 0,
    top_p: 1,
    min_p: 0,
    repetition_penalty: 1,
    frequency_penalty: 0,
    presence_penalty: 0,
    top_logprobs: 0,
    history: [],
    biases: [],
    mask: new Uint8Array(),
    ...change,
  };
}
