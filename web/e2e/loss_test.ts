// Three stages and a spare, each 5 ms away behind a link of its own; any one volunteer is lost at a
// random moment of an answer, in one of three ways. The answer is the undisturbed one, and nothing
// runs again but the lost one's blocks; the stall is printed.
//
// SHOAL_TESTS=full: 20 losses for each format of weights, of the embedded model; otherwise 3 of a
// smaller one in q4.

import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { completeIds } from "./harness/ask.ts";
import { Coordinator } from "./harness/coordinator.ts";
import { Link } from "./harness/link.ts";
import { scratch, storyteller, storytellerSmall } from "./harness/paths.ts";
import { prompts, smallPrompts } from "./harness/reference.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";
import { eventsOf, readTrace, recoveriesOf, type TraceEvent } from "./harness/trace.ts";

const isFull = process.env["SHOAL_TESTS"] === "full";
const losses = isFull ? 20 : 3;
const formats = isFull ? ["f32", "q4"] : ["q4"];
const ways = ["killed", "frozen", "cut"] as const;
const count = 96;
// One way. An answer lasts long enough for replicas to follow it.
const delay = "5ms";
const volunteers = 4;
const stages = 3;

// From a silent volunteer's last word to its being given up (docs/operating.md), with room for a
// busy machine.
const detectionMs = 5000;
const busyMs = 20_000;

// The same losses at every run, and not those of another format.
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

interface Member {
  tab: Tab;
  link: Link;
}

// What one loss came to. Milliseconds.
interface Stall {
  how: string;
  held: string;
  after: number;
  // The longest pause between two tokens at the client.
  pause: number;
  // Of the coordinator's clock: from when it gave the volunteer up to the next token. NaN where
  // that moment is not known: a silent one is given up when another route begins, or before.
  resumed: number;
  usual: number;
  warm: boolean;
  // Rows that whoever took over ran again.
  again: number;
}

