// Steps: what goes in and out, whose fault an error is, and that one session's trouble is nobody
// else's.

import { beforeAll, describe, expect, it } from "vitest";

import type { Core, Open, Row, Sampling, Step } from "../core/index.ts";
import { assignment, Bench } from "./testing/bench.ts";
import { greedy, testCore } from "./testing/frames.ts";

let core: Core;
beforeAll(async () => void (core = await testCore()));

function open(session: bigint, change: Partial<Open> = {}): Open {
  const usual = { epoch: 1, generation: 1, next: 9, hop: "f32", capacity: 16, keep: 0 } as const;
  return { session, ...usual, ...change };
}

// A row and its hidden state: [value, value + 0.25, value + 0.5, value + 0.75].
type Given = [session: bigint, position: number, value: number, change?: Partial<Row>];

function hiddenStep(given: Given[], type: "f32" | "f16" = "f32"): Step {
  const values = Float32Array.from(
    given.flatMap(([, , value]) => [0, 1, 2, 3].map((i) => value + i / 4)),
  );
  const encoded = type === "f16" ? core.f32ToF16(values) : values;
  return {
    ...shape(given.map(([session, position, , change]) => row(session, position, change))),
    type,
    width: 4,
    payload: new Uint8Array(encoded.buffer),
  };
}

function tokenStep(given: Given[]): Step {
  const tokens = Int32Array.from(given.map(([, , token]) => token));
  return {
    ...shape(given.map(([session, position, , change]) => row(session, position, change))),
    type: "tokens",
    width: 1,
    payload: new Uint8Array(tokens.buffer),
  };
}

function row(session: bigint, position: number, change: Partial<Row> = {}): Row {
  return { session, epoch: 1, position, flags: 0, ...change };
}

function shape(rows: Row[]): { rows: Row[]; sampling: Sampling[] } {
  const sampling = rows.flatMap(({ flags }, index) =>
    (flags & 1) === 1 ? [greedy(index, { seed: BigInt(index) })] : [],
  );
  return { rows, sampling };
}

function floats(payload: Uint8Array): number[] {
  return [...new Float32Array(payload.slice().buffer)];
}

const wanted = { flags: 1 };

