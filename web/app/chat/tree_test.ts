import { describe, expect, it } from "vitest";

import { defaultSettings } from "./settings.ts";
import {
  addTurn,
  chooseBranch,
  contentOf,
  fenceFor,
  newConversation,
  pathTo,
  requestMessages,
  siblingsOf,
  type Conversation,
  type Role,
} from "./tree.ts";

function say(conversation: Conversation, parent: number, role: Role, text: string): number {
  return addTurn(conversation, { parent, role, text, createdMs: 5 });
}

// 0 question - 1 answer - 2 question - 3 answer
//                       \ 4 edited  - 5 answer, 6 another answer
function branched(): Conversation {
  const conversation = newConversation(defaultSettings, 1);
  say(conversation, -1, "user", "first question");
  say(conversation, 0, "assistant", "a");
  say(conversation, 1, "user", "second");
  say(conversation, 2, "assistant", "b");
  say(conversation, 1, "user", "second, edited");
  say(conversation, 4, "assistant", "c");
  say(conversation, 4, "assistant", "d");
  return conversation;
}

describe("branches", () => {
  it("shows the newest branch, and keeps the others", () => {
    const conversation = branched();
    expect(pathTo(conversation, conversation.leaf)).toEqual([0, 1, 4, 6]);
    expect(siblingsOf(conversation, 4)).toEqual([2, 4]);
    expect(siblingsOf(conversation, 5)).toEqual([5, 6]);
    expect(siblingsOf(conversation, 0)).toEqual([0]);
  });

  it("goes to the end of a branch that is chosen", () => {
    const conversation = branched();
    chooseBranch(conversation, 2);
    expect(conversation.leaf).toBe(3);
    chooseBranch(conversation, 4);
    expect(conversation.leaf).toBe(6);
    chooseBranch(conversation, 5);
    expect(conversation.leaf).toBe(5);
  });

  it("ends every path at its leaf, whatever branches there are", () => {
    const conversation = branched();
    for (const index of conversation.turns.keys()) {
      chooseBranch(conversation, index);
      const path = pathTo(conversation, conversation.leaf);
      expect(path).toContain(index);
      expect(path).toEqual([...path].sort((a, b) => a - b));
      expect(conversation.turns.some(({ parent }) => parent === conversation.leaf)).toBe(false);
    }
  });
});

it("asks with the system prompt and the branch up to the question", () => {
  const conversation = branched();
  conversation.settings.system = "Be brief.";
  expect(requestMessages(conversation, 4)).toEqual([
    { role: "system", content: "Be brief." },
    { role: "user", content: "first question" },
    { role: "assistant", content: "a" },
    { role: "user", content: "second, edited" },
  ]);
  conversation.settings.system = "  ";
  expect(requestMessages(conversation, 0)).toHaveLength(1);
});

it("takes its title from the first question, in one short line", () => {
  expect(branched().title).toBe("first question");
  const long = newConversation(defaultSettings, 1);
  say(long, -1, "user", `${"word ".repeat(40)}\nmore`);
  expect(long.title.length).toBeLessThanOrEqual(60);
  expect(long.title.endsWith("\u2026")).toBe(true);
});

it("puts files in fences that their text cannot close", () => {
  const turn = {
    parent: -1,
    role: "user" as const,
    text: "What is this?",
    createdMs: 0,
    attachments: [{ name: "a.md", text: "```js\n1\n```\n" }],
  };
  expect(contentOf(turn)).toBe("a.md:\n````\n```js\n1\n```\n````\n\nWhat is this?");
  expect(fenceFor("no ticks")).toBe("```");
});
