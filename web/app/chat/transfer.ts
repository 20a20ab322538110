// Conversations as files: JSON that can be read back, and Markdown for people. What is read is
// checked in full; whoever wrote it is not trusted.

import { readSettings } from "./settings.ts";
import {
  contentOf,
  endings,
  newId,
  pathTo,
  type AnswerFacts,
  type Attachment,
  type Conversation,
  type Ending,
  type Turn,
} from "./tree.ts";

export const fileFormat = "shoal-conversations";
export const limits = {
  fileBytes: 64 * 1024 * 1024,
  conversations: 10_000,
  turns: 100_000,
  textChars: 4 * 1024 * 1024,
  attachments: 64,
  titleChars: 200,
};

type Json = Record<string, unknown>;

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

// --- Out ---------------------------------------------------------------------------------------

export function toJson(conversations: Conversation[]): string {
  return JSON.stringify({ format: fileFormat, version: 1, conversations }, undefined, 1);
}

// The branch on show.
export function toMarkdown(conversation: Conversation): string {
  const { title, settings, turns, leaf } = conversation;
  const parts = [`# ${title === "" ? "Conversation" : title}`];
  if (settings.system.trim() !== "") parts.push(`## System\n\n${settings.system}`);
  for (const index of pathTo(conversation, leaf)) {
    const turn = turns[index]!;
    parts.push(`## ${turn.role === "user" ? "You" : "Shoal"}\n\n${contentOf(turn)}`);
  }
  return `${parts.join("\n\n")}\n`;
}

// A name that every file system takes.
export function fileNameOf(title: string, extension: string): string {
  const words = title.normalize("NFC").replace(/[^\p{L}\p{N}]+/gu, "-");
  const stem = words.replace(/^-+|-+$/g, "").slice(0, 50);
  return `${stem === "" ? "shoal" : stem}.${extension}`;
}

// --- In ----------------------------------------------------------------------------------------

// Throws an Error that says what is wrong with the file. Every conversation gets an id of its own,
// so that none that is here is replaced.
export function fromJson(text: string): Conversation[] {
  if (text.length > limits.fileBytes) throw new Error("The file is larger than 64 MB.");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new Error("The file is not JSON; choose one that was exported here.");
  }
  if (!isJson(json) || json["format"] !== fileFormat || !Array.isArray(json["conversations"])) {
    throw new Error("The file holds no exported conversations.");
  }
  if (json["version"] !== 1) {
    throw new Error(`The file is of version ${String(json["version"])}; this page reads 1.`);
  }
  const list: unknown[] = json["conversations"];
  if (list.length > limits.conversations) {
    throw new Error(`The file holds more than ${limits.conversations} conversations.`);
  }
  return list.map((item, index) => {
    try {
      return { ...readConversation(item), id: newId() };
    } catch (thrown) {
      throw new Error(`Conversation ${index + 1} of the file: ${(thrown as Error).message}`);
    }
  });
}

export function readConversation(value: unknown): Conversation {
  if (!isJson(value)) throw new Error("it is no object.");
  const list = value["turns"];
  if (!Array.isArray(list) || list.length > limits.turns) {
    throw new Error(`it has no list of at most ${limits.turns} turns.`);
  }
  const turns = list.map((turn, index) => readTurn(turn, index));
  const leaf = value["leaf"];
  if (!isWhole(leaf, -1, turns.length - 1)) throw new Error("its last turn is not one of it.");
  if (leaf === -1 && turns.length > 0) throw new Error("it has turns but shows none.");
  const title = textOf(value["title"], "title");
  return {
    id: textOf(value["id"], "id").slice(0, 64),
    title: title.slice(0, limits.titleChars),
    createdMs: timeOf(value["createdMs"]),
    updatedMs: timeOf(value["updatedMs"]),
    turns,
    leaf,
    settings: readSettings(value["settings"]),
  };
}

function readTurn(value: unknown, index: number): Turn {
  if (!isJson(value)) throw new Error(`turn ${index} is no object.`);
  const { parent, role } = value;
  if (!isWhole(parent, -1, index - 1)) throw new Error(`turn ${index} has no earlier parent.`);
  if (role !== "user" && role !== "assistant") throw new Error(`turn ${index} has no role.`);
  const turn: Turn = {
    parent,
    role,
    text: textOf(value["text"], `text of turn ${index}`),
    createdMs: timeOf(value["createdMs"]),
  };
  const attachments = value["attachments"];
  if (attachments !== undefined) turn.attachments = readAttachments(attachments, index);
  if (isJson(value["facts"])) turn.facts = readFacts(value["facts"]);
  const ending = endings.find((known) => known === value["ending"]) as Ending | undefined;
  if (ending !== undefined) turn.ending = ending;
  return turn;
}

function readAttachments(value: unknown, turn: number): Attachment[] {
  if (!Array.isArray(value) || value.length > limits.attachments || !value.every(isJson)) {
    throw new Error(`turn ${turn} has no list of at most ${limits.attachments} files.`);
  }
  return value.map((file) => ({
    name: textOf(file["name"], `name of a file of turn ${turn}`).slice(0, limits.titleChars),
    text: textOf(file["text"], `file of turn ${turn}`),
  }));
}

function readFacts(value: Json): AnswerFacts {
  const number = (key: string): number => {
    const found = value[key];
    return typeof found === "number" && Number.isFinite(found) && found >= 0 ? found : 0;
  };
  return {
    tokens: number("tokens"),
    firstMs: number("firstMs"),
    tokensPerSecond: number("tokensPerSecond"),
    tabs: number("tabs"),
  };
}

function isWhole(value: unknown, min: number, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

function textOf(value: unknown, what: string): string {
  if (typeof value !== "string") throw new Error(`the ${what} is no text.`);
  if (value.length > limits.textChars) throw new Error(`the ${what} is too long.`);
  return value;
}

function timeOf(value: unknown): number {
  return typeof value === "number" && value >= 0 && value < 8.64e15 ? value : 0;
}
