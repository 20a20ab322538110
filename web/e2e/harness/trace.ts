// The trace that a coordinator writes (docs/trace.md), read back.

import { existsSync, readFileSync } from "node:fs";

export interface RoutedStage {
  node: number;
  first: number;
  last: number;
  kept: number;
  // From another session there, or from a volunteer who leaves.
  copied: number;
}

export interface Routed {
  event: "routed";
  t: number;
  session: string;
  epoch: number;
  from: number;
  stages: RoutedStage[];
}

export interface StepDone {
  event: "step";
  t: number;
  node: number;
  session: string;
  epoch: number;
  position: number;
  rows: number;
  first: number;
  last: number;
}

export interface TokenMade {
  event: "token";
  t: number;
  session: string;
  epoch: number;
  position: number;
}

export type TraceEvent =
  | Routed
  | StepDone
  | TokenMade
  | { event: "left"; t: number; node: number }
  | { event: "opened"; t: number; session: string }
  | { event: "ended"; t: number; session: string; how: string }
  | { event: "joined" | "assigned" | "loaded"; t: number; node: number };

export function readTrace(path: string): TraceEvent[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as TraceEvent);
}

export function eventsOf<E extends TraceEvent["event"]>(
  events: TraceEvent[],
  event: E,
): Extract<TraceEvent, { event: E }>[] {
  return events.filter((one) => one.event === event) as Extract<TraceEvent, { event: E }>[];
}

// How far a replica may be behind and still count as warm.
const fewRows = 16;

export interface Recovery {
  // When the route after began.
  at: number;
  // Volunteers of the route before that are not in the one after, with what they held.
  lost: RoutedStage[];
  // Steps of the new route that were run again: under the later epoch, at positions before the last
  // token of the earlier. Replicas that follow beside the route are not among them.
  replayed: StepDone[];
  // Whether whoever took over had the positions already, but for a few.
  warm: boolean;
}

// Every change of a session's route, in order.
export function recoveriesOf(events: TraceEvent[], session: string): Recovery[] {
  const routes = eventsOf(events, "routed").filter((routed) => routed.session === session);
  const steps = eventsOf(events, "step").filter((step) => step.session === session);
  const tokens = eventsOf(events, "token").filter((token) => token.session === session);
  const reached = (later: number): number =>
    Math.max(0, ...tokens.filter(({ epoch }) => epoch < later).map(({ position }) => position));
  return routes.slice(1).map((route, i) => {
    const before = routes[i]!.stages;
    const nodes = new Set(route.stages.map(({ node }) => node));
    const old = new Set(before.map(({ node }) => node));
    return {
      at: route.t,
      lost: before.filter(({ node }) => !nodes.has(node)),
      replayed: steps.filter(
        ({ epoch, position, node }) =>
          epoch === route.epoch && position < reached(route.epoch) && nodes.has(node),
      ),
      warm: route.stages.every(
        ({ node, kept }) => old.has(node) || kept + fewRows >= reached(route.epoch),
      ),
    };
  });
}
