import { expect, it } from "vitest";

import { layOut } from "./picture_layout.ts";
import { parseStatus } from "./status.ts";

const volunteer = (id: number, from: number, to: number, more = {}) => ({
  id,
  blocks: [[from, to]],
  state: "ready",
  ...more,
});

const stage = (id: number, from: number, to: number) => ({ id, blocks: [from, to] });

it("gives everybody a lane while there are few", () => {
  const status = parseStatus({
    ready: true,
    blocks: 6,
    volunteers: [volunteer(7, 3, 6), volunteer(4, 0, 3), volunteer(9, 3, 6)],
    route: [stage(4, 0, 3), stage(9, 3, 6)],
    sessions: 1,
  });
  const { lanes, spans, missing, routes } = layOut(status, 3);
  expect(lanes).toBe(3);
  expect(spans.map(({ id, lane, colour }) => [id, lane, colour])).toEqual([
    [4, 0, 0],
    [7, 1, 1],
    [9, 2, 1],
  ]);
  expect(missing).toEqual([]);
  // No answer is under way: the route that a token would take.
  expect(routes).toEqual([
    {
      legs: [
        { from: 0, to: 3, lane: 0 },
        { from: 3, to: 6, lane: 2 },
      ],
      answers: 0,
    },
  ]);
});

it("lets many share lanes, without two at one place", () => {
  const volunteers = Array.from({ length: 200 }, (_, index) => {
    const from = (index * 7) % 60;
    return volunteer(index + 1, from, from + 1 + (index % 9));
  });
  const status = parseStatus({ ready: true, blocks: 64, volunteers });
  const { lanes, spans } = layOut(status, 12);
  const taken = new Set<string>();
  for (const { lane, from, to } of spans) {
    for (let block = from; block < to; ++block) {
      expect(taken.has(`${lane} ${block}`)).toBe(false);
      taken.add(`${lane} ${block}`);
    }
  }
  // As few lanes as the most crowded block needs.
  const crowd = Array.from(
    { length: 64 },
    (_, block) => spans.filter(({ from, to }) => from <= block && block < to).length,
  );
  expect(lanes - 1).toBeLessThanOrEqual(Math.max(...crowd));
});

it("shows the routes of answers under way, what is missing, and what is on its way", () => {
  const status = parseStatus({
    ready: false,
    blocks: 6,
    volunteers: [
      volunteer(1, 0, 4),
      volunteer(2, 0, 3, { state: "loading", bytes_done: 30, bytes_total: 40 }),
    ],
    route: [stage(1, 0, 4)],
    routes: [
      { stages: [stage(1, 0, 4)], answers: 2 },
      { stages: [stage(99, 0, 6)], answers: 1 },
      { stages: [], answers: 1 },
    ],
  });
  const { lanes, spans, missing, routes } = layOut(status, 5);
  expect(missing).toEqual([[4, 6]]);
  expect(lanes).toBe(3);
  expect(spans[1]).toMatchObject({ isReady: false, done: 0.75 });
  // Whoever is not there is not passed through.
  expect(routes).toEqual([{ legs: [{ from: 0, to: 4, lane: 0 }], answers: 2 }]);
});
