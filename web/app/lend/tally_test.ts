import { expect, it } from "vitest";

import { Tally } from "./tally.ts";

function storage(initial: Record<string, string> = {}) {
  const items = new Map(Object.entries(initial));
  return {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
  };
}

it("counts data by the day and work for ever, over all tabs", () => {
  let day = "2026-01-01";
  const kept = storage();
  const one = new Tally(kept, () => day);
  const other = new Tally(kept, () => day);
  one.add(100, 5);
  other.add(10, 1);
  expect([one.dataBytesToday, one.tokenLayers]).toEqual([110, 6]);
  day = "2026-01-02";
  expect([one.dataBytesToday, other.tokenLayers]).toEqual([0, 6]);
  other.add(1, 1);
  expect([one.dataBytesToday, one.tokenLayers]).toEqual([1, 7]);
});

it("uses up a day", () => {
  const tally = new Tally(storage(), () => "d");
  tally.add(10, 0);
  tally.useUp(Infinity);
  expect(tally.dataBytesToday).toBe(10);
  tally.useUp(500);
  expect(tally.dataBytesToday).toBe(500);
  tally.useUp(100);
  expect(tally.dataBytesToday).toBe(500);
});

it("counts without storage, and over what somebody else wrote there", () => {
  const memory = new Tally(undefined, () => "d");
  memory.add(3, 4);
  expect([memory.dataBytesToday, memory.tokenLayers]).toEqual([3, 4]);
  for (const text of ["{", '{"day":"d","dataBytes":-1,"tokenLayers":0}', "7"]) {
    const tally = new Tally(storage({ "shoal-lend-tally": text }), () => "d");
    expect(tally.dataBytesToday).toBe(0);
    tally.add(1, 1);
    expect(tally.dataBytesToday).toBe(1);
  }
});
