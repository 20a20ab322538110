// Packs of existing ONNX decoders, served by tabs of both kinds of executors on the CPU: the answer
// is what onnxruntime-node running the whole file goes on with. SHOAL_TESTS=full: every pair of
// executors, otherwise one of each.

import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";

import { Coordinator } from "./harness/coordinator.ts";
import { continueWhole } from "./harness/onnx_whole.ts";
import { golden } from "./harness/paths.ts";
import { packOnnx } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

let coordinator: Coordinator | undefined;
const tabs: Tab[] = [];

afterEach(async () => {
  await closeAll(tabs);
  expect(await coordinator?.stop()).toBe(0);
  coordinator = undefined;
});

const count = 12;
const alike: [string, string][] = [
  ["shoal", "shoal"],
  ["ort-wasm", "ort-wasm"],
];
const pairs: [string, string][] = [["shoal", "ort-wasm"]];
if (process.env["SHOAL_TESTS"] === "full") pairs.push(...alike);

async function ask(url: string, prompt: number[]): Promise<number[]> {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      ...{ prompt, max_tokens: count, temperature: 0 },
      ...{ ignore_eos: true, return_token_ids: true },
    }),
  });
  const body = (await response.json()) as { choices?: { token_ids: number[] }[] };
  if (!body.choices) throw new Error(JSON.stringify(body));
  return body.choices[0]!.token_ids;
}

describe.each(["genai", "optimum", "gpt2_merged"])("%s", (kind) => {
  it.each(pairs)("is answered by two tabs, %s and %s", async (...executors) => {
    const file = golden(`onnx/${kind}/model.onnx`);
    const text = readFileSync(golden(`onnx/${kind}/ref.json`), "utf8");
    const { prompt_ids: ids } = JSON.parse(text) as { prompt_ids: number[] };
    const prompt = ids.slice(0, 8);
    const expected = await continueWhole(file, prompt, count);
    expect(expected.length).toBeGreaterThan(2);
    coordinator = await Coordinator.start(await packOnnx(kind, file), "--stages", "2");
    for (const executor of executors) {
      const path = `/lend?auto=1&executor=${executor}&memory=512M`;
      tabs.push(await Tab.open(coordinator.url, path));
    }
    const status = await coordinator.untilReady();
    expect(status.volunteers.map((volunteer) => volunteer.executor).sort()).toEqual(
      [...executors].sort(),
    );
    expect(status.volunteers.every(({ blocks }) => blocks.length > 0)).toBe(true);
    const answers = await Promise.all([1, 2].map(() => ask(coordinator!.url, prompt)));
    for (const answer of answers) expect(answer.slice(0, expected.length)).toEqual(expected);
    for (const tab of tabs) expect(tab.errors).toEqual([]);
  });
});
