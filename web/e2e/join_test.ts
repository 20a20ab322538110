// Machines that lend themselves without a browser: `shoal join`, and `shoal serve --lend`.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { completeIds } from "./harness/ask.ts";
import { Coordinator } from "./harness/coordinator.ts";
import { Joiner } from "./harness/joiner.ts";
import { scratch, storyteller, storytellerSmall } from "./harness/paths.ts";
import { certainSteps, prompts, smallPrompts } from "./harness/reference.ts";
import { evalGreedy, pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";
import { trustingFetch } from "./harness/trusting.ts";

const secret = "a secret for the test";

let folders: { f32: string; q4: string };
let caches: string;
let coordinator: Coordinator | undefined;
const joiners: Joiner[] = [];
const tabs: Tab[] = [];

beforeAll(async () => {
  folders = {
    f32: await pack("storyteller-7m", storytellerSmall),
    q4: await pack("storyteller", storyteller, "q4"),
  };
});

beforeEach(() => {
  caches = mkdtempSync(`${scratch}/join-`);
});

afterEach(async () => {
  for (const joiner of joiners.splice(0)) {
    joiner.kill();
    await joiner.untilExit();
  }
  await closeAll(tabs);
  expect(await coordinator?.stop()).toBe(0);
  coordinator = undefined;
  rmSync(caches, { recursive: true, force: true });
});

async function serve(model: keyof typeof folders, ...args: string[]): Promise<Coordinator> {
  coordinator = await Coordinator.start(folders[model], "--data", `${caches}/data`, ...args);
  return coordinator;
}

function join(cache: string, args: string[] = [], hash = "", env = {}): Joiner {
  const joiner = Joiner.start(`${coordinator!.url}${hash}`, `${caches}/${cache}`, args, env);
  joiners.push(joiner);
  return joiner;
}

async function lend(): Promise<void> {
  tabs.push(await Tab.open(coordinator!.url, "/lend?auto=1&executor=shoal&memory=512M"));
}

async function answersAsTheReference(): Promise<void> {
  for (const prompt of smallPrompts.slice(0, 2)) {
    const ids = await completeIds(coordinator!.client, prompt.prompt_ids, { maxTokens: 48 });
    const certain = Math.min(48, certainSteps(prompt));
    expect(certain).toBeGreaterThan(8);
    expect(ids.slice(0, certain)).toEqual(prompt.greedy_ids.slice(0, certain));
  }
}

const holding = /^holding blocks \[(\d+), (\d+)\), .+, of which (.+) fetched$/;

describe("shoal join", () => {
  it("computes, and leaves when it is asked to", async () => {
    await serve("f32", "--stages", "2");
    const [first, second] = [join("a"), join("b")];
    await coordinator!.untilReady();
    await answersAsTheReference();
    for (const joiner of [first, second]) {
      expect((await joiner.untilSaid(holding))[3]).not.toBe("0 B");
      await joiner.untilSaid(/^joined http:\/\/127\.0\.0\.1:\d+ as volunteer \d+$/);
    }
    expect(await second.stop()).toBe(0);
    expect(second.said.at(-1)).toMatch(/^computed [1-9]\d* rows in [1-9]\d* steps, /);
    expect(second.said.at(-2)).toMatch(/^left: /);
    await coordinator!.untilStatus("one to be left", (s) => s.volunteers.length === 1);
    for (const { log } of [first, second]) expect(log).toBe("");
  });

  it("fetches nothing the second time", async () => {
    await serve("f32");
    for (const isFirst of [true, false]) {
      const joiner = join("a");
      const [, from, to, fetched] = await joiner.untilSaid(holding);
      expect([from, to]).toEqual(["0", String((await coordinator!.status()).blocks)]);
      expect(fetched === "0 B").toBe(!isFirst);
      await coordinator!.untilReady();
      await answersAsTheReference();
      expect(await joiner.stop()).toBe(0);
    }
  });

  it("knows the secret of a private swarm, or is refused", async () => {
    await serve("f32", "--join-secret", secret);
    const stranger = join("a");
    expect(await stranger.untilExit()).toBe(1);
    expect(stranger.log).toMatch(/^shoal: .*secret/);
    const wrong = join("a", ["--join-secret", "another secret, wrong"]);
    expect(await wrong.untilExit()).toBe(1);
    for (const member of [
      join("a", ["--join-secret", secret]),
      join("b", [], `/lend#secret=${encodeURIComponent(secret)}`),
      join("c", [], "", { SHOAL_JOIN_SECRET: secret }),
    ]) {
      await member.untilSaid(/^joined /);
      expect(member.said.join("\n")).not.toContain("secret");
    }
    await coordinator!.untilReady();
    await answersAsTheReference();
  });

  it("waits for a coordinator that is not there, and can be ended meanwhile", async () => {
    await serve("f32");
    const { url } = coordinator!;
    await coordinator!.stop();
    const joiner = Joiner.start(url, `${caches}/a`);
    joiners.push(joiner);
    await joiner.untilSaid(/^not connected: .*next attempt in/);
    expect(await joiner.stop()).toBe(0);
  });
});

describe("shoal serve --lend", () => {
  const lending = ["--lend", "512M", "--threads", "2"];

  it("is a whole system alone", async () => {
    await serve("f32", ...lending);
    const status = await coordinator!.untilReady();
    expect(status.volunteers.map(({ executor }) => executor)).toEqual(["shoal"]);
    await answersAsTheReference();
  });

  it("joins itself where there is a secret, and TLS for others", async () => {
    const data = `${caches}/data`;
    const args = ["--data", data, "--tls", "self", "--join-secret", secret, ...lending];
    const trusting: typeof fetch = (input, init) =>
      trustingFetch(readFileSync(`${data}/tls/certificate.pem`, "utf8"))(input, init);
    coordinator = await Coordinator.startAs(folders.f32, args, { fetch: trusting });
    expect(coordinator.url).toMatch(/^https:/);
    await coordinator.untilReady();
    await answersAsTheReference();
  });
});

describe("a mixed swarm", () => {
  it.each(["nobody", "a tab", "the machine"])(
    "has the bits of one native process with q4 weights, when %s is killed",
    async (victim) => {
      await serve("q4", "--stages", "3");
      await Promise.all([lend(), lend()]);
      const machine = join("a");
      await coordinator!.untilReady();
      for (const { prompt_ids: prompt } of prompts.slice(0, victim === "nobody" ? 3 : 1)) {
        let killed = victim === "nobody";
        const ids = await completeIds(coordinator!.client, prompt, {
          maxTokens: 64,
          onTokens: (count) => {
            if (killed || count < 10) return;
            killed = true;
            if (victim === "a tab") tabs[0]!.signal("SIGKILL");
            else machine.kill();
          },
        });
        expect(killed).toBe(true);
        expect(ids.length).toBeGreaterThan(12);
        expect(ids).toEqual(await evalGreedy(folders.q4, prompt, ids.length, [], "f32"));
      }
    },
  );
});
