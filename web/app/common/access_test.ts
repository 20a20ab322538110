import { describe, expect, it } from "vitest";

import { apiKeyOf, joinSecretOf } from "./access.ts";

class FakeStorage {
  readonly #items = new Map<string, string>();
  getItem(key: string): string | null {
    return this.#items.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.#items.set(key, value);
  }
}

const url = (rest: string) => new URL(`https://shoal.example/${rest}`);

it("takes the join secret from behind the #, and from nowhere else", () => {
  expect(joinSecretOf(url("lend#secret=a%20b%23c"))).toBe("a b#c");
  expect(joinSecretOf(url("lend?secret=x"))).toBe("");
  expect(joinSecretOf(url("lend"))).toBe("");
});

describe("apiKeyOf", () => {
  it("remembers the key of the address", () => {
    const storage = new FakeStorage() as unknown as Storage;
    expect(apiKeyOf(url(""), storage)).toBe("");
    expect(apiKeyOf(url("#key=sk-1"), storage)).toBe("sk-1");
    expect(apiKeyOf(url("#other=1"), storage)).toBe("sk-1");
    expect(apiKeyOf(url("#key=sk-2"), storage)).toBe("sk-2");
    expect(apiKeyOf(url(""), storage)).toBe("sk-2");
  });

  it("does without storage", () => {
    expect(apiKeyOf(url("#key=sk-1"), undefined)).toBe("sk-1");
    const forbidden = {
      getItem: () => {
        throw new Error("forbidden");
      },
      setItem: () => {
        throw new Error("forbidden");
      },
    } as unknown as Storage;
    expect(apiKeyOf(url("#key=sk-1"), forbidden)).toBe("sk-1");
    expect(apiKeyOf(url(""), forbidden)).toBe("");
  });
});
