import { expect, it } from "vitest";

import { niceTop, parseHistory, runsOf } from "./history.ts";

const columns = ["t", "tokens_per_second", "volunteers", "answers", "available"];

it("reads series by the names of their columns, and leaves out what is odd", () => {
  const [series, ...rest] = parseHistory({
    series: [
      {
        period_s: 10,
        columns,
        samples: [[100, 2.5, 3, 1, 1], [110, "x", 3, 1, 1], 7, [120, 0, 2, 0, 3]],
      },
      { period_s: 0, columns, samples: [] },
      null,
    ],
  });
  expect(rest).toEqual([]);
  expect(series).toEqual({
    periodSeconds: 10,
    samples: [
      { t: 100, tokensPerSecond: 2.5, volunteers: 3, available: 1 },
      { t: 120, tokensPerSecond: 0, volunteers: 2, available: 1 },
    ],
  });
  expect(() => parseHistory({})).toThrow("unknown form");
  expect(() => parseHistory(null)).toThrow("unknown form");
});

it("cuts a line where the coordinator was away", () => {
  const sample = (t: number) => ({ t, tokensPerSecond: 1, volunteers: 1, available: 1 });
  const series = { periodSeconds: 10, samples: [0, 10, 20, 300, 310].map(sample) };
  expect(runsOf(series).map((run) => run.map(({ t }) => t))).toEqual([
    [0, 10, 20],
    [300, 310],
  ]);
});

it("finds a round top", () => {
  expect([0, 0.3, 1, 1.1, 18, 51, 200].map(niceTop)).toEqual([1, 0.5, 1, 2, 20, 100, 200]);
});
