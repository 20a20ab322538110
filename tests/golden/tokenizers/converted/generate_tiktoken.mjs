// Writes tiktoken.model, a small vocabulary as tiktoken's files have it, made of the byte-level
// tokenizer in ../bytelevel_llama3, and tiktoken.json: what tiktoken itself (npm package
// `tiktoken`, the Rust library as WebAssembly) makes of texts with it, divided by the pattern of
// each family.
//
//   npm install --ignore-scripts tiktoken   (anywhere)
//   NODE_PATH=that/node_modules node generate_tiktoken.mjs
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { randomTexts } from "./texts.mjs";

const require = createRequire(join(process.env.NODE_PATH ?? ".", "x.js"));
const { Tiktoken } = require("tiktoken");
const here = dirname(fileURLToPath(import.meta.url));

// The characters that GPT-2's alphabet has for bytes.
const visible = (byte) =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
const byteOf = new Map();
let next = 0x100;
for (let byte = 0; byte < 256; ++byte) {
  byteOf.set(String.fromCodePoint(visible(byte) ? byte : next++), byte);
}

const file = JSON.parse(readFileSync(join(here, "../bytelevel_llama3/tokenizer.json"), "utf8"));
const specials = new Set(file.added_tokens.map((token) => token.content));
const tokens = Object.entries(file.model.vocab)
  .filter(([token]) => !specials.has(token))
  .sort((a, b) => a[1] - b[1])
  .map(([token]) => Buffer.from([...token].map((character) => byteOf.get(character))));
const lines = tokens.map((token, rank) => `${token.toString("base64")} ${rank}`);
writeFileSync(join(here, "tiktoken.model"), lines.join("\n") + "\n");

const ending = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?";
const upper = "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}";
const lower = "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}";
const before = "[^\\r\\n\\p{L}\\p{N}]?";
const spaces = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const han = "&&[^\\p{Han}]";
const cl100k = (digits) =>
  `(?i:'s|'t|'re|'ve|'m|'ll|'d)|${before}\\p{L}+|${digits}|` +
  ` ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${spaces}`;
const patterns = {
  "tiktoken.model": [
    "[\\p{Han}]+",
    `${before}[${upper}${han}]*[${lower}${han}]+${ending}`,
    `${before}[${upper}${han}]+[${lower}${han}]*${ending}`,
    "\\p{N}{1,3}",
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*",
    spaces,
  ].join("|"),
  "o200k_base.tiktoken": [
    `${before}[${upper}]*[${lower}]+${ending}`,
    `${before}[${upper}]+[${lower}]*${ending}`,
    "\\p{N}{1,3}",
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*",
    spaces,
  ].join("|"),
  "cl100k_base.tiktoken": cl100k("\\p{N}{1,3}"),
  "tokenizer.model": cl100k("\\p{N}{1,3}"),
  "qwen.tiktoken": cl100k("\\p{N}"),
};

const texts = randomTexts(150);
const rows = [];
for (const [name, pattern] of Object.entries(patterns)) {
  const special = { "[BOS]": tokens.length, "<|im_end|>": tokens.length + 2 };
  const encoding = new Tiktoken(lines.join("\n"), special, pattern);
  for (const text of texts) {
    const ids = [...encoding.encode(text, "all")];
    const decoded = new TextDecoder().decode(encoding.decode(ids));
    if (decoded !== text.replace(/^\ufeff/, "")) throw new Error(`not undone: ${text}`);
    rows.push(JSON.stringify({ file: name, text, ids: ids.join(" ") }));
  }
}
writeFileSync(join(here, "tiktoken.json"), "[\n" + rows.join(",\n") + "\n]\n");
console.log(rows.length, "rows");
