// The executor ort-webgpu in real tabs, on the software adapter, which is slow: beside everything
// else that computes. SHOAL_TESTS=full: also when its GPU process died, and three such tabs.

import { mkdtempSync, rmSync } from "node:fs";
import { afterEach, beforeAll, expect, it } from "vitest";

import { completeIds } from "./harness/ask.ts";
import { Coordinator } from "./harness/coordinator.ts";
import { Joiner } from "./harness/joiner.ts";
import { scratch, storytellerSmall } from "./harness/paths.ts";
import { certainSteps, smallPrompts } from "./harness/reference.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

const gpuFlags = ["--enable-unsafe-webgpu"];
const prompt = smallPrompts.find(({ greedy_ids }) => greedy_ids.length < 50)!;
const steps = 12;
// A stage computes a whole chunk of a prompt before it is ready, which is slow in software.
const few = ["--context", "48"];
const full = process.env["SHOAL_TESTS"] === "full";

let folder: string;
let coordinator: Coordinator;
const tabs: Tab[] = [];
let machine: Joiner | undefined;
let cache: string | undefined;

beforeAll(async () => {
  folder = await pack("storyteller-7m", storytellerSmall);
});

afterEach(async () => {
  machine?.kill();
  await machine?.untilExit();
  machine = undefined;
  await closeAll(tabs);
  await coordinator.stop();
  if (cache !== undefined) rmSync(cache, { recursive: true, force: true });
});

async function lend(executor: string, memory = "512M"): Promise<void> {
  const path = `/lend?auto=1&executor=${executor}&memory=${memory}`;
  tabs.push(await Tab.open(coordinator.url, path, gpuFlags));
}

async function answers(to = prompt): Promise<void> {
  const ids = await completeIds(coordinator.client, to.prompt_ids, { maxTokens: steps });
  const certain = Math.min(steps, certainSteps(to));
  expect(certain).toBeGreaterThan(10);
  expect(ids.slice(0, certain)).toEqual(to.greedy_ids.slice(0, certain));
}

async function untilHeldBy(...executors: string[]): Promise<void> {
  const { volunteers } = await coordinator.untilReady();
  expect(volunteers.map(({ executor }) => executor).sort()).toEqual(executors.sort());
}

const death = full ? ", also when its GPU died" : "";
it(`answers as the reference beside all others${death}`, async () => {
  coordinator = await Coordinator.start(folder, "--stages", "4", ...few);
  // A GPU is thought to be quick, and would get nearly everything.
  await lend("ort-webgpu", "64M");
  await lend("ort-wasm");
  await lend("shoal");
  cache = mkdtempSync(`${scratch}/webgpu-`);
  machine = Joiner.start(coordinator.url, cache);
  const everybody = ["ort-webgpu", "ort-wasm", "shoal", "shoal"];
  await untilHeldBy(...everybody);
  // Several at once, whose rows the GPU computes side by side.
  const short = smallPrompts.filter((each) => certainSteps(each) > 10);
  expect(short.length).toBeGreaterThan(2);
  await Promise.all(short.slice(0, 3).map((each) => answers(each)));
  if (!full) return;
  await tabs[0]!.crashGpu();
  await coordinator.untilStatus("the loss", ({ volunteers }) =>
    volunteers.every(({ executor, state }) => executor !== "ort-webgpu" || state === "loading"),
  );
  await untilHeldBy(...everybody);
  await answers();
});

const swarms: [string, string[]][] = [
  ["one tab on the GPU, two on the CPU", ["ort-wasm", "ort-webgpu", "ort-wasm"]],
  ["three tabs on the GPU", ["ort-webgpu", "ort-webgpu", "ort-webgpu"]],
];

it.runIf(full).each(swarms)("gives the reference ids with %s", async (_name, executors) => {
  coordinator = await Coordinator.start(folder, "--stages", "3", ...few);
  for (const executor of executors) await lend(executor);
  await untilHeldBy(...executors);
  await answers();
});

it("is not chosen where the GPU is software, which was measured", async () => {
  coordinator = await Coordinator.start(folder, ...few);
  tabs.push(await Tab.open(coordinator.url, "/lend?auto=1&memory=512M", gpuFlags));
  const { volunteers } = await coordinator.untilReady();
  expect(volunteers.map(({ executor }) => executor)).toEqual(["shoal"]);
  // What is typical of the executor is expected of those that have not measured themselves.
  const { gb_per_s: measured } = volunteers[0]!.step!;
  expect(measured).toBeGreaterThan(0);
  expect(Math.abs(measured - 1 / 0.12)).toBeGreaterThan(1e-3);
  await answers();
});
