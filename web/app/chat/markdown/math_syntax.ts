// Formulas in Markdown: $$...$$ and \[...\] stand alone, \(...\) and $...$ in a line. A dollar sign
// begins a formula only right before something, and ends it only right behind something and not
// before a digit: "$5 and $10" is about money.

import type { TokenizerExtension, RendererExtension, Tokens } from "marked";

import { escapeHtml } from "./escape.ts";

interface MathToken extends Tokens.Generic {
  tex: string;
  display: boolean;
}

const displayRule = /^ {0,3}(?:\$\$([^$]+?)\$\$|\\\[([\s\S]+?)\\\]) *(?:\n+|$)/;
const displayInlineRule = /^(?:\$\$([^$\n]+?)\$\$|\\\[([^\n]+?)\\\])/;
const inlineRule = /^(?:\\\(([^\n]+?)\\\)|\$(?![\s$])((?:\\.|[^$\\\n])*?(?:\\.|[^$\\\s]))\$(?!\d))/;

function tokenOf(
  type: string,
  match: RegExpExecArray | null,
  display: boolean,
): MathToken | undefined {
  if (match === null) return undefined;
  const tex = (match[1] ?? match[2] ?? "").trim();
  return tex === "" ? undefined : { type, raw: match[0], tex, display };
}

function render(token: Tokens.Generic): string {
  const { tex, display } = token as MathToken;
  const span = `<span class="math${display ? " display" : ""}">${escapeHtml(tex)}</span>`;
  return token.type === "mathBlock" ? `<p>${span}</p>` : span;
}

export const mathExtensions: (TokenizerExtension & RendererExtension)[] = [
  {
    name: "mathBlock",
    level: "block",
    start: (text) => /(?:^|\n) {0,3}(?:\$\$|\\\[)/.exec(text)?.index,
    tokenizer: (text) => tokenOf("mathBlock", displayRule.exec(text), true),
    renderer: render,
  },
  {
    name: "math",
    level: "inline",
    start: (text) => /\$|\\[([]/.exec(text)?.index,
    tokenizer: (text) =>
      tokenOf("math", displayInlineRule.exec(text), true) ??
      tokenOf("math", inlineRule.exec(text), false),
    renderer: render,
  },
];