describe("a middle stage", () => {
  it("sends what it computed to the next node, rows and sampling unchanged", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("open", open(7n));
    const step = hiddenStep([
      [7n, 0, 10],
      [7n, 1, 20, { flags: 1 }],
    ]);
    bench.send("step", step, 2);
    await bench.settle();
    const [sent] = bench.take("step");
    expect(sent).toMatchObject({ to: 9, from: 5 });
    expect(sent!.body.rows).toEqual(step.rows);
    expect(sent!.body.sampling).toEqual(step.sampling);
    expect(floats(sent!.body.payload)).toEqual([11, 11.25, 11.5, 11.75, 21, 21.25, 21.5, 21.75]);
    expect(bench.take("report")).toMatchObject([
      {
        to: 0,
        body: { session: 7n, epoch: 1, position: 0, rows: 2, first: 1, last: 3, compute_us: 1000 },
      },
    ]);
    expect(bench.takeErrors()).toEqual([]);
  });

  it("runs rows again for their KV and sends nothing of them", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("open", open(7n));
    const replayed = { flags: 2 };
    const step = hiddenStep([
      [7n, 0, 10, replayed],
      [7n, 1, 20, replayed],
    ]);
    bench.send("step", step, 2);
    await bench.settle();
    expect(bench.take("step")).toEqual([]);
    expect(bench.take("report")).toMatchObject([{ body: { position: 0, rows: 2, bytes_out: 0 } }]);
    // The next row continues the KV that they made.
    bench.send("step", hiddenStep([[7n, 2, 30]]), 2);
    await bench.settle();
    expect(bench.take("step").map(({ body }) => body.rows[0]!.position)).toEqual([2]);
    expect(bench.takeErrors()).toEqual([]);
  });

  it("takes and gives halves", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("open", open(7n, { hop: "f16" }));
    bench.send("step", hiddenStep([[7n, 0, 10]], "f16"), 2);
    await bench.settle();
    const [sent] = bench.take("step");
    expect(sent!.body.type).toBe("f16");
    const halves = new Uint16Array(sent!.body.payload.slice().buffer);
    expect([...core.f16ToF32(halves)]).toEqual([11, 11.25, 11.5, 11.75]);
  });

  it("reports bytes and waiting", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("open", open(7n));
    bench.executor.onRun = () => void (bench.nowMs += 3);
    const bytes = core.encode({ kind: "step", to: 5, from: 2, body: hiddenStep([[7n, 0, 1]]) });
    bench.sendRaw(bytes);
    bench.send("step", hiddenStep([[7n, 1, 1]]), 2);
    await bench.settle();
    const sent = core.encode(bench.take("step")[0]!);
    const [first, second] = bench.take("report").map(({ body }) => body);
    expect(first).toMatchObject({ bytes_in: bytes.length, bytes_out: sent.length, queue_us: 0 });
    expect(second!.queue_us).toBe(3000);
  });

  it("sends rows of several sessions to their own next nodes", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("open", open(1n));
    bench.send("open", open(2n, { next: 8 }));
    bench.send("open", open(3n));
    const step = hiddenStep([
      [1n, 0, 10, wanted],
      [2n, 0, 20, wanted],
      [3n, 0, 30],
      [3n, 1, 40, wanted],
    ]);
    bench.send("step", step, 2);
    await bench.settle();
    const sent = bench.take("step");
    expect(sent.map(({ to }) => to)).toEqual([9, 8]);
    const [many, one] = sent.map(({ body }) => body);
    expect(many!.rows).toEqual([step.rows[0], step.rows[2], step.rows[3]]);
    expect(many!.sampling).toEqual([step.sampling[0], { ...step.sampling[2], row: 2 }]);
    expect(floats(many!.payload).filter((_, i) => i % 4 === 0)).toEqual([11, 31, 41]);
    expect(one!.rows).toEqual([step.rows[1]]);
    expect(one!.sampling).toEqual([{ ...step.sampling[1], row: 0 }]);
  });
});

