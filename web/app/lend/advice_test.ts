import { expect, it } from "vitest";

import { errorCodes, type ErrorCode } from "../../core/index.ts";
import { adviceFor } from "./advice.ts";

const well = { isOnline: true, isSecure: true, memoryBytes: 512 * 1024 ** 2 };

it("has something to do about every problem", () => {
  for (const code of Object.keys(errorCodes) as ErrorCode[])
    expect(adviceFor(code, "", well).text.length).toBeGreaterThan(20);
});

it("offers less memory where memory was short, down to what is of use", () => {
  expect(adviceFor("resource_exhausted", "out of memory", well).lessBytes).toBe(256 * 1024 ** 2);
  const little = { ...well, memoryBytes: 100 * 1024 ** 2 };
  expect(adviceFor("resource_exhausted", "", little).lessBytes).toBeUndefined();
  expect(adviceFor("resource_exhausted", "data of today", well).lessBytes).toBeUndefined();
});

it("names the cause behind the problem", () => {
  expect(adviceFor("unavailable", "", { ...well, isOnline: false }).text).toMatch(/offline/);
  expect(adviceFor("internal", "", { ...well, isSecure: false }).text).toMatch(/https/);
});
