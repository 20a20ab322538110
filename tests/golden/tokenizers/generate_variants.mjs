// Writes variants.json: what Hugging Face's tokenizers (npm package `tokenizers`, 0.23) makes of
// texts with parts of the tokenizers in this folder replaced, so that every normalizer,
// pre-tokenizer, post-processor, decoder and option is checked, not only those of the five.
//
//   npm install --ignore-scripts tokenizers   (anywhere)
//   NODE_PATH=that/node_modules node generate_variants.mjs [rounds of random texts]
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(join(process.env.NODE_PATH ?? ".", "x.js"));
const { Tokenizer } = require("tokenizers");
const here = dirname(fileURLToPath(import.meta.url));

// A double-array trie (Darts) over a few short keys, as in sentencepiece's precompiled_charsmap.
function darts(entries) {
  const root = { children: new Map(), value: null };
  for (const [key, value] of entries) {
    let node = root;
    for (const byte of Buffer.from(key)) {
      if (!node.children.has(byte)) node.children.set(byte, { children: new Map(), value: null });
      node = node.children.get(byte);
    }
    node.value = value;
  }
  const units = [0];
  const used = new Set([0]);
  function place(node, at) {
    const labels = [...node.children.keys()].sort((a, b) => a - b);
    if (node.value !== null) labels.unshift(0);
    let offset = 1;
    while (used.has(at ^ offset) || labels.some((label) => used.has(at ^ offset ^ label))) ++offset;
    for (const label of labels) used.add(at ^ offset ^ label);
    used.add(at ^ offset);
    units[at] = (units[at] ?? 0) | (offset << 10) | (node.value !== null ? 1 << 8 : 0);
    if (node.value !== null) units[at ^ offset] = (node.value | 0x80000000) >>> 0;
    for (const [label, child] of node.children) {
      units[at ^ offset ^ label] = label;
      place(child, at ^ offset ^ label);
    }
  }
  place(root, 0);
  return Uint32Array.from({ length: Math.max(...used) + 257 }, (_, i) => units[i] ?? 0x80000000);
}
function charsmap(pairs) {
  let texts = "";
  const entries = [];
  for (const [from, to] of pairs) {
    entries.push([from, Buffer.byteLength(texts)]);
    texts += to + "\0";
  }
  const units = Buffer.from(darts(entries).buffer);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(units.length);
  return Buffer.concat([size, units, Buffer.from(texts)]).toString("base64");
}

