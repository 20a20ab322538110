import { describe, expect, it } from "vitest";

import { isLoopback, readLendRequest } from "./request.ts";

const read = (text: string) => readLendRequest(new URL(text));

describe("readLendRequest", () => {
  it("starts by itself on loopback only", () => {
    const query = "/lend?auto=1&executor=ort-wasm&memory=512M&threads=3";
    expect(read(`http://127.0.0.1:9${query}`)).toEqual({
      auto: true,
      executor: "ort-wasm",
      memoryBytes: 512 * 1024 ** 2,
      threads: 3,
      joinSecret: "",
    });
    expect(read(`https://shoal.example${query}`).auto).toBe(false);
    expect(read(`https://shoal.example${query}#secret=s`).joinSecret).toBe("s");
    expect(read("http://127.0.0.1/lend").auto).toBe(false);
    expect(read("http://127.0.0.1/lend").threads).toBeUndefined();
  });

  it.each([
    ["executor=gpu", "no executor"],
    ["memory=lots", "no memory size"],
    ["memory=1M", "at least 16M"],
    ["threads=0", "threads"],
    ["threads=x", "threads"],
  ])("refuses %s", (query, why) => {
    expect(() => read(`http://127.0.0.1/lend?${query}`)).toThrow(why);
  });
});

it("knows loopback names", () => {
  for (const name of ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"]) {
    expect(isLoopback(name)).toBe(true);
  }
  for (const name of ["127.0.0.1.evil.example", "localhost.example", "10.0.0.1", "[::2]"]) {
    expect(isLoopback(name)).toBe(false);
  }
});
