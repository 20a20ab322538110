// A tab that is lent while another one covers it: the browser slows its timers down, and it goes on
// serving, because steps come by messages. SHOAL_TESTS=full waits until the browser throttles
// hidden pages hardest, after five minutes.

import { afterAll, beforeAll, expect, it } from "vitest";

import { completeIds } from "./harness/ask.ts";
import { Coordinator } from "./harness/coordinator.ts";
import { storytellerSmall } from "./harness/paths.ts";
import { RealWindow, type RealTab } from "./harness/real_window.ts";
import { certainSteps, smallPrompts as prompts } from "./harness/reference.ts";
import { pack } from "./harness/shoal.ts";
import { until } from "./harness/wait.ts";

const full = process.env["SHOAL_TESTS"] === "full";
const prompt = prompts.reduce((a, b) => (certainSteps(a) > certainSteps(b) ? a : b));
const certain = certainSteps(prompt);

let coordinator: Coordinator;
let window: RealWindow;
let lent: RealTab;

beforeAll(async () => {
  coordinator = await Coordinator.start(await pack("storyteller-7m", storytellerSmall));
  window = await RealWindow.open();
  lent = await window.tab(`${coordinator.url}/lend?auto=1`);
  await coordinator.untilReady();
  await lent.evaluate("void setInterval(() => ++globalThis.ticks, 100)");
  await completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: certain });
});

afterAll(async () => {
  await window.close();
  await coordinator.stop();
});

// Asks as often as it takes seconds: whether answers are right, how fast, and how often a timer of
// the page that is due ten times a second was heard.
async function serve(name: string): Promise<{ ticksPerSecond: number }> {
  const beganMs = performance.now();
  await lent.evaluate("globalThis.ticks = 0");
  let tokens = 0;
  const seconds = (): number => (performance.now() - beganMs) / 1000;
  while (seconds() < 4) {
    const options = { maxTokens: certain };
    const ids = await completeIds(coordinator.client, prompt.prompt_ids, options);
    expect(ids).toEqual(prompt.greedy_ids.slice(0, certain));
    tokens += ids.length;
  }
  const ticksPerSecond = (await lent.evaluate<number>("globalThis.ticks")) / seconds();
  const rate = (tokens / seconds()).toFixed(1);
  console.log(`${name}: ${rate} tokens/s, timers ${ticksPerSecond.toFixed(1)} times a second`);
  return { ticksPerSecond };
}

const isHidden = (): Promise<boolean> => lent.evaluate<boolean>("document.hidden");

it("goes on serving while it is hidden", async () => {
  expect(await isHidden()).toBe(false);
  await serve("visible");
  const cover = await window.tab("about:blank");
  await until("the tab to be hidden", 10_000, isHidden);
  const { ticksPerSecond } = await serve("hidden");
  // Otherwise this browser throttles nothing, and nothing was shown.
  expect(ticksPerSecond).toBeLessThan(3);
  if (full) {
    await new Promise((resolve) => setTimeout(resolve, 6 * 60_000));
    await serve("hidden for six minutes");
  }
  await lent.toFront();
  await until("the tab to be seen", 10_000, async () => !(await isHidden()));
  // Beside it, so that it can be compared on a machine that is busy with other things.
  await serve("seen again");
  await cover.toFront();
}, full ? 600_000 : 120_000);

it("comes back after it was frozen", async () => {
  await lent.freeze(true);
  const frozenMs = performance.now();
  const ask = completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: certain }).then(
    (ids) => ({ ids, tookMs: performance.now() - frozenMs }),
  );
  await new Promise((resolve) => setTimeout(resolve, 3000));
  await lent.freeze(false);
  const { ids, tookMs } = await ask;
  console.log(`asked of a frozen tab, thawed after 3 s: answered after ${Math.round(tookMs)} ms`);
  expect(ids).toEqual(prompt.greedy_ids.slice(0, certain));
});

it("rests while it is hidden, if told so", async () => {
  await lent.toFront();
  await until("the tab to be seen", 10_000, async () => !(await isHidden()));
  await lent.evaluate('document.getElementById("when-hidden").click()');
  await window.tab("about:blank");
  const hiddenMs = performance.now();
  const left = (): Promise<boolean> =>
    coordinator.status().then(({ volunteers }) => volunteers.length === 0);
  await until("the tab to leave", 10_000, left);
  console.log(`left ${Math.round(performance.now() - hiddenMs)} ms after it was covered`);
  await lent.toFront();
  await coordinator.untilReady();
});
