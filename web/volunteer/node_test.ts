// The life of a volunteer: joining, assignments, losing and finding the coordinator.

import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";

import type { Core } from "../core/index.ts";
import { assignment, Bench, benchNode } from "./testing/bench.ts";
import { greedy, testCore } from "./testing/frames.ts";

let core: Core;
beforeAll(async () => void (core = await testCore()));
beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

const sessionOpen = {
  session: 7n,
  epoch: 1,
  generation: 1,
  next: 9,
  hop: "f32",
  capacity: 16,
  keep: 0,
} as const;

describe("joining", () => {
  it("says hello and what it lends, and answers pings", () => {
    const bench = new Bench(core, { joinSecret: "s", threads: 2 });
    expect(bench.state).toBe("connecting");
    bench.welcome();
    expect(bench.take("hello")).toMatchObject([{ body: { node: 0, join_secret: "s" } }]);
    expect(bench.take("profile")).toMatchObject([
      {
        to: 0,
        from: benchNode,
        body: { executor: "ort-wasm", memory_bytes: 1 << 20, threads: 2, cached: [] },
      },
    ]);
    expect(bench.state).toBe("waiting");
    bench.send("ping", { nonce: 77n, reply: false });
    bench.send("ping", { nonce: 78n, reply: true });
    expect(bench.take("ping")).toMatchObject([{ body: { nonce: 77n, reply: true } }]);
  });

  it("is refused by a coordinator of another version", async () => {
    const bench = new Bench(core);
    bench.socket.handlers.onOpen();
    const hello = { node: 5, agent: "", join_secret: "", resume_token: "" };
    bench.send("hello", { version_min: 2, version_max: 3, ...hello });
    expect(bench.state).toBe("refused");
    expect(bench.events).toContainEqual(
      expect.objectContaining({ detail: expect.stringContaining("versions 2 to 3") as string }),
    );
    vi.advanceTimersByTime(100_000);
    expect(bench.sockets.length).toBe(1);
  });

  it("is refused by an error before the welcome that coming back does not mend", () => {
    const bench = new Bench(core);
    bench.socket.handlers.onOpen();
    const error = { session: 0n, epoch: 0, generation: 0, detail: "wrong secret" };
    bench.send("error", { code: "permission_denied", ...error });
    expect(bench.state).toBe("refused");
  });

  it("leaves politely", async () => {
    const bench = new Bench(core);
    bench.welcome();
    const stopped = bench.node.stop("enough");
    expect(bench.take("leave")).toMatchObject([{ body: { reason: "enough" } }]);
    bench.send("bye", { reason: "thank you" });
    await stopped;
    expect(bench.state).toBe("stopped");
    expect(bench.socket.isClosed).toBe(true);
  });

  it("leaves without a bye after a while", async () => {
    const bench = new Bench(core);
    bench.welcome();
    const stopped = bench.node.stop("enough");
    await vi.advanceTimersByTimeAsync(15_000);
    await stopped;
    expect(bench.state).toBe("stopped");
  });
});

