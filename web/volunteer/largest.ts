// Sampling from the largest logits alone, where they decide (`Core.largestNeeded`).

import type { Core, SampledToken, Sampling } from "../core/index.ts";

// The largest logits of a row with their ids, and the logarithm of the sum of the exponentials of
// all its logits.
export interface LargestLogits {
  ids: Int32Array<ArrayBuffer>;
  logits: Float32Array<ArrayBuffer>;
  logSumExp: number;
}

// So many are picked out; of a smaller vocabulary, all.
export const largestLogits = 128;

// What `core.sample` gives for all of the row's logits. They are shown to it in order of their ids,
// which tells equal ones apart; what it says of their own sum is then put right.
export function sampleLargest(
  core: Core,
  { ids, logits, logSumExp }: LargestLogits,
  sampling: Sampling,
  position: number,
): SampledToken {
  const places = [...ids.keys()].sort((a, b) => ids[a]! - ids[b]!);
  const ordered = Float32Array.from(places, (place) => logits[place]!);
  const sampled = core.sample(ordered, sampling, position);
  const less = logSumExp - sampled.log_sum_exp;
  const idAt = (index: number): number => ids[places[index]!]!;
  return {
    token: idAt(sampled.token),
    logprob: sampled.logprob - less,
    log_sum_exp: logSumExp,
    top: sampled.top.map(({ token, logprob }) => ({
      token: idAt(token),
      logprob: logprob - less,
    })),
  };
}
