// Markdown -> blocks -> HTML. The HTML is not safe yet: it goes through sanitise.ts before it is
// put into a page. Needs no DOM.
//
// HTML in the text is shown as text. Images are shown as links: an address that a model writes must
// not be fetched without a click, for it can carry what was said to a stranger.

import { Marked, type Token, type TokensList } from "marked";

import { escapeHtml } from "./escape.ts";
import { mathExtensions } from "./math_syntax.ts";

const marked = new Marked({ gfm: true, breaks: true, async: false });
marked.use({
  extensions: mathExtensions,
  renderer: {
    html: ({ text }) => escapeHtml(text),
    image({ href, text }) {
      const name = text === "" ? href : text;
      return `<a href="${escapeHtml(href)}">${escapeHtml(name)}</a>`;
    },
    // Below the page's own headings.
    heading({ tokens, depth }) {
      const level = Math.min(6, depth + 3);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
    code({ text, lang = "" }) {
      const name = /^[\w+#.-]{1,32}/.exec(lang)?.[0] ?? "";
      const language = name === "" ? "" : ` class="language-${escapeHtml(name.toLowerCase())}"`;
      return `<pre><code${language}>${escapeHtml(text)}</code></pre>`;
    },
    checkbox: ({ checked }) => (checked ? "\u2611 " : "\u2610 "),
  },
});

// One block of a text; `raw` is where it came from.
export interface Block {
  raw: string;
  // A block of code ends with its closing fence; others are always whole.
  isCode: boolean;
  html(): string;
}

// `text` in blocks: paragraphs, lists, tables, blocks of code.
export function blocksOf(text: string): Block[] {
  const tokens: TokensList = marked.lexer(text);
  const blocks: Block[] = [];
  for (const token of tokens) {
    if (token.type === "space" || token.type === "def") continue;
    blocks.push({ raw: token.raw, isCode: token.type === "code", html: () => htmlOf(token) });
  }
  return blocks;
}

function htmlOf(token: Token): string {
  // A paragraph of HTML alone is a block of HTML.
  if (token.type === "html") return `<p>${escapeHtml(token.raw.trim())}</p>`;
  return marked.parser([token]);
}

export function toHtml(text: string): string {
  return blocksOf(text)
    .map((block) => block.html())
    .join("");
}