const median = (values: number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? NaN;

describe.each(formats)("an answer over %s weights", (weights) => {
  const random = randomFrom(weights === "f32" ? 11 : 12);
  const trace = `${scratch}/loss-${weights}.jsonl`;
  const members: Member[] = [];
  const stalls: Stall[] = [];
  const prompt = (isFull ? prompts : smallPrompts)[0]!;
  let coordinator: Coordinator;
  let calm: number[] = [];

  beforeAll(async () => {
    rmSync(trace, { force: true });
    const folder = isFull
      ? await pack("storyteller", storyteller, weights)
      : await pack("storyteller-7m", storytellerSmall, weights);
    const options = ["--stages", String(stages), "--trace", trace];
    coordinator = await Coordinator.start(folder, ...options);
  });

  afterAll(async () => {
    await closeAll(members.map(({ tab }) => tab));
    for (const { link } of members) link.stop();
    expect(await coordinator?.stop()).toBe(0);
    console.table(
      stalls.map((stall) => ({
        ...stall,
        pause: Math.round(stall.pause),
        resumed: Math.round(stall.resumed),
        usual: Number(stall.usual.toFixed(1)),
      })),
    );
  });

  // It measures itself before it joins: where steps take long because the machine is busy, somebody
  // new who claimed a typical speed would be worth moving everybody's blocks for.
  async function addMember(): Promise<void> {
    const link = await Link.start(coordinator.url, "--delay", delay);
    const tab = await Tab.open(link.url, "/lend?auto=1&memory=512M");
    members.push({ tab, link });
  }

  async function untilComplete(): Promise<void> {
    await coordinator.untilStatus(
      "three stages and a spare",
      (status) =>
        status.ready &&
        status.volunteers.length === volunteers &&
        status.volunteers.every(({ state }) => state !== "loading"),
    );
  }

  async function lose({ tab, link }: Member, how: (typeof ways)[number]): Promise<void> {
    if (how === "killed") tab.signal("SIGKILL");
    if (how === "frozen") tab.signal("SIGSTOP");
    if (how === "cut") await link.reset();
  }

  // Asks, loses `member` after `after` tokens, and gives what the trace says of the session.
  async function disturbed(
    member: Member,
    how: (typeof ways)[number],
    after: number,
  ): Promise<{ ids: number[]; pause: number; usual: number; events: TraceEvent[] }> {
    const seen = readTrace(trace).length;
    const times: number[] = [];
    let lost: Promise<void> | undefined;
    // Also where a better plan is taken up since the last answer: it waits, and is not refused.
    const client = coordinator.client.withOptions({ maxRetries: 0 });
    const ids = await completeIds(client, prompt.prompt_ids, {
      maxTokens: count,
      onTokens: (tokens) => {
        times.push(performance.now());
        if (tokens >= after) lost ??= lose(member, how);
      },
    });
    await lost;
    const gaps = times.slice(1).map((time, i) => time - times[i]!);
    const events = readTrace(trace).slice(seen);
    return { ids, pause: Math.max(...gaps), usual: median(gaps), events };
  }

  it("is what it is when nobody leaves", async () => {
    await Promise.all(Array.from({ length: volunteers }, addMember));
    await untilComplete();
    calm = await completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: count });
    expect(calm.length).toBe(count);
  });

  it(
    `is the same when a volunteer is lost at ${losses} moments`,
    async () => {
      for (let loss = 0; loss < losses; ++loss) {
        const how = ways[loss % ways.length]!;
        const index = random(members.length);
        const after = 4 + random(count - 20);
        const member = members[index]!;
        const node = await member.tab.node();
        const { ids, pause, usual, events } = await disturbed(member, how, after);
        const what = `loss ${loss}: volunteer ${node} ${how} after ${after} tokens`;
        expect(ids, what).toEqual(calm);

        const session = eventsOf(events, "opened")[0]!.session;
        const recoveries = recoveriesOf(events, session);
        const route = eventsOf(events, "routed").find((one) => one.session === session)!;
        const held = route.stages.find((stage) => stage.node === node);
        expect(recoveries.some(({ lost }) => lost.some((stage) => stage.node === node)), what).toBe(
          held !== undefined,
        );
        for (const { at, lost, replayed, warm } of recoveries) {
          const elsewhere = replayed.filter(
            (step) => !lost.some(({ first, last }) => step.first >= first && step.last <= last),
          );
          if (!lost.some((stage) => stage.node === node)) continue;
          expect(elsewhere, what).toEqual([]);
          const left = eventsOf(events, "left").find((one) => one.node === node);
          const givenUp = left !== undefined && left.t <= at ? left.t : warm ? at : Infinity;
          const next = eventsOf(events, "token").find((one) => one.t > givenUp);
          const resumed = next ? (next.t - givenUp) / 1000 : NaN;
          const span = `[${held!.first}, ${held!.last})`;
          const again = replayed.reduce((sum, { rows }) => sum + rows, 0);
          stalls.push({ how, held: span, after, pause, resumed, usual, warm, again });
          expect(pause, what).toBeLessThan(detectionMs + busyMs);
        }
        await replace(index, how);
      }
    },
    losses * 60_000,
  );

  // With a replica that has the positions, a loss costs its detection and hardly more than a step.
  it("goes on at once where a replica is warm", () => {
    const warm = stalls.filter((stall) => stall.warm && Number.isFinite(stall.resumed));
    if (warm.length < 3) return;
    expect(median(warm.map(({ resumed }) => resumed))).toBeLessThan(
      2 * median(warm.map(({ usual }) => usual)),
    );
  });

  async function replace(index: number, how: (typeof ways)[number]): Promise<void> {
    const { tab, link } = members[index]!;
    if (how !== "cut") {
      await tab.close();
      link.stop();
      members.splice(index, 1);
      await addMember();
    }
    await untilComplete();
  }
});
