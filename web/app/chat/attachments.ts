// Files that go along with a message, as text.

import type { Attachment } from "./tree.ts";

export const fileLimits = { files: 8, bytes: 256 * 1024 };

// Throws an Error that says what is wrong with the file, and what would be right.
export async function readTextFile(file: File): Promise<Attachment> {
  const name = file.name === "" ? "pasted.txt" : file.name;
  if (file.size > fileLimits.bytes) {
    throw new Error(`${name} is larger than 256 KB; attach a part of it.`);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text: string;
  try {
    text = new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${name} is not text; attach text, code or data files.`);
  }
  if (/[\0\x01-\x08\x0e-\x1a]/.test(text)) {
    throw new Error(`${name} is not text; attach text, code or data files.`);
  }
  if (text.trim() === "") throw new Error(`${name} is empty.`);
  return { name, text: text.replaceAll("\r\n", "\n") };
}

// By its byte order mark; UTF-8 without one.
function encodingOf(bytes: Uint8Array): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return "utf-16le";
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return "utf-16be";
  return "utf-8";
}
