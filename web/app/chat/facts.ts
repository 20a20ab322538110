// The line below an answer.

import { plural } from "../common/dom.ts";
import type { AnswerFacts, Ending } from "./tree.ts";

const endingWords: Record<Ending, string> = {
  stop: "",
  length: "stopped at the longest length",
  stopped: "stopped",
  broken: "broke off",
};

export function describeAnswer(facts: AnswerFacts | undefined, ending: Ending | undefined): string {
  const parts: string[] = [];
  if (facts !== undefined) {
    const { tokens, tokensPerSecond, firstMs, tabs } = facts;
    if (tokens > 0) parts.push(plural(tokens, "token"));
    if (tokensPerSecond > 0) parts.push(`${tokensPerSecond.toFixed(1)} tokens/s`);
    if (firstMs > 0) parts.push(`first after ${describeWait(firstMs)}`);
    if (tabs > 0) parts.push(`through ${plural(tabs, "volunteer")}`);
  }
  const how = ending === undefined ? "" : endingWords[ending];
  if (how !== "") parts.push(how);
  // A line breaks between facts, not inside one.
  return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" \u00b7 ");
}

function describeWait(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