describe("a stage with both ends", () => {
  it("takes tokens and answers with tokens where they are wanted", async () => {
    const bench = new Bench(core);
    await bench.hold(0, 10);
    bench.send("open", open(7n, { next: 0 }));
    bench.send(
      "step",
      tokenStep([
        [7n, 0, 3],
        [7n, 1, 4],
        [7n, 2, 5, wanted],
      ]),
    );
    await bench.settle();
    // The fake executor favours 10 * position + blocks.
    expect(bench.take("token")).toMatchObject([
      { to: 0, body: { session: 7n, epoch: 1, position: 3, token: 30 } },
    ]);
    expect(bench.take("step")).toEqual([]);
  });

  it("samples as it is told, with the alternatives asked for", async () => {
    const bench = new Bench(core);
    await bench.hold(0, 10);
    bench.send("open", open(7n, { next: 0 }));
    const step = tokenStep([[7n, 0, 3, wanted]]);
    step.sampling[0] = greedy(0, { top_logprobs: 2, biases: [{ token: 50, bias: 9 }] });
    bench.send("step", step);
    await bench.settle();
    const { body } = bench.take("token")[0]!;
    expect(body.token).toBe(50);
    expect(body.top.length).toBe(2);
  });

  it("asks an executor that picks none for all logits", async () => {
    const bench = new Bench(core);
    await bench.hold(0, 10);
    bench.send("open", open(7n, { next: 0 }));
    const asked: (number | undefined)[] = [];
    bench.executor.onRun = async ({ groups }) => void asked.push(groups[0]!.largestNeeded);
    bench.send("step", tokenStep([[7n, 0, 3, wanted]]));
    await bench.settle();
    expect(asked).toEqual([0]);
    expect(bench.take("token").length).toBe(1);
  });

  it("samples from the largest logits where they are enough", async () => {
    const bench = new Bench(core);
    bench.executor.picksLargest = true;
    await bench.hold(0, 10);
    bench.send("open", open(7n, { next: 0 }));
    const asked: (number | undefined)[] = [];
    let logSumExp = 2;
    bench.executor.onRun = async ({ groups }, result) => {
      const { largestNeeded } = groups[0]!;
      asked.push(largestNeeded);
      if (largestNeeded === 0) return;
      // The vocabulary has fewer than the largest that are picked: all of it, ids from the last.
      const ids = Int32Array.from({ length: 100 }, (_, i) => 99 - i);
      const logits = Float32Array.from(ids, (id) => (id === 41 ? 1 : id === 7 ? 0.5 : 0));
      const largest = [{ ids, logits, logSumExp }];
      result.groups[0] = { ok: true, output: new Float32Array(0), largest };
    };
    const samplings = [
      { top_logprobs: 2 },
      { temperature: 1, top_k: 1 },
      { temperature: 1 },
      { biases: [{ token: 50, bias: 9 }] },
    ];
    for (const [position, change] of samplings.entries()) {
      const step = tokenStep([[7n, position, 3, wanted]]);
      step.sampling[0] = greedy(0, change);
      bench.send("step", step);
    }
    await bench.settle();
    expect(asked).toEqual([2, 1, 0, 0]);
    const tokens = bench.take("token").map(({ body }) => body);
    expect(tokens[0]).toMatchObject({ token: 41, logprob: -1, log_sum_exp: 2 });
    expect(tokens[0]!.top).toEqual([
      { token: 41, logprob: -1 },
      { token: 7, logprob: -1.5 },
    ]);
    expect(tokens[1]!.token).toBe(41);
    expect(tokens[3]!.token).toBe(50);
    // A sum of logits that are not finite.
    logSumExp = NaN;
    bench.send("step", tokenStep([[7n, 4, 3, wanted]]));
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["internal 7 1 0"]);
  });

  it("says which session asked for the impossible", async () => {
    const bench = new Bench(core);
    await bench.hold(0, 10);
    for (const session of [1n, 2n]) bench.send("open", open(session, { next: 0 }));
    const step = tokenStep([
      [1n, 0, 3, wanted],
      [2n, 0, 3, wanted],
    ]);
    step.sampling[0] = greedy(0, { biases: [{ token: 100, bias: 1 }] });
    bench.send("step", step);
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["invalid_argument 1 1 0"]);
    expect(bench.take("token").map(({ body }) => body.session)).toEqual([2n]);
  });
});

// Session 1 is in order; session 2 is spoiled in some way.
describe("trouble of one session leaves the other alone", () => {
  async function run(spoiled: Given[], expected: string[], first = 1): Promise<void> {
    const bench = new Bench(core);
    const last = first === 0 ? 3 : 4;
    await bench.hold(first, last);
    bench.send("open", open(1n));
    bench.send("open", open(2n, { epoch: 5, capacity: 2 }));
    const step = first === 0 ? tokenStep : hiddenStep;
    bench.send("step", step([...spoiled, [1n, 0, 1]]), 2);
    await bench.settle();
    expect(bench.takeErrors()).toEqual(expected);
    const sent = bench.take("step");
    expect(sent.map(({ body }) => body.rows)).toEqual([[row(1n, 0)]]);
    // And it can go on itself, as if nothing had happened.
    bench.send("step", step([[2n, 0, 1, { epoch: 5 }]]), 2);
    await bench.settle();
    expect(bench.take("step").length).toBe(1);
  }
  const now = { epoch: 5 };

  it("unknown session", () => run([[3n, 0, 1]], ["not_found 3 1 0"]));
  it("old epoch", () => run([[2n, 0, 1, { epoch: 4 }]], ["stale_epoch 2 4 0"]));
  it("epoch to come", () => run([[2n, 0, 1, { epoch: 6 }]], ["failed_precondition 2 6 0"]));
  it("a gap", () => run([[2n, 1, 1, now]], ["failed_precondition 2 5 0"]));
  it("too many positions", () =>
    run(
      [
        [2n, 0, 1, now],
        [2n, 1, 1, now],
        [2n, 2, 1, now],
      ],
      ["out_of_range 2 5 0"],
    ));
  it("infinity", () => run([[2n, 0, Infinity, now]], ["invalid_argument 2 5 0"]));
  it("NaN", () => run([[2n, 0, NaN, now]], ["invalid_argument 2 5 0"]));
  it("negative token", () => run([[2n, 0, -1, now]], ["invalid_argument 2 5 0"], 0));
  it("token beyond the vocabulary", () => run([[2n, 0, 100, now]], ["invalid_argument 2 5 0"], 0));
});

