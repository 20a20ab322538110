// A pack with two sets of weights: each tab gets the one that suits its executor, the answer is
// that of one process with the same sets, and a new coordinator finds it as it was.

import { rmSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { completeIds, servedModel } from "./harness/ask.ts";
import { Coordinator, type Status } from "./harness/coordinator.ts";
import { scratch, storyteller } from "./harness/paths.ts";
import { prompts } from "./harness/reference.ts";
import { evalGreedy, evalLogits, pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

const data = `${scratch}/weight-sets-data`;
const tabs: Tab[] = [];
let folder: string;
let coordinator: Coordinator;

const serve = async (port?: string): Promise<Coordinator> => {
  const args = ["--weights", "auto", "--stages", "2", "--data", data];
  return await Coordinator.startAs(folder, args, port === undefined ? {} : { port });
};

beforeAll(async () => {
  rmSync(data, { recursive: true, force: true });
  folder = await pack("storyteller", storyteller, "q4,f32");
  coordinator = await serve();
});

afterAll(async () => {
  await closeAll(tabs);
  expect(await coordinator?.stop()).toBe(0);
});

// Where the model is cut, and the set of each stage.
function stagesOf({ volunteers }: Status): { cuts: number[]; weights: string[] } {
  const holders = volunteers.filter(({ blocks }) => blocks.length > 0);
  holders.sort((a, b) => a.blocks[0]![0] - b.blocks[0]![0]);
  return {
    cuts: holders.slice(1).map(({ blocks }) => blocks[0]![0]),
    weights: holders.map(({ weights }) => weights),
  };
}

const setOf = { "ort-wasm": "f32", shoal: "q4" } as Record<string, string>;
const byExecutor = ({ volunteers }: Status): string[] =>
  volunteers.map(({ executor, weights }) => `${executor}: ${weights}`).sort();

// Of the likeliest token after the prompt, as the API has it.
async function firstLogprob(ids: number[]): Promise<number> {
  const answer = await coordinator.client.completions.create({
    model: await servedModel(coordinator.client),
    prompt: ids,
    max_tokens: 1,
    temperature: 0,
    logprobs: 1,
  });
  return answer.choices[0]!.logprobs!.token_logprobs![0]!;
}

// The same of one process.
async function expectedLogprob(ids: number[], flags: string[]): Promise<number> {
  const logits = await evalLogits(folder, ids, ...flags);
  const last = logits.slice((logits.length / ids.length) * (ids.length - 1));
  const most = Math.max(...last);
  return -Math.log(last.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
}

describe("two sets of weights", () => {
  it("go to the tabs that they suit", async () => {
    for (const executor of ["ort-wasm", "shoal"]) {
      const path = `/lend?auto=1&executor=${executor}&memory=512M`;
      tabs.push(await Tab.open(coordinator.url, path));
    }
    const status = await coordinator.untilReady();
    expect(status.volunteers.length).toBe(2);
    for (const { executor, weights, activations, blocks } of status.volunteers) {
      expect(weights, executor).toBe(setOf[executor]);
      expect(activations).toBe("f32");
      expect(blocks.length).toBe(1);
    }
  });

  it("give the answers of one process with the same sets", async () => {
    const { cuts, weights } = stagesOf(await coordinator.status());
    const mixed = ["--cuts", cuts.join(","), "--weights", weights.join(",")];
    // How far the probabilities are from those of one process, over the prompts together.
    const away = { mixed: 0, q4: 0, f32: 0 };
    for (const { prompt_ids: ids } of prompts.slice(0, 3)) {
      const answer = await completeIds(coordinator.client, ids, { maxTokens: 24 });
      const flags = ["--weights", weights.join(",")];
      expect(answer).toEqual(await evalGreedy(folder, ids, 24, cuts, "f32", flags));
      const logprob = await firstLogprob(ids);
      expect(logprob).toBeCloseTo(await expectedLogprob(ids, mixed), 3);
      away.mixed += Math.abs(logprob - (await expectedLogprob(ids, mixed)));
      away.q4 += Math.abs(logprob - (await expectedLogprob(ids, ["--weights", "q4"])));
      away.f32 += Math.abs(logprob - (await expectedLogprob(ids, ["--weights", "f32"])));
    }
    // Neither set alone gives them.
    expect(4 * away.mixed, JSON.stringify(away)).toBeLessThan(Math.min(away.q4, away.f32));
  });

  it("are as they were after the coordinator was killed", async () => {
    const before = await coordinator.status();
    const ids = prompts[0]!.prompt_ids;
    const answer = await completeIds(coordinator.client, ids, { maxTokens: 24 });
    await coordinator.kill();
    coordinator = await serve(new URL(coordinator.url).port);
    const after = await coordinator.untilReady();
    expect(coordinator.log).toContain("the plan from before the restart is taken up again");
    expect(byExecutor(after)).toEqual(byExecutor(before));
    expect(stagesOf(after)).toEqual(stagesOf(before));
    expect(await completeIds(coordinator.client, ids, { maxTokens: 24 })).toEqual(answer);
  });
});
