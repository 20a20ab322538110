import { expect, it } from "vitest";

import { describeLeft, Speed } from "./progress.ts";

it("measures over the last seconds", () => {
  const speed = new Speed();
  expect(speed.bytesPerSecond).toBe(0);
  for (let ms = 0; ms <= 10_000; ms += 500) speed.add(ms, ms * 2);
  expect(speed.bytesPerSecond).toBeCloseTo(2000);
  for (let ms = 10_500; ms <= 20_000; ms += 500) speed.add(ms, 20_000);
  expect(speed.bytesPerSecond).toBe(0);
});

it("says how long it takes, roughly", () => {
  expect(describeLeft(1000, 0)).toBe("");
  expect(describeLeft(1, 1000)).toBe("about 1 s left");
  expect(describeLeft(45_000, 1000)).toBe("about 45 s left");
  expect(describeLeft(600_000, 1000)).toBe("about 10 min left");
  expect(describeLeft(10_000_000, 1000)).toBe("about 3 h left");
});
