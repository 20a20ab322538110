import { describe, expect, it } from "vitest";

import { describeBlocks, isArriving, parseStatus, stagesOf, unheldRanges } from "./status.ts";

const plain = {
  ready: true,
  missing_bytes: 0,
  blocks: 10,
  volunteers: [
    { id: 4, executor: "ort-wasm", blocks: [[0, 4]], memory_bytes: 1024, tokens_done: 7 },
  ],
  sessions: 1,
  tokens_per_second: 2.5,
};

describe("parseStatus", () => {
  it("reads the fixed form", () => {
    expect(parseStatus(plain)).toEqual({
      ready: true,
      missingBytes: 0,
      blocks: 10,
      volunteers: [
        {
          id: 4,
          executor: "ort-wasm",
          blocks: [[0, 4]],
          memoryBytes: 1024,
          tokensDone: 7,
          state: "",
          bytesDone: 0,
          bytesTotal: 0,
          roundTripMs: 0,
          blockRowsDone: 0,
          stepErrorPercent: undefined,
        },
      ],
      route: [],
      routes: [],
      sessions: 1,
      tokensPerSecond: 2.5,
      predictedTokenMs: 0,
      measuredTokenMs: 0,
      model: "",
      detail: "",
    });
  });

  it("reads routes, predictions and how far off they are", () => {
    const stage = { id: 4, blocks: [0, 10] };
    const steps = [{ measured: 0, error_percent: 0 }, { measured: 9, error_percent: 3.5 }, "x"];
    const status = parseStatus({
      ...plain,
      volunteers: steps.map((step) => ({ step, block_rows_done: 12 })),
      routes: [{ stages: [stage, 7], answers: 2 }, { stages: "x" }, null],
      predicted_token_ms: 40,
      measured_token_ms: 44,
    });
    expect(status).toMatchObject({ predictedTokenMs: 40, measuredTokenMs: 44 });
    expect(status.routes).toEqual([{ stages: [stage], answers: 2 }]);
    const errors = status.volunteers.map(({ stepErrorPercent }) => stepErrorPercent);
    expect(errors).toEqual([undefined, 3.5, undefined]);
    expect(status.volunteers[0]!.blockRowsDone).toBe(12);
  });

  it("leaves out what is odd", () => {
    const odd = parseStatus({
      ready: false,
      blocks: -3,
      volunteers: [null, { id: "x", blocks: [[3, 1], [1, 2], "y", [0.5, 2]] }],
    });
    expect(odd).toMatchObject({ blocks: 0, sessions: 0 });
    expect(odd.volunteers).toMatchObject([{ id: 0, blocks: [[1, 2]] }]);
  });

  it.each([null, [], "ok", {}, { ready: 1 }])("refuses %j", (json) => {
    expect(() => parseStatus(json)).toThrow("unknown form");
  });
});

it("finds the blocks that nobody holds", () => {
  const holds = (...blocks: [number, number][]) =>
    unheldRanges(parseStatus({ ...plain, volunteers: [{ blocks }] }));
  expect(holds([0, 10])).toEqual([]);
  expect(holds([0, 4], [6, 9])).toEqual([
    [4, 6],
    [9, 10],
  ]);
  expect(holds()).toEqual([[0, 10]]);
  expect(holds([3, 99])).toEqual([[0, 3]]);
});

it("names blocks", () => {
  expect(describeBlocks([0, 1], 10)).toBe("embedding");
  expect(describeBlocks([0, 4], 10)).toBe("embedding and layers 1\u20133");
  expect(describeBlocks([4, 5], 10)).toBe("layer 4");
  expect(describeBlocks([8, 10], 10)).toBe("layer 8 and head");
  expect(describeBlocks([9, 10], 10)).toBe("head");
  expect(describeBlocks([0, 10], 10)).toBe("embedding, layers 1\u20138 and head");
});

describe("stagesOf", () => {
  const stages = (...route: [number, number, number][]) =>
    stagesOf(
      parseStatus({ ...plain, route: route.map(([id, a, b]) => ({ id, blocks: [a, b] })) }),
    ).map(({ id, blocks }) => [id, ...blocks]);

  it("goes from the first block to the last, over the gaps", () => {
    expect(stages([7, 0, 4], [9, 4, 10])).toEqual([
      [7, 0, 4],
      [9, 4, 10],
    ]);
    expect(stages([9, 4, 8])).toEqual([
      [0, 0, 4],
      [9, 4, 8],
      [0, 8, 10],
    ]);
    expect(stages()).toEqual([[0, 0, 10]]);
  });

  it("passes over stages that cannot be", () => {
    expect(stages([1, 0, 5], [2, 3, 8], [3, 5, 12])).toEqual([
      [1, 0, 5],
      [0, 5, 10],
    ]);
    expect(stages([1, 5, 5])).toEqual([[0, 0, 10]]);
  });
});

it("tells pieces on their way from pieces without a place", () => {
  const of = (state: string, last: number, ready = false) =>
    isArriving(parseStatus({ ...plain, ready, volunteers: [{ blocks: [[0, last]], state }] }));
  expect(of("loading", 10)).toBe(true);
  expect(of("loading", 9)).toBe(false);
  expect(of("ready", 10)).toBe(false);
  expect(of("loading", 10, true)).toBe(false);
});