describe("losing the connection", () => {
  it("comes back with its token and what it holds", async () => {
    const bench = new Bench(core);
    bench.welcome(benchNode, "token-1");
    bench.send("assign", assignment(1, 3));
    await bench.settle();
    bench.send("open", sessionOpen);
    bench.socket.handlers.onClose(1006, "");
    expect(bench.state).toBe("reconnecting");
    vi.advanceTimersByTime(500);
    bench.take("hello");
    bench.take("ready");
    bench.welcome(benchNode, "token-1");
    expect(bench.take("hello")).toMatchObject([{ body: { resume_token: "token-1" } }]);
    expect(bench.take("profile").at(-1)!.body.cached.length).toBe(3);
    expect(bench.state).toBe("ready");
    // Told the same again, it keeps its sessions.
    bench.send("assign", assignment(1, 3));
    expect(bench.take("ready")).toMatchObject([{ body: { generation: 1, done: true } }]);
    bench.send("step", hiddenStep([{ position: 0 }]), 2);
    await bench.settle();
    expect(bench.take("step").length).toBe(1);
  });

  it("forgets its sessions, not its files, when it comes back under another number", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("open", sessionOpen);
    await bench.settle();
    expect(bench.executor.lengths.size).toBe(1);
    bench.socket.handlers.onClose(1006, "");
    vi.advanceTimersByTime(500);
    bench.welcome(6);
    expect(bench.state).toBe("waiting");
    bench.fetched.length = 0;
    bench.send("assign", assignment(1, 3), 0, 6);
    await bench.settle();
    expect(bench.state).toBe("ready");
    expect(bench.fetched).toEqual([]);
    expect(bench.executor.log).toEqual(["load 1 3"]);
    expect(bench.executor.lengths.size).toBe(0);
    bench.send("step", hiddenStep([{ position: 0 }]), 2, 6);
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["not_found 7 1 0"]);
  });

  it("comes back after a bye that it did not ask for, later", () => {
    const bench = new Bench(core);
    bench.welcome();
    bench.send("bye", { reason: "restarting" });
    expect(bench.state).toBe("reconnecting");
    vi.advanceTimersByTime(1400);
    expect(bench.sockets.length).toBe(1);
    vi.advanceTimersByTime(200);
    expect(bench.sockets.length).toBe(2);
  });
});

describe("assignments", () => {
  it("are fetched and loaded, with progress", async () => {
    const bench = new Bench(core);
    await bench.hold(0, 4);
    const ready = bench.take("ready").map(({ body }) => body);
    const total = 401 + 5000 + 6000;
    expect(ready.at(-2)).toMatchObject({ done: false, bytes_done: total, bytes_fetched: total });
    expect(ready.at(-1)).toMatchObject({ done: true, bytes_done: total, bytes_total: total });
    expect(bench.events).toContainEqual({
      kind: "holding",
      first: 0,
      last: 4,
      hasHead: false,
      weightBytes: total,
    });
  });

  it("are refused when they do not fit the memory lent", async () => {
    const bench = new Bench(core, { memoryBytes: 11_000 });
    await bench.hold(0, 4);
    expect(bench.takeErrors()).toEqual(["resource_exhausted 0 0 1"]);
    expect(bench.fetched).toEqual([]);
    expect(bench.state).toBe("waiting");
  });

  it("that cannot be fetched or loaded are reported, and the next one is taken", async () => {
    const bench = new Bench(core);
    bench.fetchFile = () => Promise.reject(new Error("no route"));
    await bench.hold(0, 4);
    expect(bench.takeErrors()).toEqual(["internal 0 0 1"]);
    bench.fetchFile = async ({ bytes }) => new Blob([new Uint8Array(bytes)]);
    bench.executor.onLoad = () => Promise.reject(new Error("bad graph"));
    bench.send("assign", assignment(0, 4, { generation: 2 }));
    await bench.settle();
    expect(bench.takeErrors()).toEqual(["internal 0 0 2"]);
    bench.executor.onLoad = () => {};
    bench.send("assign", assignment(0, 4, { generation: 3 }));
    await bench.settle();
    expect(bench.state).toBe("ready");
  });

  it("under way are given up for a newer one", async () => {
    const bench = new Bench(core);
    const begun: string[] = [];
    const aborted: string[] = [];
    const fetchFile = bench.fetchFile;
    bench.fetchFile = ({ path }, signal) => {
      begun.push(path);
      return new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          aborted.push(path);
          reject(new Error("aborted"));
        });
      });
    };
    await bench.hold(0, 4);
    expect(bench.state).toBe("loading");
    bench.fetchFile = fetchFile;
    bench.send("assign", assignment(4, 6, { generation: 2 }));
    await bench.settle();
    expect(begun.length).toBeGreaterThan(1);
    expect(aborted).toEqual(begun);
    expect(bench.take("ready").at(-1)).toMatchObject({ body: { generation: 2, done: true } });
    expect(bench.takeErrors()).toEqual([]);
    expect(bench.executor.log).toEqual(["load 4 6"]);
  });

  it("that are older are refused", async () => {
    const bench = new Bench(core);
    await bench.hold(0, 4, { generation: 3 });
    bench.send("assign", assignment(0, 5, { generation: 2 }));
    expect(bench.takeErrors()).toEqual(["failed_precondition 0 0 2"]);
    expect(bench.state).toBe("ready");
  });

  it("keep the files that the next one names too", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.fetched.length = 0;
    // Same weights, another graph.
    bench.send("assign", assignment(1, 4, { generation: 2 }));
    await bench.settle();
    expect(bench.fetched).toEqual(["/blobs/402"]);
  });

  it("drop the sessions of the one before", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("open", sessionOpen);
    bench.send("assign", assignment(1, 4, { generation: 2 }));
    await bench.settle();
    bench.send("step", hiddenStep([{ position: 0 }]), 2);
    bench.send("open", { ...sessionOpen, epoch: 2 });
    await bench.settle();
    expect(bench.takeErrors().sort()).toEqual(["failed_precondition 7 2 0", "not_found 7 1 0"]);
  });

  it("of nothing free everything", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.send("assign", assignment(3, 3, { generation: 2 }));
    await bench.settle();
    expect(bench.state).toBe("waiting");
    expect(bench.executor.stage).toBeUndefined();
    expect(bench.take("ready").at(-1)).toMatchObject({ body: { generation: 2, done: true } });
  });

  it("are lost with the executor, which is reported", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    const { ShoalError } = await import("../core/index.ts");
    bench.node.onExecutorDeath(new ShoalError("internal", "out of memory"));
    expect(bench.takeErrors()).toEqual(["internal 0 0 1"]);
    expect(bench.state).toBe("waiting");
    bench.send("assign", assignment(1, 3, { generation: 2 }));
    await bench.settle();
    expect(bench.executor.log).toEqual(["load 1 3", "load 1 3"]);
    expect(bench.state).toBe("ready");
  });
});

