// The storage of this origin: which store there is, how much it may take, what it holds.

import { CacheApiStore } from "./cache_api_store.ts";
import type { ChunkStore } from "./chunk_store.ts";
import { LockLeases } from "./leases.ts";
import { OpfsStore } from "./opfs_store.ts";

// Of what the browser says it would give.
const quotaShare = 0.6;

// Undefined where the browser keeps nothing: insecure origins, some private windows.
export async function openStore(): Promise<ChunkStore | undefined> {
  try {
    if (typeof navigator.storage?.getDirectory === "function") {
      return await OpfsStore.open(await navigator.storage.getDirectory());
    }
    if (typeof caches !== "undefined") return await CacheApiStore.open(caches, location.origin);
  } catch {
    // Refused by the browser's settings.
  }
  return undefined;
}

export async function defaultBytesMax(): Promise<number> {
  const { quota = 0 } = await navigator.storage.estimate();
  return Math.floor(quota * quotaShare);
}

export interface StorageUse {
  blobs: number;
  bytes: number;
}

// Of cached blobs; undefined where none are kept.
export async function storageUse(): Promise<StorageUse | undefined> {
  const blobs = await (await openStore())?.list();
  return blobs && { blobs: blobs.length, bytes: blobs.reduce((sum, { bytes }) => sum + bytes, 0) };
}

// Removes every cached blob that no tab is using.
export async function clearStorage(): Promise<void> {
  const store = await openStore();
  if (store === undefined) return;
  const leases = new LockLeases(navigator.locks);
  for (const { location } of await store.list()) {
    await leases.ifFree(location, () => store.remove(location));
  }
}
