// Heads that are padded, in tabs: whoever computes a stage, the answer is that of a forward pass in
// float64.

import { rmSync } from "node:fs";
import { afterEach, expect, it } from "vitest";

import { completeIds } from "./harness/ask.ts";
import { Coordinator } from "./harness/coordinator.ts";
import { scratch } from "./harness/paths.ts";
import { ReferenceDecoder } from "./harness/reference/decoder.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";
import { variants } from "./harness/variants.ts";

let coordinator: Coordinator | undefined;
const tabs: Tab[] = [];

afterEach(async () => {
  await closeAll(tabs);
  expect(await coordinator?.stop()).toBe(0);
  coordinator = undefined;
});

const prompt = [3, 61, 17, 29, 44, 8, 70, 35];
const count = 4;

it.each(["shoal", "ort-wasm"])("are answered by two tabs of %s", async (executor) => {
  const { config } = variants.find(({ what }) => what.startsWith("smollm3: every second"))!;
  const reference = new ReferenceDecoder(config, "BF16", 77);
  const folder = `${scratch}/padded`;
  rmSync(folder, { recursive: true, force: true });
  reference.write(folder);
  const ids = [...prompt];
  while (ids.length < prompt.length + count) {
    const last = reference.logits(ids).slice(-config.vocab_size);
    ids.push(last.indexOf(Math.max(...last)));
  }
  coordinator = await Coordinator.start(await pack("padded", folder), "--stages", "2");
  for (let i = 0; i < 2; ++i) {
    tabs.push(await Tab.open(coordinator.url, `/lend?auto=1&executor=${executor}&memory=512M`));
  }
  await coordinator.untilReady();
  const answer = await completeIds(coordinator.client, prompt, { maxTokens: count });
  expect(answer).toEqual(ids.slice(prompt.length));
  for (const tab of tabs) expect(tab.errors).toEqual([]);
});
