import { describe, expect, it } from "vitest";

import { defaultLimits, type Surroundings } from "../../volunteer/limits.ts";
import { Lender, type LenderState } from "./lender.ts";

class Bench {
  readonly states: LenderState[] = [];
  readonly limited: [number, number][] = [];
  started = 0;
  stops = 0;
  end: (refused: boolean) => void = () => {};
  now: Surroundings = {
    hidden: false,
    onBattery: false,
    metered: false,
    minute: 600,
    dataBytesToday: 0,
  };
  readonly lender = new Lender(
    {
      start: (onEnded) => {
        ++this.started;
        this.end = onEnded;
        return {
          stop: () => void ++this.stops,
          limit: (share, left) => void this.limited.push([share, left]),
        };
      },
      surroundings: () => this.now,
      onState: (state) => this.states.push(state),
    },
    { ...defaultLimits, whenHidden: false, dataBytesPerDay: 1000 },
  );

  change(change: Partial<Surroundings>): void {
    this.now = { ...this.now, ...change };
    this.lender.update();
  }

  get last(): LenderState | undefined {
    return this.states.at(-1);
  }
}

describe("Lender", () => {
  it("starts, pauses, goes on and leaves as its owner says", () => {
    const bench = new Bench();
    bench.lender.start();
    expect([bench.started, bench.last]).toEqual([1, { kind: "lending" }]);
    bench.lender.pause();
    expect([bench.stops, bench.last]).toEqual([1, { kind: "paused" }]);
    bench.end(false);
    expect(bench.started).toBe(1);
    bench.lender.resume();
    expect([bench.started, bench.last]).toEqual([2, { kind: "lending" }]);
    bench.lender.leave();
    bench.end(false);
    expect([bench.started, bench.stops, bench.last]).toEqual([2, 2, { kind: "off" }]);
  });

  it("waits while a limit forbids it, and goes on by itself", () => {
    const bench = new Bench();
    bench.change({ hidden: true });
    bench.lender.start();
    expect([bench.started, bench.last]).toEqual([0, { kind: "waiting", why: "hidden" }]);
    bench.change({ hidden: false });
    expect(bench.started).toBe(1);
    bench.change({ dataBytesToday: 1000 });
    expect([bench.stops, bench.last]).toEqual([1, { kind: "waiting", why: "data" }]);
    bench.lender.update();
    expect(bench.stops).toBe(1);
    bench.end(false);
    bench.change({ dataBytesToday: 0 });
    expect(bench.started).toBe(2);
  });

  it("starts anew only when the one before has ended", () => {
    const bench = new Bench();
    bench.lender.start();
    bench.lender.pause();
    bench.lender.resume();
    expect(bench.started).toBe(1);
    bench.end(false);
    expect(bench.started).toBe(2);
  });

  it("does not come back after it was refused", () => {
    const bench = new Bench();
    bench.lender.start();
    bench.end(true);
    bench.lender.update();
    expect([bench.started, bench.last]).toEqual([1, { kind: "off" }]);
  });

  it("hands new limits on at once", () => {
    const bench = new Bench();
    bench.lender.start();
    bench.change({ dataBytesToday: 400 });
    bench.lender.setLimits({ ...defaultLimits, timeShare: 0.5, dataBytesPerDay: 900 });
    expect(bench.limited).toEqual([[0.5, 500]]);
    bench.lender.setLimits({ ...defaultLimits, dataBytesPerDay: 100 });
    expect(bench.limited[1]).toEqual([1, 0]);
    expect(bench.stops).toBe(1);
  });

  it("gives what runs the data of a new day", () => {
    const bench = new Bench();
    bench.lender.start();
    bench.change({ dataBytesToday: 900 });
    expect(bench.limited).toEqual([]);
    bench.change({ dataBytesToday: 3 });
    expect(bench.limited).toEqual([[1, 997]]);
  });
});
