// Renders every template here over every conversation with @huggingface/jinja (npm), a second
// interpreter of such templates, and says where it differs from expected.json, which is Jinja2's
// answer and ours.
// With version 0.5.11 they agree on 755 of 910; the others are JavaScript's: 2024 for 2024.0, lists
// that can be added to strings, missing messages that have a length, undefined values that cannot,
// and filters that it lacks.
//
//   npm install --ignore-scripts @huggingface/jinja   (anywhere)
//   NODE_PATH=that/node_modules node compare.mjs
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(join(process.env.NODE_PATH ?? ".", "x.js"));
const { Template } = require("@huggingface/jinja");
const here = dirname(fileURLToPath(import.meta.url));
const read = (name) => readFileSync(join(here, name), "utf8");

// The clock of generate.py.
const RealDate = Date;
globalThis.Date = class extends RealDate {
  constructor(...parts) {
    super(...(parts.length > 0 ? parts : [2025, 2, 7, 14, 5, 9]));
  }
};

const conversations = new Map(
  JSON.parse(read("conversations.json")).map((entry) => [entry.name, entry.variables]),
);
const counts = { same: 0, bothRefuse: 0, differ: 0 };
for (const row of JSON.parse(read("expected.json"))) {
  const variables = {
    tools: null,
    documents: null,
    add_generation_prompt: false,
    ...structuredClone(conversations.get(row.conversation)),
  };
  let got;
  try {
    got = new Template(read(row.template)).render(variables);
  } catch (error) {
    got = null;
    if (row.text === undefined) {
      ++counts.bothRefuse;
      continue;
    }
    console.log(`${row.template} over ${row.conversation}: refused: ${error.message}`);
  }
  if (got === row.text) ++counts.same;
  else {
    ++counts.differ;
    if (got !== null) {
      let at = 0;
      const text = row.text ?? "";
      while (at < got.length && got[at] === text[at]) ++at;
      const part = (whole) => JSON.stringify(whole.slice(Math.max(0, at - 20), at + 40));
      console.log(
        `${row.template} over ${row.conversation} at ${at}: ${part(got)} for ${part(text)}`,
      );
    }
  }
}
console.log(counts);
