// A tab of Firefox as a volunteer, beside one of Chromium and on a second visit. It lends with the
// engine, so that its part of an answer has the bits of any other volunteer's.

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync } from "node:fs";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { afterEach, beforeAll, beforeEach, expect, it } from "vitest";

import { completeIds } from "./harness/ask.ts";
import { Coordinator } from "./harness/coordinator.ts";
import { scratch, storyteller } from "./harness/paths.ts";
import { removeProfile } from "./harness/profile.ts";
import { prompts } from "./harness/reference.ts";
import { evalGreedy, pack } from "./harness/shoal.ts";
import { closeAll, Tab } from "./harness/tabs.ts";
import { withLimit } from "./harness/wait.ts";

const firefox = "/usr/bin/firefox-esr";
const stopMs = 30_000;
const { prompt_ids: prompt } = prompts[1]!;
const tokens = 32;

let folder: string;
let profile: string;
let coordinator: Coordinator;
let browser: ChildProcess | undefined;
const tabs: Tab[] = [];

beforeAll(async () => {
  if (!existsSync(firefox)) throw new Error(`no ${firefox}: scripts/setup --tests installs it`);
  folder = await pack("storyteller", storyteller, "q4");
});

beforeEach(() => {
  profile = mkdtempSync(`${scratch}/firefox-`);
});

afterEach(async () => {
  await quit();
  await closeAll(tabs);
  await coordinator.stop();
  await removeProfile(profile);
});

// In a process group of its own, which ends as one.
function open(path: string, server = coordinator.url): void {
  const args = ["--headless", "--no-remote", "--profile", profile, `${server}${path}`];
  browser = spawn(firefox, args, { detached: true, stdio: "ignore" });
}

async function quit(): Promise<void> {
  if (browser?.exitCode !== null) return;
  const exited = new Promise((resolve) => browser!.once("exit", resolve));
  process.kill(-browser.pid!, "SIGTERM");
  await withLimit("Firefox to end", stopMs, exited);
  browser = undefined;
}

const platforms = async (): Promise<string[]> =>
  (await coordinator.status()).volunteers.map(({ platform }) => platform);

async function expectAnswer(): Promise<void> {
  const ids = await completeIds(coordinator.client, prompt, { maxTokens: tokens });
  expect(ids.length).toBeGreaterThan(12);
  expect(ids).toEqual(await evalGreedy(folder, prompt, ids.length, [], "f32"));
}

it("answers with a tab of Chromium, and bit for bit as one process", async () => {
  coordinator = await Coordinator.start(folder, "--stages", "2");
  open("/lend?auto=1&memory=512M");
  tabs.push(await Tab.open(coordinator.url, "/lend?auto=1&executor=shoal&memory=512M"));
  await coordinator.untilReady();
  expect((await platforms()).filter((name) => name.includes("Firefox")).length).toBe(1);
  await expectAnswer();
});

// Passes everything on to the coordinator, and counts what comes back.
async function countingRelay(): Promise<{ url: string; relay: Server; received: () => number }> {
  const { hostname, port } = new URL(coordinator.url);
  let bytes = 0;
  const relay = createServer((socket) => {
    const server = connect(Number(port), hostname);
    server.on("data", (chunk) => (bytes += chunk.length));
    socket.pipe(server).pipe(socket);
    socket.on("error", () => server.destroy());
    server.on("error", () => socket.destroy());
  }).listen(0, "127.0.0.1");
  await once(relay, "listening");
  const url = `http://127.0.0.1:${(relay.address() as AddressInfo).port}`;
  return { url, relay, received: () => bytes };
}

it("keeps its pieces for the next visit", async () => {
  coordinator = await Coordinator.start(folder);
  const { url, relay, received } = await countingRelay();
  const visits: number[] = [];
  for (let visit = 0; visit < 2; ++visit) {
    const before = received();
    open("/lend?auto=1&memory=512M", url);
    await coordinator.untilReady();
    await expectAnswer();
    visits.push(received() - before);
    await quit();
    await coordinator.untilStatus("it to be gone", ({ volunteers }) => volunteers.length === 0);
  }
  relay.close();
  // The weights are 15 MB, the page and the frames less than one.
  expect(visits[0]).toBeGreaterThan(12e6);
  expect(visits[1]).toBeLessThan(2e6);
});
