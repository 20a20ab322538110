// Markdown on the page, also while it grows: only blocks that changed are built anew, so that a
// selection stays and a long answer costs no more than a short one.

import { copyButton } from "../copy.ts";
import { el } from "../../common/dom.ts";
import { blocksOf, type Block } from "./parse.ts";
import { sanitise } from "./sanitise.ts";

// Longer texts are shown as they are.
const textCharsMax = 400_000;

interface Shown {
  raw: string;
  element: HTMLElement;
}

export class MarkdownView {
  readonly #root: HTMLElement;
  #shown: Shown[] = [];

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#root.replaceChildren();
  }

  // `isWhole`: nothing more will come, colours and formulas are worth their time now.
  show(text: string, isWhole: boolean): void {
    if (text.length > textCharsMax) {
      this.#root.textContent = text;
      return;
    }
    const blocks = blocksOf(text);
    let first = 0;
    while (first < this.#shown.length && this.#shown[first]!.raw === blocks[first]?.raw) ++first;
    for (const { element } of this.#shown.splice(first)) element.remove();
    for (const block of blocks.slice(first)) this.#add(block);
    const finished = isWhole ? this.#shown : this.#shown.slice(0, -1);
    for (const { element } of finished) finish(element);
  }

  #add(block: Block): void {
    const element = el("div", { class: "md" });
    element.append(sanitise(block.html()));
    for (const child of element.querySelectorAll("p, ul, ol, h4, h5, h6, td, th, blockquote")) {
      child.setAttribute("dir", "auto");
    }
    for (const pre of element.querySelectorAll("pre")) frameCode(pre);
    for (const table of element.querySelectorAll("table")) frameTable(table);
    this.#root.append(element);
    this.#shown.push({ raw: block.raw, element });
  }
}

// Colours and formulas, once.
function finish(element: HTMLElement): void {
  if (element.dataset["finished"] === "") return;
  element.dataset["finished"] = "";
  const spans = element.querySelectorAll(".math");
  if (spans.length > 0) void setFormulas(spans);
  for (const code of element.querySelectorAll("pre > code[class]")) void colour(code);
}

async function setFormulas(spans: Iterable<Element>): Promise<void> {
  const { setFormula } = await import("./math.ts");
  for (const span of spans) {
    setFormula(span, span.textContent, span.classList.contains("display"));
  }
}

async function colour(code: Element): Promise<void> {
  const language = code.className.replace("language-", "");
  const { highlight } = await import("./highlight.ts");
  const coloured = await highlight(code.textContent, language);
  if (coloured !== undefined) code.replaceChildren(coloured);
}

function frameCode(pre: HTMLPreElement): void {
  const code = pre.querySelector("code");
  const language = code?.className.replace("language-", "") ?? "";
  // Code is read from left to right, whatever the text around it is; it scrolls by keyboard too.
  pre.dir = "ltr";
  pre.tabIndex = 0;
  pre.setAttribute("role", "region");
  pre.setAttribute("aria-label", language === "" ? "Code" : `Code, ${language}`);
  const frame = el("div", { class: "code" });
  pre.replaceWith(frame);
  const copy = copyButton("Copy code", () => code?.textContent ?? "");
  frame.append(el("div", { class: "code-top" }, el("span", {}, language), copy), pre);
}

function frameTable(table: HTMLTableElement): void {
  const label = "Table";
  const frame = el("div", { class: "table", tabindex: 0, role: "region", "aria-label": label });
  table.replaceWith(frame);
  frame.append(table);
}
