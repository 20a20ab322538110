// Known answers, and how far they bind: a greedy step whose margin is tiny may go either way, and
// then everything after it.

import { readFileSync } from "node:fs";

import { storyteller, storytellerSmall } from "./paths.ts";

export interface Prompt {
  prompt: string;
  prompt_ids: number[];
  greedy_ids: number[];
  greedy_margin: number[];
  greedy_text: string;
}

const marginMin = 1e-3;

const promptsOf = (model: string): Prompt[] =>
  (JSON.parse(readFileSync(`${model}/reference.json`, "utf8")) as { prompts: Prompt[] }).prompts;

export const prompts = promptsOf(storyteller);
export const smallPrompts = promptsOf(storytellerSmall);

// How many of the greedy ids are certain.
export function certainSteps({ greedy_margin: margins }: Prompt): number {
  const first = margins.findIndex((margin) => margin < marginMin);
  return first === -1 ? margins.length : first;
}
