// The clipboard, also where the page came without HTTPS.

import { el, setText } from "../common/dom.ts";
import { icon } from "../common/icons.ts";

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text: string): boolean {
  const area = el("textarea", { class: "visually-hidden", "aria-hidden": "true" });
  const focused = document.activeElement;
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus();
  return copied;
}

const toldMs = 1500;

// Copies what `text` gives at the click, and tells so.
export function copyButton(label: string, text: () => string): HTMLButtonElement {
  const told = el("span", { class: "visually-hidden", role: "status" });
  const button = el("button", { type: "button", class: "icon", "aria-label": label, title: label });
  button.append(icon("copy"), told);
  button.addEventListener("click", () => {
    void copyText(text()).then((copied) => {
      setText(told, copied ? "Copied" : "The browser does not let us copy");
      button.replaceChildren(icon(copied ? "check" : "cross"), told);
      setTimeout(() => {
        button.replaceChildren(icon("copy"), told);
        setText(told, "");
      }, toldMs);
    });
  });
  return button;
}
