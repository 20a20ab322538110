// The trained model over tabs with our own engine, beside ONNX Runtime, and in SHOAL_TESTS=full
// alone. (Beside native volunteers, to the bit, it is in join_test.ts.)

import { afterEach, describe, expect, it } from "vitest";

import { completeIds } from "./harness/ask.ts";
import { Coordinator } from "./harness/coordinator.ts";
import { storyteller } from "./harness/paths.ts";
import { certainSteps, prompts } from "./harness/reference.ts";
import { evalGreedy, pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

const full = process.env["SHOAL_TESTS"] === "full";

let coordinator: Coordinator | undefined;
const tabs: Tab[] = [];

afterEach(async () => {
  await closeAll(tabs.splice(0));
  expect(await coordinator?.stop()).toBe(0);
  coordinator = undefined;
});

describe("the executor shoal", () => {
  const swarms = [[["ort-wasm", "shoal", "ort-wasm"]], ...(full ? [[["shoal", "shoal"]]] : [])];
  it.each(swarms)("gives the reference ids over %s", async (executors) => {
    const folder = await pack("storyteller", storyteller);
    coordinator = await Coordinator.start(folder, "--stages", String(executors.length));
    for (const executor of executors) {
      const path = `/lend?auto=1&executor=${executor}&memory=512M`;
      tabs.push(await Tab.open(coordinator.url, path));
    }
    const status = await coordinator.untilReady();
    expect(status.volunteers.map(({ executor }) => executor).sort()).toEqual([...executors].sort());
    for (const prompt of prompts.slice(0, 2)) {
      const ids = await completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: 96 });
      const certain = certainSteps(prompt);
      expect(ids.slice(0, certain)).toEqual(prompt.greedy_ids.slice(0, certain));
    }
    for (const tab of tabs) expect(tab.errors).toEqual([]);
  });

  it.runIf(full)("gives the text of one native process with q4 weights, to the bit", async () => {
    const folder = await pack("storyteller", storyteller, "q4");
    coordinator = await Coordinator.start(folder, "--stages", "2");
    for (let i = 0; i < 2; ++i) {
      const path = "/lend?auto=1&executor=shoal&memory=512M";
      tabs.push(await Tab.open(coordinator.url, path));
    }
    const { volunteers } = await coordinator.untilReady();
    const cuts = volunteers.flatMap(({ blocks }) => blocks.map(([from]) => from)).filter(Boolean);
    for (const { prompt_ids: prompt } of prompts) {
      const ids = await completeIds(coordinator.client, prompt, { maxTokens: 64 });
      const native = await evalGreedy(folder, prompt, ids.length, cuts, "f32");
      expect(ids).toEqual(native);
    }
  });
});
