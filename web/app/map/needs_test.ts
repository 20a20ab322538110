import { expect, it } from "vitest";

import { describeNeeds, devices, devicesFor } from "./needs.ts";

it("counts devices that hold what is missing", () => {
  expect(devicesFor(1, devices[0]!)).toBe(1);
  for (const device of devices) {
    for (const bytes of [1e6, 1e9, 140e9]) {
      const count = devicesFor(bytes, device);
      // Enough, and one less would not be.
      const held = (devices: number): number => devices * (device.memoryBytes - 48 * 2 ** 20) * 0.8;
      expect(held(count)).toBeGreaterThanOrEqual(bytes);
      if (count > 1) expect(held(count - 1)).toBeLessThan(bytes);
    }
  }
});

it("names them", () => {
  expect(describeNeeds(1000e6)).toEqual([
    "3 phones (512 MB each)",
    "1 laptop (2 GB)",
  ]);
  expect(describeNeeds(140e9)).toHaveLength(3);
  expect(describeNeeds(1e6)).toEqual(["1 phone (512 MB)"]);
});
