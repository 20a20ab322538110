// A conversation as a tree: editing a message or asking for another answer adds a branch, and
// nothing that was said is lost. A turn is named by its place in `turns`; a parent stands before
// its children, so that no cycle can be written down.

import type { Settings } from "./settings.ts";

export type Role = "user" | "assistant";

export interface Attachment {
  name: string;
  text: string;
}

export interface AnswerFacts {
  tokens: number;
  // From the question to the first piece of the answer; 0 when nothing came.
  firstMs: number;
  // After the first token; 0 when there was no second one.
  tokensPerSecond: number;
  // How many tabs held a piece of the model then; 0 when not known.
  tabs: number;
}

// stop: by itself. length: at the longest length. stopped: by its reader. broken: in the middle.
export const endings = ["stop", "length", "stopped", "broken"] as const;
export type Ending = (typeof endings)[number];

export interface Turn {
  // -1 for a first one.
  parent: number;
  role: Role;
  text: string;
  createdMs: number;
  attachments?: Attachment[];
  facts?: AnswerFacts;
  ending?: Ending;
}

export interface Conversation {
  id: string;
  title: string;
  createdMs: number;
  updatedMs: number;
  turns: Turn[];
  // The last turn of the branch on show; -1 when there are none.
  leaf: number;
  settings: Settings;
}

export interface Message {
  role: "system" | Role;
  content: string;
}

const titleCharsMax = 60;

// 16 random bytes in hex. (crypto.randomUUID is missing where a page came without HTTPS.)
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function newConversation(settings: Settings, nowMs: number): Conversation {
  return {
    id: newId(),
    title: "",
    createdMs: nowMs,
    updatedMs: nowMs,
    turns: [],
    leaf: -1,
    settings: structuredClone(settings),
  };
}

// Adds a turn and shows its branch; gives its place.
export function addTurn(conversation: Conversation, turn: Turn): number {
  const index = conversation.turns.push(turn) - 1;
  conversation.leaf = index;
  conversation.updatedMs = Math.max(conversation.updatedMs, turn.createdMs);
  if (conversation.title === "" && turn.role === "user") conversation.title = titleOf(turn);
  return index;
}

// The turns from the first to `leaf`.
export function pathTo({ turns }: Conversation, leaf: number): number[] {
  const path: number[] = [];
  for (let at = leaf; at >= 0; at = turns[at]!.parent) path.push(at);
  return path.reverse();
}

// All turns with the same parent, itself among them, oldest first.
export function siblingsOf({ turns }: Conversation, turn: number): number[] {
  const { parent } = turns[turn]!;
  return turns.flatMap((other, index) => (other.parent === parent ? [index] : []));
}

// Shows the branch that `turn` is on, down to what was said last on it.
export function chooseBranch(conversation: Conversation, turn: number): void {
  const { turns } = conversation;
  let leaf = turn;
  for (let index = turn + 1; index < turns.length; ++index) {
    if (turns[index]!.parent === leaf) leaf = newestChild(turns, leaf);
  }
  conversation.leaf = leaf;
}

function newestChild(turns: Turn[], parent: number): number {
  return turns.findLastIndex((turn) => turn.parent === parent);
}

// What the coordinator is asked with: the system prompt and the turns up to `leaf`.
export function requestMessages(conversation: Conversation, leaf: number): Message[] {
  const { settings, turns } = conversation;
  const system: Message[] =
    settings.system.trim() === "" ? [] : [{ role: "system", content: settings.system }];
  const said = pathTo(conversation, leaf).map((index) => turns[index]!);
  return [...system, ...said.map((turn) => ({ role: turn.role, content: contentOf(turn) }))];
}

// Its text behind the files that were attached to it.
export function contentOf({ text, attachments = [] }: Turn): string {
  const files = attachments.map((file) => {
    const fence = fenceFor(file.text);
    return `${file.name}:\n${fence}\n${file.text.replace(/\n$/, "")}\n${fence}`;
  });
  return [...files, text].filter((part) => part !== "").join("\n\n");
}

// A run of backticks longer than any in the text.
export function fenceFor(text: string): string {
  const longest = Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
  return "`".repeat(Math.max(3, longest + 1));
}

function titleOf({ text, attachments }: Turn): string {
  const line = (text.trim() === "" ? (attachments?.[0]?.name ?? "") : text.trim()).split("\n")[0]!;
  if (line.length <= titleCharsMax) return line;
  return `${[...line]
    .slice(0, titleCharsMax - 1)
    .join("")
    .trimEnd()}\u2026`;
}
