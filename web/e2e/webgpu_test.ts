// The executor ort-webgpu in real tabs, on the software adapter: alone and beside tabs that compute
// on the CPU, and when its GPU process dies. SHOAL_TESTS=full: three such tabs too, which take
// minutes.

import { afterEach, beforeAll, expect, it } from "vitest";

import { completeIds } from "./harness/ask.ts";
import { Coordinator } from "./harness/coordinator.ts";
import { storytellerSmall } from "./harness/paths.ts";
import { certainSteps, smallPrompts } from "./harness/reference.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

const gpuFlags = ["--enable-unsafe-webgpu"];
const prompt = smallPrompts.find(({ greedy_ids }) => greedy_ids.length < 50)!;
const steps = 24;
// A stage computes a whole chunk of a prompt before it is ready, which is slow in software.
const few = ["--context", "48"];
const full = process.env["SHOAL_TESTS"] === "full";

let folder: string;
let coordinator: Coordinator;
const tabs: Tab[] = [];

beforeAll(async () => {
  folder = await pack("storyteller-7m", storytellerSmall);
});

afterEach(async () => {
  await closeAll(tabs);
  await coordinator.stop();
});

async function lend(...executors: string[]): Promise<void> {
  for (const executor of executors) {
    const path = `/lend?auto=1&executor=${executor}&memory=512M`;
    tabs.push(await Tab.open(coordinator.url, path, gpuFlags));
  }
}

async function answers(): Promise<void> {
  const ids = await completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: steps });
  const certain = Math.min(steps, certainSteps(prompt));
  expect(certain).toBeGreaterThan(10);
  expect(ids.slice(0, certain)).toEqual(prompt.greedy_ids.slice(0, certain));
}

const swarms: [string, string[]][] = [
  ["one tab on the GPU, two on the CPU", ["ort-wasm", "ort-webgpu", "ort-wasm"]],
  ["three tabs on the GPU", ["ort-webgpu", "ort-webgpu", "ort-webgpu"]],
];

const tried = full ? swarms : swarms.slice(0, 1);
it.each(tried)("gives the reference ids with %s", async (_name, executors) => {
  coordinator = await Coordinator.start(folder, "--stages", "3", ...few);
  await lend(...executors);
  const { volunteers } = await coordinator.untilReady();
  expect(volunteers.map(({ executor }) => executor).sort()).toEqual(executors.toSorted());
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

it("recovers when the GPU process dies", async () => {
  coordinator = await Coordinator.start(folder, ...few);
  await lend("ort-webgpu");
  await coordinator.untilReady();
  await answers();
  await tabs[0]!.crashGpu();
  await coordinator.untilStatus("the loss", ({ ready }) => !ready);
  await coordinator.untilReady();
  await answers();
});