describe("frames that make no sense", () => {
  it("are answered with errors, and the volunteer goes on", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    bench.socket.handlers.onMessage("text");
    bench.sendRaw(new Uint8Array(3));
    bench.sendRaw(new Uint8Array(64));
    const ping = core.encode({ kind: "ping", to: 5, from: 0, body: { nonce: 1n, reply: false } });
    bench.sendRaw(ping.slice(0, -1));
    bench.send("ready", {
      generation: 1,
      done: true,
      bytes_done: 0,
      bytes_total: 0,
      bytes_fetched: 0,
    });
    bench.send("open", sessionOpen, 0, 6);
    expect(bench.takeErrors()).toEqual([
      "invalid_argument 0 0 0",
      expect.stringMatching(/ 0 0 0$/),
      expect.stringMatching(/ 0 0 0$/),
      expect.stringMatching(/ 0 0 0$/),
      "invalid_argument 0 0 0",
      "invalid_argument 7 1 0",
    ]);
    bench.send("ping", { nonce: 4n, reply: false });
    expect(bench.take("ping")).toMatchObject([{ body: { nonce: 4n, reply: true } }]);
  });

  it("are those before the welcome", () => {
    const bench = new Bench(core);
    bench.socket.handlers.onOpen();
    bench.send("assign", assignment(0, 4));
    expect(bench.takeErrors()).toEqual(["failed_precondition 0 0 1"]);
  });

  it("are those that are not supported yet", async () => {
    const bench = new Bench(core);
    await bench.hold(1, 3);
    const about = { session: 7n, epoch: 1, from: 0, to: 1 };
    bench.send("replay", { ...about, target: 9 });
    expect(bench.takeErrors()).toEqual(["unimplemented 7 1 0"]);
  });
});

// Rows of session 7, epoch 1 with hidden states 4 * position + 0, 1, 2, 3.
function hiddenStep(rows: { position: number; epoch?: number }[]) {
  const values = Float32Array.from(
    rows.flatMap(({ position }) => [0, 1, 2, 3].map((i) => 4 * position + i)),
  );
  return {
    rows: rows.map(({ position, epoch = 1 }) => ({ session: 7n, epoch, position, flags: 1 })),
    type: "f32" as const,
    width: 4,
    sampling: rows.map((_, row) => greedy(row)),
    payload: new Uint8Array(values.buffer),
  };
}
