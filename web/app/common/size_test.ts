import { describe, expect, it } from "vitest";

import { formatSize, parseSize } from "./size.ts";

describe("parseSize", () => {
  it.each([
    ["512M", 512 * 1024 ** 2],
    ["2g", 2 * 1024 ** 3],
    ["1.5G", 1.5 * 1024 ** 3],
    ["64K", 65536],
    [" 100 ", 100],
  ])("reads %s", (text, bytes) => expect(parseSize(text)).toBe(bytes));

  it.each(["", "M", "-1M", "1T", "1 M", "0", "1e9", "512MB", "9999999999999999G"])(
    "refuses %j",
    (text) => expect(parseSize(text)).toBeUndefined(),
  );
});

it("writes sizes as people read them", () => {
  expect([0, 1023, 1024, 1536, 10 * 1024, 512 * 1024 ** 2, 2 * 1024 ** 3].map(formatSize)).toEqual([
    "0 B",
    "1023 B",
    "1 KB",
    "1.5 KB",
    "10 KB",
    "512 MB",
    "2 GB",
  ]);
});
