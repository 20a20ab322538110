import { expect, it } from "vitest";

import { parseStatus } from "../common/status.ts";
import { coverageOf, describeRun, leastCopies, runsOfCoverage } from "./coverage.ts";

const status = parseStatus({
  ready: true,
  blocks: 6,
  volunteers: [
    { id: 1, blocks: [[0, 4]], state: "ready" },
    { id: 2, blocks: [[2, 6]], state: "ready" },
    { id: 3, blocks: [[4, 99]], state: "loading" },
    { id: 4, blocks: [], state: "spare" },
  ],
});

it("counts who holds a block, and who is fetching it", () => {
  const coverage = coverageOf(status);
  expect(coverage).toEqual({ ready: [1, 1, 2, 2, 1, 1], loading: [0, 0, 0, 0, 1, 1] });
  expect(leastCopies(coverage)).toBe(1);
  expect(leastCopies({ ready: [], loading: [] })).toBe(0);
});

it("says it in words", () => {
  const runs = runsOfCoverage(coverageOf(status));
  expect(runs.map((run) => describeRun(run, 6))).toEqual([
    "embedding and layer 1: 1 volunteer",
    "layers 2\u20133: 2 volunteers",
    "layer 4 and head: 1 volunteer, 1 fetching",
  ]);
  const none = runsOfCoverage({ ready: [0], loading: [0] });
  expect(describeRun(none[0]!, 3)).toBe("embedding: nobody");
});