describe("a whole step is refused", () => {
  it.each<[string, () => Step]>([
    [
      "tokens for a middle stage",
      () =>
        tokenStep([
          [1n, 0, 1],
          [2n, 0, 1],
        ]),
    ],
    [
      "too many rows",
      () => hiddenStep(Array.from({ length: 9 }, (_, i): Given => [i < 5 ? 1n : 2n, i % 5, 1])),
    ],
    [
      "another width",
      () => ({
        ...hiddenStep([
          [1n, 0, 1],
          [2n, 0, 1],
        ]),
        width: 3,
        payload: new Uint8Array(24),
      }),
    ],
  ])("%s", async (_name, step) => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    for (const session of [1n, 2n]) bench.send("open", open(session));
    bench.send("step", step(), 2);
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["invalid_argument 1 1 0", "invalid_argument 2 1 0"]);
    expect(bench.take("step")).toEqual([]);
    expect(bench.take("report")).toEqual([]);
  });

  it("when nothing is held", async () => {
    const bench = new Bench(core);
    bench.welcome();
    bench.send(
      "step",
      hiddenStep([
        [1n, 0, 1],
        [2n, 0, 1],
      ]),
      2,
    );
    expect(bench.takeErrors()).toEqual(["failed_precondition 1 1 0", "failed_precondition 2 1 0"]);
  });

  it("when the executor fails as a whole", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("open", open(1n));
    bench.executor.onRun = () => {
      throw new Error("trap");
    };
    bench.send("step", hiddenStep([[1n, 0, 1]]), 2);
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["internal 1 1 0"]);
  });
});

describe("what the executor makes", () => {
  it("is an error of its session when it is not finite, and is forgotten", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    for (const session of [1n, 2n]) bench.send("open", open(session));
    bench.executor.onRun = (_request, { groups }) => {
      if (groups[0]!.ok) groups[0]!.output[2] = NaN;
    };
    bench.send(
      "step",
      hiddenStep([
        [1n, 0, 1],
        [2n, 0, 1],
      ]),
      2,
    );
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["internal 1 1 0"]);
    expect(bench.take("step").map(({ body }) => body.rows[0]!.session)).toEqual([2n]);
    expect([...bench.executor.lengths.values()]).toEqual([0, 1]);
    bench.executor.onRun = () => {};
    bench.send("step", hiddenStep([[1n, 0, 1]]), 2);
    await bench.settle();
    expect(bench.take("step").length).toBe(1);
  });

  it("is an error of its session when a group fails", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    for (const session of [1n, 2n]) bench.send("open", open(session));
    bench.executor.onRun = (_request, { groups }) => {
      groups[1] = { ok: false, code: "resource_exhausted", detail: "no memory" };
    };
    bench.send(
      "step",
      hiddenStep([
        [1n, 0, 1],
        [2n, 0, 1],
      ]),
      2,
    );
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["resource_exhausted 2 1 0"]);
    expect(bench.take("step").length).toBe(1);
  });
});

