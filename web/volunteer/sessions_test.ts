import { describe, expect, it } from "vitest";

import type { Open } from "../core/index.ts";
import { SessionTable } from "./sessions.ts";

const limits = {
  generation: 5,
  hasHead: false,
  positions: 100,
  kvBytesPerPosition: 10,
  kvBytesMax: 1000,
};

function open(change: Partial<Open> = {}): Open {
  const usual: Open = {
    session: 7n,
    epoch: 1,
    generation: 5,
    next: 2,
    hop: "f32",
    capacity: 40,
    keep: 0,
  };
  return { ...usual, ...change };
}

function table(change: Partial<typeof limits> = {}): SessionTable {
  const sessions = new SessionTable();
  sessions.reset({ ...limits, ...change });
  return sessions;
}

describe("SessionTable", () => {
  it("opens, finds and releases", () => {
    const sessions = table();
    const opened = sessions.open(open());
    expect(opened.kind).toBe("new");
    expect(sessions.require(7n, 1)).toBe(opened.session);
    expect(sessions.reservedBytes).toBe(400);
    expect(sessions.release(7n)).toBe(opened.session);
    expect(opened.session.gone).toBe(true);
    expect(sessions.reservedBytes).toBe(0);
    expect(() => sessions.require(7n, 1)).toThrow("not_found");
    expect(sessions.release(7n)).toBeUndefined();
  });

  it("follows newer epochs and refuses others", () => {
    const sessions = table();
    sessions.open(open({ epoch: 3 }));
    expect(() => sessions.open(open({ epoch: 3 }))).toThrow("stale_epoch");
    expect(() => sessions.open(open({ epoch: 2 }))).toThrow("stale_epoch");
    expect(() => sessions.require(7n, 2)).toThrow("stale_epoch");
    expect(() => sessions.require(7n, 4)).toThrow("failed_precondition");
    sessions.cancel({ session: 7n, epoch: 2 });
    expect(sessions.require(7n, 3).cancelled).toBe(false);
    sessions.cancel({ session: 7n, epoch: 3 });
    expect(sessions.require(7n, 3).cancelled).toBe(true);
    const again = sessions.open(open({ epoch: 4, next: 9, hop: "f16", keep: 12 }));
    expect(again).toMatchObject({ kind: "again", keep: 12 });
    expect(again.session).toMatchObject({ epoch: 4, next: 9, hop: "f16", cancelled: false });
  });

  it("opens only under the assignment that is held", () => {
    expect(() => new SessionTable().open(open())).toThrow("failed_precondition");
    const sessions = table();
    expect(() => sessions.open(open({ generation: 4 }))).toThrow("failed_precondition");
    const { session } = sessions.open(open());
    expect(sessions.reset({ ...limits, generation: 6 })).toEqual([session]);
    expect(session.gone).toBe(true);
    expect(sessions.count).toBe(0);
  });

  it("never names two KV caches alike", () => {
    const sessions = table();
    const first = sessions.open(open()).session.kv;
    sessions.release(7n);
    const second = sessions.open(open()).session.kv;
    sessions.reset(limits);
    const third = sessions.open(open()).session.kv;
    expect(new Set([first, second, third]).size).toBe(3);
  });

  it.each([
    ["a session without a number", { session: 0n }, "invalid_argument"],
    ["a middle stage without a next", { next: 0 }, "invalid_argument"],
    ["too long a session", { capacity: 101 }, "invalid_argument"],
    ["an empty session", { capacity: 0 }, "invalid_argument"],
    ["positions that were never here", { keep: 1 }, "out_of_range"],
  ])("refuses %s", (_name, change, code) => {
    const sessions = table();
    expect(() => sessions.open(open(change))).toThrow(code);
    expect(sessions.count).toBe(0);
    expect(sessions.reservedBytes).toBe(0);
  });

  it("refuses a next node after the head", () => {
    const sessions = table({ hasHead: true });
    expect(() => sessions.open(open())).toThrow("the head is here");
    sessions.open(open({ next: 0 }));
  });

  it("keeps the KV caches within the lent memory", () => {
    const sessions = table();
    sessions.open(open({ session: 1n, capacity: 60 }));
    expect(() => sessions.open(open({ session: 2n, capacity: 41 }))).toThrow("resource_exhausted");
    sessions.open(open({ session: 2n, capacity: 40 }));
    sessions.release(1n);
    sessions.open(open({ session: 3n, capacity: 60 }));
  });
});