const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false };
const sequence = (...pretokenizers) => ({ type: "Sequence", pretokenizers });
const split = (pattern, behavior = "Isolated", invert = false) => ({
  type: "Split",
  pattern: typeof pattern === "string" ? { Regex: pattern } : pattern,
  behavior,
  invert,
});
const replace = (pattern, content) => ({ type: "Replace", pattern, content });
const added = (content, id, options = {}) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
  ...options,
});
const metaspace = (prepend_scheme, split_ = true) => ({
  type: "Metaspace",
  replacement: "▁",
  prepend_scheme,
  split: split_,
});
const template = (...single) => ({
  type: "TemplateProcessing",
  single,
  pair: [],
  special_tokens: {
    "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] },
    "</s>": { id: "</s>", ids: [2, 0], tokens: ["</s>", "<unk>"] },
  },
});
const special = (id) => ({ SpecialToken: { id, type_id: 0 } });
const A = { Sequence: { id: "A", type_id: 0 } };
const o200k =
  [
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*",
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+",
    "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|",
    "\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ].join("");
const deepseek = [
  split("\\p{N}{1,3}"),
  split("[一-龥぀-ゟ゠-ヿ]+"),
  split(
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|" +
      "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|" +
      " ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
  ),
];
const map = charsmap([
  ["ﬁ", "fi"],
  ["①", "1"],
  ["é", "e"],
  ["é", "E"],
  ["　", " "],
  ["\u200b", ""],
  ["½", "1/2"],
  ["ab", "AB"],
]);

const gpt2 = "bytelevel_gpt2",
  llama2 = "spm_llama2",
  t5 = "unigram_t5";
// The id of a token in a base's vocabulary; those have 2000 tokens, and new ones follow.
const load = (base) => JSON.parse(readFileSync(join(here, base, "tokenizer.json"), "utf8"));
const vocabulary = { [gpt2]: load(gpt2).model.vocab, [llama2]: load(llama2).model.vocab, [t5]: {} };
const variants = [];
const add = (base, patch) => variants.push({ base, patch });
for (const add_prefix_space of [true, false])
  add(gpt2, {
    pre_tokenizer: { type: "ByteLevel", add_prefix_space, trim_offsets: true, use_regex: true },
  });
for (const behavior of [
  "Removed",
  "Isolated",
  "MergedWithPrevious",
  "MergedWithNext",
  "Contiguous",
]) {
  for (const invert of [false, true]) {
    add(gpt2, { pre_tokenizer: sequence(split("[aeiou]|\\d", behavior, invert), bytes) });
    add(gpt2, { pre_tokenizer: sequence(split({ String: "e" }, behavior, invert), bytes) });
  }
  add(gpt2, { pre_tokenizer: sequence({ type: "Punctuation", behavior }, bytes) });
}
for (const individual_digits of [true, false])
  add(gpt2, { pre_tokenizer: sequence({ type: "Digits", individual_digits }, bytes) });
add(gpt2, { pre_tokenizer: sequence({ type: "Whitespace" }, bytes) });
add(gpt2, { pre_tokenizer: sequence({ type: "WhitespaceSplit" }, bytes) });
add(gpt2, { pre_tokenizer: sequence({ type: "CharDelimiterSplit", delimiter: "e" }, bytes) });
add(gpt2, { pre_tokenizer: sequence(split(o200k), bytes) });
add(gpt2, { pre_tokenizer: sequence(...deepseek, bytes) });
add(gpt2, { pre_tokenizer: sequence(split("x*"), bytes) });
add(gpt2, {
  pre_tokenizer: sequence({ type: "WhitespaceSplit" }, { ...bytes, add_prefix_space: true }),
});
for (const type of ["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"])
  add(gpt2, { normalizer: { type } });
add(gpt2, { normalizer: { type: "ByteLevel" }, pre_tokenizer: null });
for (const strip_left of [true, false])
  for (const strip_right of [true, false])
    add(gpt2, { normalizer: { type: "Strip", strip_left, strip_right } });
add(gpt2, {
  normalizer: {
    type: "Sequence",
    normalizers: [{ type: "NFD" }, { type: "StripAccents" }, { type: "Lowercase" }],
  },
});
add(gpt2, { normalizer: replace({ Regex: "\\s+" }, " ") });
add(gpt2, { normalizer: replace({ Regex: "(l)(.)" }, "$2$1${1}$$") });
add(gpt2, { normalizer: replace({ String: "e" }, "$1") });
add(gpt2, { normalizer: { type: "Prepend", prepend: "> " } });
add(gpt2, { normalizer: { type: "Precompiled", precompiled_charsmap: map } });
add(t5, { normalizer: { type: "Precompiled", precompiled_charsmap: map } });
for (const scheme of ["first", "never", "always"])
  for (const whole of [true, false]) {
    for (const base of [t5, llama2])
      add(base, {
        normalizer: null,
        pre_tokenizer: metaspace(scheme, whole),
        decoder: metaspace(scheme, whole),
      });
  }
add(t5, { model: { byte_fallback: true } });
add(t5, { pre_tokenizer: null, normalizer: null });
add(llama2, { model: { byte_fallback: false } });
add(llama2, { model: { byte_fallback: false, fuse_unk: false } });
add(llama2, { model: { ignore_merges: true } });
add(llama2, { model: { byte_fallback: false, unk_token: null } });
add(gpt2, { model: { ignore_merges: true } });
const tokens = [
  ["", {}],
  ["l", { lstrip: true }],
  ["r", { rstrip: true }],
  ["lr", { lstrip: true, rstrip: true }],
  ["w", { single_word: true }],
  ["n", { normalized: true, special: false }],
  ["nw", { normalized: true, special: false, single_word: true, lstrip: true }],
];
for (const [, options] of tokens)
  for (const base of [gpt2, llama2, t5]) {
    add(base, {
      added_tokens: [
        added("<mask>", 2000, options),
        added("<mask>2", 2001, options),
        added("Étude", 2002, options),
        added("the", vocabulary[base].the ?? 2003, { ...options, special: false }),
      ],
    });
    add(base, {
      normalizer: { type: "Lowercase" },
      added_tokens: [added("<MASK>", 2000, options), added("The ", 2001, options)],
    });
  }
add(llama2, { post_processor: template(special("<s>"), A, special("</s>")) });
add(llama2, { post_processor: template(A, special("</s>"), A) });
add(llama2, { post_processor: { type: "BertProcessing", sep: ["</s>", 2], cls: ["<s>", 1] } });
add(llama2, {
  post_processor: {
    type: "RobertaProcessing",
    sep: ["</s>", 2],
    cls: ["<s>", 1],
    trim_offsets: true,
    add_prefix_space: false,
  },
});
add(llama2, {
  post_processor: {
    type: "Sequence",
    processors: [
      { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true },
      template(special("<s>"), A),
    ],
  },
});
add(llama2, { decoder: null });
const steps = {
  r: replace({ String: "▁" }, " "),
  b: { type: "ByteFallback" },
  f: { type: "Fuse" },
  s: { type: "Strip", content: " ", start: 1, stop: 0 },
  e: { type: "Strip", content: "o", start: 0, stop: 1 },
  x: replace({ Regex: "[ae]+" }, "_"),
};
for (const order of ["rbf", "rbfs", "fr", "frs", "s", "rs", "re", "bx", "bfx", "fb", "rbs"]) {
  add(llama2, { decoder: { type: "Sequence", decoders: [...order].map((step) => steps[step]) } });
}
add(gpt2, { decoder: { type: "Sequence", decoders: [bytes, steps.s, steps.x] } });

const texts = [
  "",
  " ",
  "Hello world",
  "  two  spaces ",
  "The <mask> the <mask>2 <MASK>x a<mask>b",
  " <mask>\t the\n<mask> ",
  "the theme bathe",
  "Étude étude E\u0301tude e\u0301",
  "tabs\tand\nnew\r\nlines\n\n",
  "1234567 12 ½ ²",
  "don't I'LL we've",
  "日本語 漢字かな カナ 한국어",
  "emoji 😀👍🏽👨‍👩‍👧 flags 🇫🇷",
  "ﬁne ① \u200bzero　wide \u00a0nbsp",
  "a.b,c!d?e;f(g)[h]{i}",
  "http://x.y/z?a=1&b=2",
  "xxx x",
  "ababab ab",
  "fooBarBAZ HTTPServer",
  "▁lower ▁one",
  "\u0000\u0001\u007f",
  "İstanbul ΑΣ straße",
  "e\u0301\u0327\u0301 a\u0300\u0301",
  "<s>inside</s> <unk>",
  "good oooo moo o",
  "   ",
  "é  ",
  "  é",
];

const rounds = Number(process.argv[2] ?? 0);
function randomText() {
  const alphabet = "aeiothlsEBT  \n\t.,'<>1239éÉßﬁ①日本😀▁\u0301\u00a0xmk";
  const points = [...alphabet];
  const words = ["<mask>", "the", "<s>", " <mask> ", "The ", "Étude", "Hello"];
  let text = "";
  for (let i = Math.floor(Math.random() * 20); i > 0; --i) {
    text +=
      Math.random() < 0.15
        ? words[Math.floor(Math.random() * words.length)]
        : points[Math.floor(Math.random() * points.length)];
  }
  return text;
}

const rows = [];
for (const { base, patch } of variants) {
  const file = load(base);
  for (const [key, value] of Object.entries(patch)) {
    if (key === "model") Object.assign(file.model, value);
    else if (key === "added_tokens") file.added_tokens.push(...value);
    else file[key] = value;
  }
  const tokenizer = Tokenizer.fromString(JSON.stringify(file));
  const cases = [];
  for (const text of [...texts, ...Array.from({ length: rounds }, randomText)]) {
    let ids;
    try {
      ids = (await tokenizer.encode(text)).getIds();
    } catch (error) {
      console.error(base, JSON.stringify(patch).slice(0, 200), JSON.stringify(text), String(error));
      continue;
    }
    let decoded, skipped;
    try {
      decoded = await tokenizer.decode(ids, false);
      skipped = await tokenizer.decode(ids, true);
    } catch (error) {
      console.error(
        "decode",
        base,
        JSON.stringify(patch).slice(0, 200),
        JSON.stringify(text),
        String(error),
      );
      continue;
    }
    cases.push([text, ids.join(" "), decoded, skipped]);
  }
  rows.push(JSON.stringify({ base, patch, cases }));
}
writeFileSync(process.argv[3] ?? join(here, "variants.json"), "[\n" + rows.join(",\n") + "\n]\n");
console.log(rows.length, "variants");