describe("while a step runs", () => {
  // A bench with session 1 in the middle of a run that the test ends.
  async function busy(): Promise<{ bench: Bench; finish: () => void }> {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("open", open(1n));
    let finish = (): void => {};
    bench.executor.onRun = () => new Promise<void>((resolve) => (finish = resolve));
    bench.send("step", hiddenStep([[1n, 0, 1]]), 2);
    await bench.settle();
    bench.executor.onRun = () => {};
    return { bench, finish: () => finish() };
  }

  it("others wait, in order, and pings do not", async () => {
    const { bench, finish } = await busy();
    bench.send("step", hiddenStep([[1n, 1, 2]]), 2);
    bench.send("ping", { nonce: 1n, reply: false });
    await bench.settle();
    expect(bench.take("ping").length).toBe(1);
    expect(bench.take("step")).toEqual([]);
    finish();
    await bench.settle();
    expect(bench.take("step").map(({ body }) => body.rows[0]!.position)).toEqual([0, 1]);
  });

  it("a cancelled session says nothing more, and can be opened again", async () => {
    const { bench, finish } = await busy();
    bench.send("step", hiddenStep([[1n, 1, 2]]), 2);
    bench.send("cancel", { session: 1n, epoch: 1 });
    finish();
    await bench.settle();
    expect(bench.take("step")).toEqual([]);
    expect(bench.takeErrors()).toEqual([]);
    bench.send("open", open(1n, { epoch: 2, keep: 1 }));
    bench.send("step", hiddenStep([[1n, 1, 2, { epoch: 2 }]]), 2);
    await bench.settle();
    expect(bench.take("step").length).toBe(1);
  });

  it("a newer epoch makes the old one stale and keeps what it says", async () => {
    const { bench, finish } = await busy();
    bench.send("step", hiddenStep([[1n, 1, 2]]), 2);
    bench.send("open", open(1n, { epoch: 2, keep: 0, next: 8 }));
    bench.send("step", hiddenStep([[1n, 0, 5, { epoch: 2 }]]), 2);
    finish();
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["stale_epoch 1 1 0"]);
    const sent = bench.take("step");
    expect(sent.map(({ to, body }) => [to, body.rows[0]!.epoch])).toEqual([[8, 2]]);
    expect([...bench.executor.lengths.values()]).toEqual([1]);
  });

  it("a released session is forgotten", async () => {
    const { bench, finish } = await busy();
    bench.send("release", { session: 1n });
    bench.send("release", { session: 1n });
    finish();
    await bench.settle();
    expect(bench.take("step")).toEqual([]);
    expect(bench.takeErrors()).toEqual([]);
    expect(bench.executor.lengths.size).toBe(0);
    bench.send("step", hiddenStep([[1n, 1, 2]]), 2);
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["not_found 1 1 0"]);
  });

  it("a newer assignment drops what waits", async () => {
    const { bench, finish } = await busy();
    bench.send("step", hiddenStep([[1n, 1, 2]]), 2);
    bench.send("assign", assignment(4, 6, { generation: 2 }));
    finish();
    await bench.settle();
    expect(bench.take("step")).toEqual([]);
    expect(bench.takeErrors()).toEqual([]);
    expect(bench.state).toBe("ready");
  });

  it("only so much may wait", async () => {
    const { bench, finish } = await busy();
    for (let i = 0; i < 5000; ++i) bench.send("rollback", { session: 1n, epoch: 1, position: 0 });
    expect(bench.takeErrors().length).toBe(5000 - 4096);
    finish();
    await bench.settle();
  });
});

describe("rollback", () => {
  it("takes positions back", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("open", open(1n));
    bench.send(
      "step",
      hiddenStep([
        [1n, 0, 1],
        [1n, 1, 2],
        [1n, 2, 3],
      ]),
      2,
    );
    bench.send("rollback", { session: 1n, epoch: 1, position: 1 });
    bench.send("step", hiddenStep([[1n, 1, 9]]), 2);
    await bench.settle();
    expect(bench.take("step").length).toBe(2);
    expect(bench.takeErrors()).toEqual([]);
  });

  it("refuses what is not there", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("open", open(1n, { epoch: 2 }));
    bench.send("rollback", { session: 1n, epoch: 2, position: 1 });
    bench.send("rollback", { session: 1n, epoch: 1, position: 0 });
    bench.send("rollback", { session: 4n, epoch: 1, position: 0 });
    await bench.settle();
    expect(bench.takeErrors().sort()).toEqual([
      "not_found 4 1 0",
      "out_of_range 1 2 0",
      "stale_epoch 1 1 0",
    ]);
  });
});
