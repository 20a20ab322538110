// A vocabulary for GGUF files that have none, since llama.cpp runs none without: 256 tokens, whose
// texts are printable and come out of a text in one way only.

import { readFileSync } from "node:fs";

// Values of the header, by GGUF's numbers of types.
const types = { i32: 5, f32: 6, text: 8, list: 9 };
// As in llama.cpp: normal, unknown, control, byte.
const kinds = { normal: 1, unknown: 2, control: 3, byte: 6 };
const headBytes = 24;
const alignment = 32;

interface Token {
  text: string;
  kind: number;
}

// Letters, each a token, and pairs of one of A to M and one of N to Z.
const letters = 26;
const firstLetter = 100;
const firstPair = firstLetter + letters;
const halfAlphabet = 13;
export const spaceToken = firstLetter - 1;

function letter(index: number): string {
  return String.fromCharCode(0x61 + index);
}

function pair(index: number): string {
  const first = 0x41 + (index % halfAlphabet);
  const second = 0x41 + halfAlphabet + Math.floor(index / halfAlphabet);
  return String.fromCharCode(first, second);
}

function vocabulary(): Token[] {
  const tokens: Token[] = [
    { text: "<unk>", kind: kinds.unknown },
    { text: "<a>", kind: kinds.control },
    { text: "<b>", kind: kinds.control },
  ];
  for (const code of [0x0a, ...Array.from({ length: 95 }, (_, i) => 0x20 + i)]) {
    const hex = code.toString(16).toUpperCase().padStart(2, "0");
    tokens.push({ text: `<0x${hex}>`, kind: kinds.byte });
  }
  tokens.push({ text: "\u2581", kind: kinds.normal });
  for (let i = 0; i < letters; ++i) tokens.push({ text: letter(i), kind: kinds.normal });
  for (let i = 0; tokens.length < 256; ++i) tokens.push({ text: pair(i), kind: kinds.normal });
  return tokens;
}

// The text of ids from `firstLetter` on, which is read as these very ids.
export function textOf(ids: number[]): string {
  const texts = ids.map((id) => (id < firstPair ? letter(id - firstLetter) : pair(id - firstPair)));
  return texts.join("");
}

class Writer {
  readonly parts: Buffer[] = [];
  values = 0;

  u32(value: number): void {
    const part = Buffer.alloc(4);
    part.writeUInt32LE(value);
    this.parts.push(part);
  }

  u64(value: number): void {
    const part = Buffer.alloc(8);
    part.writeBigUInt64LE(BigInt(value));
    this.parts.push(part);
  }

  text(value: string): void {
    const bytes = Buffer.from(value);
    this.u64(bytes.length);
    this.parts.push(bytes);
  }

  value(key: string, text: string): void {
    ++this.values;
    this.text(key);
    this.u32(types.text);
    this.text(text);
  }

  list(key: string, type: number, length: number, add: (index: number) => void): void {
    ++this.values;
    this.text(key);
    this.u32(types.list);
    this.u32(type);
    this.u64(length);
    for (let i = 0; i < length; ++i) add(i);
  }

  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}

// The file with the vocabulary before its other values; its data stay aligned.
export function withVocabulary(path: string): Buffer {
  const file = readFileSync(path);
  const tokens = vocabulary();
  const writer = new Writer();
  writer.value("tokenizer.ggml.model", "llama");
  writer.list("tokenizer.ggml.tokens", types.text, tokens.length, (i) => {
    writer.text(tokens[i]!.text);
  });
  writer.list("tokenizer.ggml.scores", types.f32, tokens.length, (i) => {
    const score = Buffer.alloc(4);
    score.writeFloatLE(-i);
    writer.parts.push(score);
  });
  writer.list("tokenizer.ggml.token_type", types.i32, tokens.length, (i) => {
    writer.u32(tokens[i]!.kind);
  });
  // A name of whatever length keeps the rest of the file where it is aligned.
  const nameBytes = 8 + "general.name".length + 4 + 8;
  const end = writer.bytes.length + nameBytes;
  writer.value("general.name", "x".repeat(-end & (alignment - 1)));
  const head = Buffer.from(file.subarray(0, headBytes));
  const countAt = 16;
  head.writeBigUInt64LE(head.readBigUInt64LE(countAt) + BigInt(writer.values), countAt);
  return Buffer.concat([head, writer.bytes, file.subarray(headBytes)]);
}
