import { IDBFactory } from "fake-indexeddb";
import { describe, expect, it } from "vitest";

import { defaultSettings } from "./settings.ts";
import { MemoryStore, openStore } from "./store.ts";
import { addTurn, newConversation } from "./tree.ts";

function conversation(text: string, nowMs: number) {
  const made = newConversation(defaultSettings, nowMs);
  addTurn(made, { parent: -1, role: "user", text, createdMs: nowMs });
  return made;
}

describe.each([
  ["the browser's database", async () => await openStore(new IDBFactory())],
  ["memory", async () => await Promise.resolve(new MemoryStore())],
])("%s", (_name, open) => {
  it("keeps, lists newest first, replaces and removes", async () => {
    const store = await open();
    const old = conversation("old", 1);
    const young = conversation("young", 2);
    await store.save(young);
    await store.save(old);
    expect((await store.list()).map(({ title }) => title)).toEqual(["young", "old"]);
    expect(await store.load(old.id)).toEqual(old);

    addTurn(old, { parent: 0, role: "assistant", text: "hm", createdMs: 3 });
    expect((await store.load(old.id))!.turns).toHaveLength(1);
    await store.save(old);
    expect((await store.load(old.id))!.turns).toHaveLength(2);
    expect((await store.list())[0]!.id).toBe(old.id);

    await store.remove(old.id);
    expect(await store.load(old.id)).toBeUndefined();
    expect(await store.list()).toHaveLength(1);
  });
});

it("keeps across openings", async () => {
  const factory = new IDBFactory();
  const kept = conversation("kept", 1);
  await (await openStore(factory)).save(kept);
  const again = await openStore(factory);
  expect(again.isKept).toBe(true);
  expect(await again.load(kept.id)).toEqual(kept);
});

it("falls back to memory where there is no database", async () => {
  const failing = {
    open: () => {
      throw new Error("private window");
    },
  };
  expect((await openStore(failing as unknown as IDBFactory)).isKept).toBe(false);
  expect((await openStore(undefined)).isKept).toBe(false);
});
