import { describe, expect, it } from "vitest";

import { defaultSettings } from "./settings.ts";
import { fileNameOf, fromJson, toJson, toMarkdown } from "./transfer.ts";
import { addTurn, newConversation, type Conversation } from "./tree.ts";

function sample(): Conversation {
  const conversation = newConversation({ ...defaultSettings, system: "Sing.", topK: 5 }, 10);
  const attachments = [{ name: "x.txt", text: "data" }];
  addTurn(conversation, { parent: -1, role: "user", text: "Hi", createdMs: 11, attachments });
  const facts = { tokens: 3, firstMs: 20, tokensPerSecond: 4, tabs: 2 };
  addTurn(conversation, {
    parent: 0,
    role: "assistant",
    text: "Ho *ho*",
    createdMs: 12,
    facts,
    ending: "stop",
  });
  return conversation;
}

it("reads back what it wrote, under new ids", () => {
  const original = sample();
  const [read] = fromJson(toJson([original]));
  expect(read!.id).not.toBe(original.id);
  expect({ ...read, id: original.id }).toEqual(original);
});

it("writes the branch on show for people", () => {
  expect(toMarkdown(sample())).toBe(
    "# Hi\n\n## System\n\nSing.\n\n## You\n\nx.txt:\n```\ndata\n```\n\nHi\n\n## Shoal\n\nHo *ho*\n",
  );
});

describe("a file that is not right", () => {
  const broken = (change: (conversation: Record<string, unknown>) => void): string => {
    const json = JSON.parse(toJson([sample()])) as { conversations: Record<string, unknown>[] };
    change(json.conversations[0]!);
    return JSON.stringify(json);
  };
  const turn = { parent: -1, role: "user", text: "x", createdMs: 1 };

  it.each([
    ["no JSON", "{", "not JSON"],
    ["something else", '{"a":1}', "no exported conversations"],
    [
      "a later version",
      '{"format":"shoal-conversations","version":2,"conversations":[]}',
      "version 2",
    ],
    [
      "a turn that is its own parent",
      broken((c) => (c["turns"] = [{ ...turn, parent: 0 }])),
      "turn 0",
    ],
    ["a parent to come", broken((c) => (c["turns"] = [turn, { ...turn, parent: 2 }])), "turn 1"],
    ["an unknown role", broken((c) => (c["turns"] = [{ ...turn, role: "system" }])), "no role"],
    ["text that is none", broken((c) => (c["turns"] = [{ ...turn, text: 7 }])), "no text"],
    ["a leaf outside", broken((c) => (c["leaf"] = 2)), "last turn"],
    ["no leaf", broken((c) => (c["leaf"] = -1)), "shows none"],
    ["files that are none", broken((c) => (c["turns"] = [{ ...turn, attachments: [1] }])), "files"],
  ])("is refused: %s", (_what, text, why) => expect(() => fromJson(text)).toThrow(why));

  it("loses settings that are out of range, and odd facts", () => {
    const [read] = fromJson(
      broken((conversation) => {
        conversation["settings"] = { temperature: 99, topK: 1.5, system: 4, topP: 0.5 };
        (conversation["turns"] as Record<string, unknown>[])[1]!["facts"] = { tokens: -1 };
      }),
    );
    expect(read!.settings).toEqual({ ...defaultSettings, topP: 0.5 });
    expect(read!.turns[1]!.facts!.tokens).toBe(0);
  });
});

it("names files as every system takes them", () => {
  expect(fileNameOf("What / is: this?", "md")).toBe("What-is-this.md");
  expect(fileNameOf("...", "json")).toBe("shoal.json");
  expect(fileNameOf("\u05e9\u05dc\u05d5\u05dd", "md")).toBe("\u05e9\u05dc\u05d5\u05dd.md");
});
