// Elements in one expression: el("p", { class: "note" }, "text", el("b", {}, "more")).
// Text is always set as text, never parsed.

type Attributes = Record<string, string | number | boolean | undefined>;
export type Child = Node | string;

// A boolean attribute is there when true; an undefined one is left out.
export function el<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

// The element of a page's own markup with this id.
export function byId<T extends HTMLElement>(id: string, type: new () => T): T {
  const element = document.getElementById(id);
  if (!(element instanceof type)) throw new Error(`the page has no ${type.name} #${id}`);
  return element;
}

// The first element below `root` of this kind.
export function byTag<K extends keyof HTMLElementTagNameMap>(
  root: ParentNode,
  tag: K,
): HTMLElementTagNameMap[K] | undefined {
  return root.querySelector(tag) ?? undefined;
}

// Sets the text only when it differs, so that selections and screen readers are left in peace.
export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`;
}
