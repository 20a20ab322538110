// What a tab has fetched stays on the machine, in the origin's file system or, where there is none,
// in the Cache API: visits after the first cost nothing, interrupted downloads go on, and damage is
// found. The stage has one file more than its graph needs, so that one has several chunks.

import type { BrowserContext, Page } from "playwright-core";
import { randomBytes } from "node:crypto";
import { mkdtempSync, writeFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { chunkBytes } from "../volunteer/blobs.ts";
import { testCore } from "../volunteer/testing/frames.ts";
import { FakeCoordinator } from "./harness/fake_coordinator.ts";
import { scratch, storytellerSmall } from "./harness/paths.ts";
import { pack, stage, type StageFolder } from "./harness/shoal.ts";
import { openProfile } from "./harness/browsers.ts";
import { removeProfile } from "./harness/profile.ts";
import { until } from "./harness/wait.ts";

const bigBytes = 2 * chunkBytes + 100_000;

let coordinator: FakeCoordinator;
let folder: StageFolder;
let profile: string;
let context: BrowserContext;
const flags: string[] = [];

beforeAll(async () => {
  folder = await stage(await pack("storyteller-7m", storytellerSmall), 1, 2);
  const location = "big.bin";
  writeFileSync(`${folder.folder}/${location}`, randomBytes(bigBytes));
  folder.weights.push({ location, bytes: bigBytes, generated: false });
});

beforeEach(async () => {
  coordinator = await FakeCoordinator.start(await testCore());
  profile = mkdtempSync(`${scratch}/cache-`);
  context = await openProfile(profile, flags);
});

afterEach(async () => {
  await context.close();
  await coordinator.stop();
  await removeProfile(profile);
});

let visits = 0;

// A tab that has been told what to hold.
async function visit(): Promise<{ page: Page; assigned: Promise<void> }> {
  const node = coordinator.volunteers.size + 1;
  const page = await context.newPage();
  await page.goto(`${coordinator.url}/lend?auto=1&executor=shoal&memory=512M`);
  const volunteer = await coordinator.volunteer(node);
  coordinator.served.length = 0;
  return { page, assigned: volunteer.hold(coordinator.assignment(folder, ++visits)) };
}

// Visits until the stage is held; gives the bytes that crossed the network.
async function completeVisit(): Promise<number> {
  const { page, assigned } = await visit();
  await assigned;
  await page.close();
  return servedBytes();
}

function servedBytes(): number {
  return coordinator.served.reduce((sum, { bytes }) => sum + bytes, 0);
}

it("fetches nothing on the second visit", async () => {
  expect(await completeVisit()).toBeGreaterThan(bigBytes);
  expect(await completeVisit()).toBe(0);
});

it("repeats at most one chunk after an interrupted download", async () => {
  // The first chunk of the big file comes, the second never ends.
  coordinator.holdBack = (from) => from === chunkBytes;
  const { page, assigned } = await visit();
  assigned.catch(() => {});
  await until("the second chunk to be asked for", 60_000, () => coordinator.heldBack > 0);
  await until("everything else", 60_000, () => cachedChunks(page, 2 + folder.weights.length - 1));
  await page.close();
  const first = servedBytes();
  coordinator.holdBack = undefined;
  const second = await completeVisit();
  expect(coordinator.served.filter(({ bytes }) => bytes > 0).length).toBe(2);
  expect(second).toBe(bigBytes - chunkBytes);
  expect(first + second).toBeLessThan(coordinator.bytesOf(folder) + chunkBytes);
  expect(await completeVisit()).toBe(0);
});

it("finds a damaged chunk and fetches it again, alone", async () => {
  await completeVisit();
  const page = await context.newPage();
  await page.goto(`${coordinator.url}/lend`);
  await page.evaluate(async () => {
    const root = await navigator.storage.getDirectory();
    const blobs = await root.getDirectoryHandle("blobs");
    for await (const entry of blobs.values()) {
      try {
        const file = await (entry as FileSystemDirectoryHandle).getFileHandle("1");
        const writable = await file.createWritable({ keepExistingData: true });
        await writable.write({ type: "write", position: 77, data: "damage" });
        await writable.close();
      } catch {
        // A file of one chunk.
      }
    }
  });
  await page.close();
  expect(await completeVisit()).toBe(chunkBytes);
  expect(coordinator.served.length).toBe(1);
  expect(await completeVisit()).toBe(0);
});

describe("without a file system of the origin", () => {
  const flag = "--disable-blink-features=FileSystemAccessOriginPrivate";

  beforeAll(() => void flags.push(flag));
  afterAll(() => void flags.pop());

  // In the page as in the Workers.
  async function inPage<T>(ask: () => Promise<T>): Promise<T> {
    const page = await context.newPage();
    await page.goto(`${coordinator.url}/lend`);
    expect(await page.evaluate(() => "getDirectory" in StorageManager.prototype)).toBe(false);
    const answer = await page.evaluate(ask);
    await page.close();
    return answer;
  }

  it("fetches nothing on the second visit, and a damaged chunk again, alone", async () => {
    expect(await completeVisit()).toBeGreaterThan(bigBytes);
    expect(await completeVisit()).toBe(0);
    const damaged = await inPage(async () => {
      const cache = await caches.open("shoal-blobs");
      for (const { url } of await cache.keys()) {
        if (!url.endsWith("/1")) continue;
        const bytes = new Uint8Array(await (await cache.match(url))!.arrayBuffer());
        bytes[77]! ^= 1;
        await cache.put(url, new Response(bytes));
        return bytes.length;
      }
      return 0;
    });
    expect(damaged).toBe(chunkBytes);
    expect(await completeVisit()).toBe(chunkBytes);
    expect(coordinator.served.length).toBe(1);
    expect(await completeVisit()).toBe(0);
  });
});

// Whether this many chunks are in the storage, whole.
async function cachedChunks(page: Page, count: number): Promise<true | undefined> {
  const found = await page.evaluate(async () => {
    let chunks = 0;
    const root = await navigator.storage.getDirectory();
    const blobs = await root.getDirectoryHandle("blobs", { create: true });
    for await (const entry of blobs.values()) {
      for await (const name of (entry as FileSystemDirectoryHandle).keys()) {
        if (/^\d+$/.test(name)) ++chunks;
      }
    }
    return chunks;
  });
  return found >= count ? true : undefined;
}
