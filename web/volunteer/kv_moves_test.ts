// KV that moves between volunteers and between sessions.

import { beforeAll, beforeEach, describe, expect, it } from "vitest";

import type { Core } from "../core/index.ts";
import { Bench } from "./testing/bench.ts";
import { testCore } from "./testing/frames.ts";

let core: Core;
let bench: Bench;
beforeAll(async () => void (core = await testCore()));
// Blocks 1 and 2, one head of two values each.
beforeEach(async () => {
  bench = new Bench(core);
  await bench.hold(1, 3);
  bench.take("ready");
  for (const session of [7n, 8n]) open(session);
  await bench.settle();
});

function open(session: bigint, epoch = 1, keep = 0): void {
  const about = { session, epoch, generation: 1, next: 9, capacity: 16, keep };
  bench.send("open", { ...about, hop: "f32" });
}

function rows(session: bigint, from: number, to: number): void {
  const positions = Array.from({ length: to - from }, (_, i) => from + i);
  bench.send(
    "step",
    {
      rows: positions.map((position) => ({ session, epoch: 1, position, flags: 0 })),
      type: "f32",
      width: 4,
      sampling: [],
      payload: new Uint8Array(16 * positions.length),
    },
    2,
  );
}

function part(block: number, from: number, to: number, bytes = 16 * (to - from)): void {
  const payload = new Uint8Array(bytes);
  bench.send("kv-import", { session: 8n, epoch: 1, block, from, to, type: "f32", payload }, 3);
}

describe("kv-copy", () => {
  it("lets a session go on after the beginning of another", async () => {
    rows(7n, 0, 6);
    bench.send("kv-copy", { session: 8n, epoch: 1, source: 7n, positions: 4 });
    rows(8n, 4, 6);
    await bench.settle();
    expect(bench.takeErrors()).toEqual([]);
    expect(bench.take("step").map(({ body }) => body.rows.length)).toEqual([6, 2]);
  });

  it("is refused for more than the source holds, an unknown source, an old epoch", async () => {
    rows(7n, 0, 6);
    bench.send("kv-copy", { session: 8n, epoch: 1, source: 7n, positions: 7 });
    bench.send("kv-copy", { session: 8n, epoch: 1, source: 6n, positions: 2 });
    bench.send("kv-copy", { session: 8n, epoch: 0, source: 7n, positions: 2 });
    await bench.settle();
    expect(bench.takeErrors().sort()).toEqual([
      "not_found 8 1 0",
      "out_of_range 8 1 0",
      "stale_epoch 8 0 0",
    ]);
  });
});

describe("kv-import", () => {
  it("lets a session go on once all blocks have come", async () => {
    part(1, 0, 3);
    part(2, 0, 3);
    part(1, 3, 5);
    part(2, 3, 5);
    rows(8n, 5, 6);
    await bench.settle();
    expect(bench.takeErrors()).toEqual([]);
    expect(bench.take("step").length).toBe(1);
  });

  it("counts nothing while a block is missing", async () => {
    part(1, 0, 3);
    rows(8n, 3, 4);
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["failed_precondition 8 1 0"]);
  });

  it("is refused where it does not fit", async () => {
    part(1, 2, 3); // a gap
    part(1, 0, 17); // past the capacity
    part(5, 0, 3); // no such block
    part(1, 0, 3, 24); // half of it
    await bench.settle();
    expect(bench.takeErrors()).toEqual([
      "out_of_range 8 1 0",
      "out_of_range 8 1 0",
      "invalid_argument 8 1 0",
      "invalid_argument 8 1 0",
    ]);
  });

  it("begins anew under a newer epoch", async () => {
    part(1, 0, 3);
    await bench.settle();
    open(8n, 2);
    const again = { session: 8n, epoch: 2, from: 0, to: 3, type: "f32" } as const;
    bench.send("kv-import", { ...again, block: 2, payload: new Uint8Array(48) }, 3);
    await bench.settle();
    expect(bench.takeErrors()).toEqual([]);
    bench.send("rollback", { session: 8n, epoch: 2, position: 1 });
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["out_of_range 8 2 0"]);
  });
});

describe("kv-export", () => {
  it("sends every block that keeps KV to the other volunteer", async () => {
    rows(7n, 0, 6);
    const about = { session: 7n, epoch: 1, first: 1, last: 3 };
    bench.send("kv-export", { ...about, from: 2, to: 4, target: 9 });
    await bench.settle();
    const sent = bench.take("kv-import");
    expect(sent.map(({ to, body }) => [to, body.block, body.from, body.to])).toEqual([
      [9, 1, 2, 4],
      [9, 2, 2, 4],
    ]);
    const { payload } = sent[1]!.body;
    expect([...new Float32Array(payload.slice().buffer)].slice(0, 2)).toEqual([202, 203]);
  });

  it("is refused for more than is held", async () => {
    rows(7n, 0, 2);
    const about = { session: 7n, epoch: 1, first: 1, last: 3 };
    bench.send("kv-export", { ...about, from: 0, to: 3, target: 9 });
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["out_of_range 7 1 0"]);
  });
});
