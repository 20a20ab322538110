import { describe, expect, it } from "vitest";

import { threadsDefault, threadsOffered } from "./threads.ts";

describe("threads of a tab", () => {
  it.each([
    [1, 1],
    [2, 1],
    [3, 2],
    [4, 2],
    [6, 3],
    [8, 4],
    [64, 4],
  ])("of %i cores it takes %i", (cores, taken) => {
    expect(threadsDefault(threadsOffered(cores, true))).toBe(taken);
  });

  it("is one without isolation", () => {
    expect(threadsOffered(16, false)).toBe(1);
    expect(threadsDefault(threadsOffered(16, false))).toBe(1);
  });

  it("is never offered as more than the cores", () => {
    expect(threadsOffered(4, true)).toBe(4);
    expect(threadsOffered(0, true)).toBe(1);
  });
});
