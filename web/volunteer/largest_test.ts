// The token from the largest logits against the token from all of them.

import { beforeAll, expect, it } from "vitest";

import type { Core, Sampling } from "../core/index.ts";
import { largestLogits, sampleLargest } from "./largest.ts";
import { greedy, testCore } from "./testing/frames.ts";

let core: Core;
beforeAll(async () => void (core = await testCore()));

// A little generator of its own, for logits between -8 and 8 in so many steps to a unit.
function makeLogits(vocab: number, seed: number, steps: number): Float32Array {
  let state = seed + 1;
  return Float32Array.from({ length: vocab }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.round((state / 2 ** 32 - 0.5) * 16 * steps) / steps;
  });
}

// In any order, and of equal ones the last ids.
function pick(logits: Float32Array) {
  const sorted = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || b - a);
  const ids = Int32Array.from(sorted.slice(0, largestLogits)).reverse();
  const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
  return { ids, logits: Float32Array.from(ids, (id) => logits[id]!), logSumExp: Math.log(sum) };
}

const samplings: [string, Partial<Sampling>][] = [
  ["greedy", {}],
  ["greedy with alternatives", { top_logprobs: 20 }],
  ["top_k", { temperature: 1.3, top_k: 40, top_logprobs: 3 }],
  ["top_k and top_p", { temperature: 0.8, top_k: 50, top_p: 0.9 }],
  ["top_k and min_p", { temperature: 2, top_k: 100, min_p: 0.05 }],
];

it.each(samplings)("%s: the token that all logits give", (_name, change) => {
  let decided = 0;
  for (let seed = 0; seed < 60; ++seed) {
    const logits = makeLogits([7, 128, 400, 5000][seed % 4]!, seed, seed % 3 === 0 ? 64 : 2 ** 16);
    const sampling = greedy(0, { seed: BigInt(seed), ...change });
    const needed = core.largestNeeded(sampling);
    const largest = pick(logits);
    const least = Math.min(...largest.logits);
    const above = largest.logits.filter((logit) => logit > least).length;
    if (logits.length > largestLogits && above < needed) continue;
    ++decided;
    const expected = core.sample(logits, sampling, seed);
    const sampled = sampleLargest(core, largest, sampling, seed);
    expect(sampled.token).toBe(expected.token);
    expect(sampled.logprob).toBeCloseTo(expected.logprob, 4);
    expect(sampled.log_sum_exp).toBeCloseTo(expected.log_sum_exp, 4);
    expect(sampled.top.map(({ token }) => token)).toEqual(expected.top.map(({ token }) => token));
    for (const [i, { logprob }] of sampled.top.entries()) {
      expect(logprob).toBeCloseTo(expected.top[i]!.logprob, 4);
    }
  }
  expect(decided).toBeGreaterThan(30);
});

it("knows which need all logits", () => {
  const needed = (change: Partial<Sampling>) => core.largestNeeded(greedy(0, change));
  expect(needed({})).toBe(1);
  expect(needed({ temperature: 1, top_k: 127 })).toBe(127);
  expect(needed({ temperature: 1, top_k: 128 })).toBe(0);
  expect(needed({ temperature: 1, top_p: 0.9 })).toBe(0);
  expect(needed({ biases: [{ token: 1, bias: 1 }] })).toBe(0);
});
