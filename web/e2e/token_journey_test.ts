// docs/token.md, held against the trace of a real run: the events that its table names happen in
// its order, and each token passes through every block once.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, expect, it } from "vitest";

import { completeIds } from "./harness/ask.ts";
import { Coordinator } from "./harness/coordinator.ts";
import { root, storytellerSmall } from "./harness/paths.ts";
import { smallPrompts as prompts } from "./harness/reference.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

interface TraceEvent {
  event: string;
  t: number;
  session?: string;
  node?: number;
  position?: number;
  rows?: number;
  first?: number;
  last?: number;
  sent?: number;
  queue_us?: number;
  compute_us?: number;
  encode_us?: number;
  transfer_us?: number;
  bytes_in?: number;
  bytes_out?: number;
}
type StepEvent = Required<TraceEvent>;

const stages = 3;
const tokens = 8;
const folder = mkdtempSync(`${tmpdir()}/shoal-trace-`);
const prompt = prompts[0]!;
let trace: TraceEvent[];
let blocks: number;

beforeAll(async () => {
  const file = `${folder}/trace.jsonl`;
  const served = await pack("storyteller-7m", storytellerSmall);
  const coordinator = await Coordinator.start(served, "--stages", `${stages}`, "--trace", file);
  const tabs: Tab[] = [];
  try {
    const lent = Array.from({ length: stages }, () => Tab.lend(coordinator.url));
    tabs.push(...(await Promise.all(lent)));
    ({ blocks } = await coordinator.untilReady());
    await completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: tokens });
  } finally {
    await closeAll(tabs);
    await coordinator.stop();
  }
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  trace = lines.map((line) => JSON.parse(line) as TraceEvent);
});

afterAll(() => rmSync(folder, { recursive: true }));

function positionsOf(event: TraceEvent): number {
  return event.position! + (event.rows ?? 1);
}

it("happens in the order that the document tells", () => {
  const rows = readFileSync(`${root}docs/token.md`, "utf8").matchAll(/^\| \d+ \|.*\|(.*)\|$/gm);
  const told = [...rows].map(([, event]) => event!.trim().replaceAll("`", "")).filter(Boolean);
  expect(told).toEqual(["opened", "routed", "step", "step", "token", "ended"]);
  const happened = trace.filter(({ session }) => session !== undefined).map(({ event }) => event);
  let at = -1;
  for (const event of told) {
    at = happened.indexOf(event, at + 1);
    expect(at, event).toBeGreaterThanOrEqual(0);
  }
  expect(happened.indexOf("opened")).toBe(0);
  expect(happened.indexOf("routed")).toBe(1);
  expect(happened.filter((event) => event === "token").length).toBe(tokens);
});

it("takes every token through every block once, in order", () => {
  const made = trace.filter(({ event }) => event === "token");
  const first = prompt.prompt_ids.length;
  expect(made.map(({ position }) => position)).toEqual(made.map((_, index) => first + index));
  const steps = trace.filter(({ event }) => event === "step") as StepEvent[];
  for (const token of made) {
    const passed = steps
      .filter((step) => positionsOf(step) === token.position)
      .sort((a, b) => a.first - b.first);
    expect(passed.length).toBe(stages);
    expect(new Set(passed.map(({ node }) => node)).size).toBe(stages);
    expect([0, ...passed.map(({ last }) => last)]).toEqual([
      ...passed.map(({ first }) => first),
      blocks,
    ]);
    const sent = passed.map((step) => step.sent);
    expect(sent).toEqual(sent.toSorted((a, b) => a - b));
    expect(token.t).toBeGreaterThanOrEqual(sent.at(-1)!);
  }
});

it("accounts for the time and the bytes of each step", () => {
  const steps = trace.filter(({ event }) => event === "step") as StepEvent[];
  for (const step of steps) {
    const { queue_us, compute_us, encode_us, transfer_us } = step;
    expect(compute_us).toBeGreaterThan(0);
    expect(Math.min(queue_us, encode_us, transfer_us)).toBeGreaterThanOrEqual(0);
    const accounted = queue_us + compute_us + encode_us + transfer_us;
    // The transfer is what is left of the whole; never less than nothing.
    expect(accounted).toBeGreaterThanOrEqual(step.t - step.sent);
    if (step.last < blocks) {
      expect(step.bytes_out).toBeGreaterThan(step.rows * 4 * 256);
    } else {
      expect(step.bytes_out).toBeLessThan(200);
    }
  }
});
