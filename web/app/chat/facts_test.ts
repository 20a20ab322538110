import { expect, it } from "vitest";

import { describeAnswer } from "./facts.ts";

const plain = (text: string): string => text.replaceAll("\u00a0", " ");

it("says what is known of an answer", () => {
  const facts = { tokens: 42, firstMs: 830, tokensPerSecond: 12.34, tabs: 3 };
  expect(plain(describeAnswer(facts, "stop"))).toBe(
    "42 tokens \u00b7 12.3 tokens/s \u00b7 first after 830 ms \u00b7 through 3 volunteers",
  );
  const few = { tokens: 1, firstMs: 2340, tokensPerSecond: 0, tabs: 0 };
  expect(plain(describeAnswer(few, "broken"))).toBe(
    "1 token \u00b7 first after 2.3 s \u00b7 broke off",
  );
  expect(describeAnswer(undefined, undefined)).toBe("");
});
