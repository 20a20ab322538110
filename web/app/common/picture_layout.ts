// Where the parts of the swarm's picture lie: the model's blocks across, volunteers down.

import { stagesOf, unheldRanges, type StageStatus, type Status } from "./status.ts";

// A volunteer's blocks [from, to) in a lane.
export interface PlacedSpan {
  id: number;
  from: number;
  to: number;
  lane: number;
  // Those that hold from the same block on have the same.
  colour: number;
  // How much of it is here, from 0 to 1.
  done: number;
  // Whether steps can be run on it.
  isReady: boolean;
}

// A way that tokens take now, or would take.
export interface PlacedRoute {
  // Where the lane changes: blocks [from, to) in a lane, in order.
  legs: { from: number; to: number; lane: number }[];
  // How many answers pass along it now.
  answers: number;
}

export interface PictureLayout {
  blocks: number;
  lanes: number;
  spans: PlacedSpan[];
  // Blocks that nobody holds; they lie in the last lane.
  missing: [number, number][];
  routes: PlacedRoute[];
}

// Every holder has a lane of its own where `lanesMax` lanes suffice for that; otherwise those who
// hold different blocks share lanes.
export function layOut(status: Status, lanesMax: number): PictureLayout {
  const spans = placeSpans(status);
  const ownLanes = spans.length <= lanesMax;
  let lanes = 0;
  if (ownLanes) {
    for (const span of spans) span.lane = lanes++;
  } else {
    lanes = shareLanes(spans);
  }
  const missing = unheldRanges(status);
  if (missing.length > 0) ++lanes;
  return { blocks: status.blocks, lanes, spans, missing, routes: placeRoutes(status, spans) };
}

function placeSpans({ volunteers, blocks }: Status): PlacedSpan[] {
  const spans = volunteers.flatMap(({ id, blocks: ranges, state, bytesDone, bytesTotal }) =>
    ranges.map(([from, last]) => ({
      id,
      from,
      to: Math.min(last, blocks),
      lane: 0,
      colour: 0,
      done: state === "loading" && bytesTotal > 0 ? Math.min(1, bytesDone / bytesTotal) : 1,
      isReady: state !== "loading",
    })),
  );
  const inside = spans.filter(({ from, to }) => from < to);
  inside.sort((a, b) => a.from - b.from || a.id - b.id);
  const starts = [...new Set(inside.map(({ from }) => from))];
  for (const span of inside) span.colour = starts.indexOf(span.from);
  return inside;
}

// The first lane that is free from the span's first block on; how many lanes that takes.
function shareLanes(spans: PlacedSpan[]): number {
  const ends: number[] = [];
  for (const span of spans) {
    const free = ends.findIndex((end) => end <= span.from);
    span.lane = free === -1 ? ends.length : free;
    ends[span.lane] = span.to;
  }
  return ends.length;
}

// The routes of the answers under way; while there is none, the way that a token would take.
function placeRoutes(status: Status, spans: readonly PlacedSpan[]): PlacedRoute[] {
  const laneOf = new Map(spans.map(({ id, lane }) => [id, lane]));
  const place = (stages: StageStatus[], answers: number): PlacedRoute[] => {
    const legs = stages.flatMap(({ id, blocks: [from, to] }) => {
      const lane = laneOf.get(id);
      return lane === undefined || to > status.blocks ? [] : [{ from, to, lane }];
    });
    return legs.length === stages.length && legs.length > 0 ? [{ legs, answers }] : [];
  };
  const running = status.routes.flatMap(({ stages, answers }) => place(stages, answers));
  if (running.length > 0) return running;
  return place(stagesOf(status), 0);
}
