// Damaged files and lying volunteers: the error is at the right end, and the coordinator serves on.

import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, beforeAll, describe, expect, it } from "vitest";

import type { Assign, Core, Frame, Open } from "../core/index.ts";
import { testCore } from "../volunteer/testing/frames.ts";
import { completeIds } from "./harness/ask.ts";
import { Coordinator } from "./harness/coordinator.ts";
import { Liar } from "./harness/liar.ts";
import { storytellerSmall } from "./harness/paths.ts";
import { smallPrompts } from "./harness/reference.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";

const prompt = smallPrompts[0]!;
const memory = 512 * 1024 ** 2;

let core: Core;
let folder: string;
let coordinator: Coordinator;
const tabs: Tab[] = [];

beforeAll(async () => {
  core = await testCore();
  folder = await pack("storyteller-7m", storytellerSmall);
});

afterEach(async () => {
  await closeAll(tabs);
  expect(coordinator.isAlive).toBe(true);
  expect(await coordinator.stop()).toBe(0);
});

async function answers(): Promise<void> {
  const ids = await completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: 12 });
  expect(ids).toEqual(prompt.greedy_ids.slice(0, 12));
}

it("a damaged blob is refused by the tab, named, and fetched once it is whole", async () => {
  const damaged = `${folder}.damaged`;
  rmSync(damaged, { recursive: true, force: true });
  cpSync(folder, damaged, { recursive: true });
  const manifest = JSON.parse(readFileSync(`${damaged}/manifest.json`, "utf8")) as {
    variants: { blocks: { weights: string[] }[] }[];
  };
  const blob = manifest.variants[0]!.blocks[4]!.weights[0]!;
  const path = `${damaged}/blobs/${blob.slice(0, 2)}/${blob}`;
  const bytes = readFileSync(path);
  bytes[1000]! ^= 1;
  writeFileSync(path, bytes);
  coordinator = await Coordinator.start(damaged);
  tabs.push(await Tab.lend(coordinator.url));
  const problem = tabs[0]!.page.getByTestId("lend-problem");
  await problem.waitFor({ timeout: 60_000 });
  expect(await problem.textContent()).toContain(blob);
  expect(coordinator.log).toContain(blob);
  const refused = completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: 1 });
  await expect(refused).rejects.toMatchObject({ status: 503 });
  bytes[1000]! ^= 1;
  writeFileSync(path, bytes);
  await coordinator.untilReady();
  await answers();
});

describe("a volunteer that does not speak the protocol", () => {
  it.each<[string, string | Uint8Array]>([
    ["text", "hello"],
    ["wrong magic", new Uint8Array(16).fill(1)],
    ["a truncated header", Uint8Array.from([0x53, 0x48, 1])],
    [
      "an endless body",
      Uint8Array.from([0x53, 0x48, 1, 1, ...Array<number>(8).fill(0), 255, 255, 255, 255]),
    ],
    ["more than a frame may have", new Uint8Array((64 << 20) + 17)],
  ])("is shown the door: %s", async (_name, data) => {
    coordinator = await Coordinator.start(folder);
    const liar = await Liar.connect(coordinator.url, core);
    liar.sendRaw(data);
    await liar.untilClosed();
    expect((await coordinator.status()).volunteers).toEqual([]);
  });
});

it("frames about sessions that are not theirs harm nobody", async () => {
  coordinator = await Coordinator.start(folder);
  tabs.push(await Tab.lend(coordinator.url));
  await coordinator.untilReady();
  const liar = await Liar.connect(coordinator.url, core);
  await liar.join(memory);
  const { node } = liar;
  const tab = await tabs[0]!.node();
  for (const session of [0n, 1n, 2n ** 63n]) {
    for (const epoch of [0, 1, 4_000_000_000]) {
      const token = { session, epoch, position: 3, token: -7, logprob: 0, log_sum_exp: 0, top: [] };
      liar.send("token", token);
      liar.send("release", { session }, tab);
      liar.send("cancel", { session, epoch }, tab);
    }
  }
  liar.send("ready", {
    generation: 9,
    done: true,
    bytes_done: 2 ** 50,
    bytes_total: 1,
    bytes_fetched: 0,
  });
  await answers();
  expect(node).toBeGreaterThan(0);
  liar.close();
});

// Claims to have loaded whatever it is assigned, and answers steps with rubbish: hidden states that
// are not finite, or tokens that are none.
function lie(liar: Liar): void {
  let assign: Assign | undefined;
  const routes = new Map<bigint, Open>();
  liar.onFrame = (frame: Frame) => {
    if (frame.kind === "assign") {
      assign = frame.body;
      const bytes = { bytes_done: 1, bytes_total: 1, bytes_fetched: 1 };
      liar.send("ready", { generation: assign.generation, done: true, ...bytes });
    }
    if (frame.kind === "open") routes.set(frame.body.session, frame.body);
    if (frame.kind !== "step") return;
    const { rows, sampling } = frame.body;
    const row = rows.at(-1)!;
    const { next } = routes.get(row.session)!;
    if (next === 0) {
      const { session, epoch } = row;
      const position = row.position + 1;
      const numbers = { logprob: -1, log_sum_exp: 1, top: [] };
      liar.send("token", { session, epoch, position, token: assign!.vocab, ...numbers });
      return;
    }
    const width = assign!.hidden;
    const values = new Float32Array(rows.length * width).fill(NaN);
    const payload = new Uint8Array(values.buffer);
    liar.send("step", { rows, type: "f32", width, sampling, payload }, next);
  };
}

it("a stage that sends rubbish is dropped, and the answer is made without it", async () => {
  coordinator = await Coordinator.start(folder, "--stages", "2");
  const liar = await Liar.connect(coordinator.url, core);
  lie(liar);
  await liar.join(memory);
  tabs.push(await Tab.lend(coordinator.url));
  await coordinator.untilReady();
  await answers();
  liar.close();
  tabs.push(await Tab.lend(coordinator.url));
  await coordinator.untilStatus(
    "two tabs",
    ({ ready, volunteers }) => ready && volunteers.every(({ id }) => id !== liar.node),
  );
  await answers();
});
