import { describe, expect, it, vi } from "vitest";

import {
  DataMeter,
  defaultLimits,
  Pacer,
  pauseFor,
  readLimits,
  type Limits,
  type Surroundings,
} from "./limits.ts";

const calm: Surroundings = {
  hidden: false,
  onBattery: false,
  metered: false,
  minute: 12 * 60,
  dataBytesToday: 0,
};

describe("pauseFor", () => {
  const strict: Limits = {
    timeShare: 0.5,
    dataBytesPerDay: 1000,
    fromMinute: 22 * 60,
    toMinute: 6 * 60,
    whenHidden: false,
    onBattery: false,
    onMetered: false,
  };
  const night = { ...calm, minute: 23 * 60 };

  it.each([
    ["nothing", {}, undefined],
    ["being hidden", { hidden: true }, "hidden"],
    ["the battery", { onBattery: true }, "battery"],
    ["a metered network", { metered: true }, "metered"],
    ["the hour", { minute: 12 * 60 }, "hours"],
    ["the very end of the hours", { minute: 6 * 60 }, "hours"],
    ["used data", { dataBytesToday: 1000 }, "data"],
    ["a browser that does not tell", { onBattery: undefined, metered: undefined }, undefined],
    ["an hour after midnight", { minute: 60 }, undefined],
  ] as const)("pauses for %s", (_what, change, reason) => {
    expect(pauseFor(strict, { ...night, ...change })).toBe(reason);
    expect(pauseFor(defaultLimits, { ...night, ...change })).toBeUndefined();
  });

  it("knows hours within one day", () => {
    const office = { ...defaultLimits, fromMinute: 9 * 60, toMinute: 17 * 60 };
    const open = Array.from({ length: 24 }, (_, hour) =>
      pauseFor(office, { ...calm, minute: hour * 60 }),
    );
    expect(open.flatMap((why, hour) => (why === undefined ? [hour] : []))).toEqual([
      9, 10, 11, 12, 13, 14, 15, 16,
    ]);
  });
});

it("reads limits that somebody else wrote", () => {
  expect(readLimits(null)).toEqual(defaultLimits);
  expect(
    readLimits({ timeShare: 7, dataBytesPerDay: -1, fromMinute: 1e9, whenHidden: "no" }),
  ).toEqual(defaultLimits);
  expect(readLimits({ timeShare: 0.25, onBattery: false, toMinute: 61 })).toEqual({
    ...defaultLimits,
    timeShare: 0.25,
    onBattery: false,
    toMinute: 61,
  });
});

describe("Pacer", () => {
  // A clock that work, sleep and waiting move on; `late` is how much longer each sleep takes.
  function clocked(share: number, late = 0) {
    let nowMs = 0;
    let busyMs = 0;
    let restedMs = 0;
    const pacer = new Pacer(
      share,
      () => nowMs,
      (ms) => {
        nowMs += ms + late;
        restedMs += ms + late;
        return Promise.resolve();
      },
    );
    return {
      pacer,
      work: (ms: number): Promise<void> => {
        nowMs += ms;
        busyMs += ms;
        return pacer.rest(ms);
      },
      wait: (ms: number): void => void (nowMs += ms),
      rested: () => restedMs,
      used: () => busyMs / nowMs,
    };
  }

  it.each([0.1, 0.25, 0.5, 0.9])("keeps to %d of the time", async (share) => {
    // Late sleeps, and an asker that takes its time between steps.
    for (const [late, wait] of [
      [0, 0],
      [3, 0],
      [0, 1],
      [2, 1],
    ] as const) {
      const { work, wait: pass, used } = clocked(share, late);
      for (let step = 0; step < 500; ++step) {
        await work(1 + ((step * 7) % 40));
        pass(wait);
      }
      expect(used()).toBeLessThanOrEqual(share);
      expect(used()).toBeGreaterThan(share * 0.88);
    }
  });

  it("makes up for no more than a moment of idleness", async () => {
    const { work, wait, rested } = clocked(0.5);
    wait(3_600_000);
    for (let step = 0; step < 10; ++step) await work(100);
    expect(rested()).toBeCloseTo(1000 / 0.46 - 1000 - 100);
  });

  it("rests at most ten seconds at a time, and the remainder later", async () => {
    const { work, rested } = clocked(0.1);
    await work(2000);
    expect(rested()).toBe(10_000);
    await work(1);
    expect(rested()).toBeCloseTo(2001 / 0.092 - 2001);
  });

  it("does not rest at full share", async () => {
    const { pacer, work, rested } = clocked(1);
    await work(1e6);
    expect(rested()).toBe(0);
    pacer.share = 0.5;
    await work(46);
    expect(rested()).toBeCloseTo(54);
  });
});

describe("DataMeter", () => {
  const answer = (bytes: number, withLength: boolean): typeof fetch => {
    const headers: HeadersInit = withLength ? { "Content-Length": String(bytes) } : {};
    const body = new Uint8Array(bytes);
    return () =>
      Promise.resolve(
        new Response(
          new ReadableStream({
            start(controller) {
              for (let at = 0; at < bytes; at += 100)
                controller.enqueue(body.subarray(at, at + 100));
              controller.close();
            },
          }),
          { headers },
        ),
      );
  };
  const read = async (doFetch: typeof fetch): Promise<number> =>
    (await (await doFetch("http://x")).arrayBuffer()).byteLength;

  it("counts what comes, and ends where the allowance ends", async () => {
    const onSpent = vi.fn();
    const meter = new DataMeter(1000, onSpent);
    expect(await read(meter.fetch(answer(600, true)))).toBe(600);
    expect(meter.used).toBe(600);
    await expect(read(meter.fetch(answer(800, false)))).rejects.toThrow("used up");
    expect(meter.used).toBeLessThanOrEqual(1100);
    expect(onSpent).toHaveBeenCalledTimes(1);
    await expect(read(meter.fetch(answer(1, true)))).rejects.toThrow("used up");
    meter.left = 100;
    expect(await read(meter.fetch(answer(99, true)))).toBe(99);
  });

  it("does not begin what would go beyond", async () => {
    const onSpent = vi.fn();
    const meter = new DataMeter(1000, onSpent);
    await expect(read(meter.fetch(answer(1001, true)))).rejects.toThrow("used up");
    expect(meter.used).toBe(0);
    expect(onSpent).toHaveBeenCalledTimes(1);
  });

  it("counts the messages of a socket both ways", () => {
    const onSpent = vi.fn();
    const meter = new DataMeter(100, onSpent);
    const sent: number[] = [];
    const got: unknown[] = [];
    let arrive: (data: unknown) => void = () => {};
    const open = meter.socket((handlers) => {
      arrive = (data) => handlers.onMessage(data);
      return { bufferedAmount: 7, send: (bytes) => sent.push(bytes.length), close: () => {} };
    });
    const socket = open({
      onOpen: () => {},
      onMessage: (data) => got.push(data),
      onClose: () => {},
    });
    socket.send(new Uint8Array(40));
    arrive(new ArrayBuffer(59));
    expect([meter.used, socket.bufferedAmount, sent, got.length]).toEqual([99, 7, [40], 1]);
    expect(onSpent).not.toHaveBeenCalled();
    arrive(new ArrayBuffer(1));
    expect(onSpent).toHaveBeenCalledTimes(1);
  });
});
