// Writes transformers.json: what @huggingface/transformers (npm), an implementation of its own in
// JavaScript, makes of random texts with the tokenizers in this folder. Rows on which it and
// Hugging Face's own tokenizers (npm package `tokenizers`) differ are left out and counted.
//
//   npm install --ignore-scripts @huggingface/transformers tokenizers   (anywhere)
//   NODE_PATH=that/node_modules node generate_transformers.mjs
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { randomTexts } from "./converted/texts.mjs";

const require = createRequire(join(process.env.NODE_PATH ?? ".", "x.js"));
const { Tokenizer } = require("tokenizers");
const { PreTrainedTokenizer } = require("@huggingface/transformers");
const here = dirname(fileURLToPath(import.meta.url));
const kinds = [
  "bytelevel_gpt2",
  "bytelevel_llama3",
  "bytelevel_qwen2_nfc",
  "spm_llama2",
  "unigram_t5",
];

const rows = [];
for (const kind of kinds) {
  const text = readFileSync(join(here, kind, "tokenizer.json"), "utf8");
  const config = { tokenizer_class: "PreTrainedTokenizer", clean_up_tokenization_spaces: false };
  const tokenizer = new PreTrainedTokenizer(JSON.parse(text), config);
  const second = Tokenizer.fromString(text);
  let differing = 0;
  for (const input of randomTexts(250)) {
    const ids = tokenizer.encode(input).map(Number);
    const decoded = ids.length === 0 ? "" : tokenizer.decode(ids, { skip_special_tokens: true });
    const others = (await second.encode(input)).getIds();
    if (ids.join() !== others.join() || decoded !== (await second.decode(others, true))) {
      ++differing;
      continue;
    }
    rows.push(JSON.stringify({ kind, text: input, ids: ids.join(" "), decoded }));
  }
  console.log(kind, differing, "rows left out");
}
writeFileSync(join(here, "transformers.json"), "[\n" + rows.join(",\n") + "\n]\n");
console.log(rows.length, "rows");
