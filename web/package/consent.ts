// The dialog that asks a visitor for the tab, in plain words. A yes is remembered by this site.

import { el } from "../app/common/dom.ts";

const key = "shoal-lend-consent";

const style = `
  dialog { max-width: 30rem; padding: 22px; border: 1px solid #8a9aa2; border-radius: 16px;
    font: 16px/1.5 system-ui, sans-serif; color-scheme: light dark;
    color: CanvasText; background: Canvas; }
  h2 { margin: 0 0 10px; font-size: 1.2rem; }
  p { margin: 0 0 10px; }
  div { display: flex; justify-content: flex-end; gap: 8px; margin-top: 16px; }
  button { min-height: 44px; padding: 0 18px; border: 1px solid #7c8f98; border-radius: 10px;
    font: inherit; cursor: pointer; }
  button[value="yes"] { border-color: #0b7285; background: #0b7285; color: #fff; font-weight: 600; }
`;

const words = [
  "This page asks to lend your tab: it downloads a piece of a language model and computes with " +
    "it when somebody asks a question. That takes memory, processor time, power and data, within " +
    "limits.",
  "You would compute with the inner states of strangers\u2019 conversations. Whoever runs a " +
    "layer could reconstruct their text. The coordinator learns your network address; it sees no " +
    "files and no other tabs.",
  "It ends when you leave this page.",
];

export async function askConsent(coordinator: string): Promise<boolean> {
  try {
    if (localStorage.getItem(key) === coordinator) return true;
  } catch {
    // Nothing can be remembered here: it is asked each time.
  }
  const host = el("div", { "data-shoal": "consent" });
  const root = host.attachShadow({ mode: "open" });
  const no = el("button", { value: "no" }, "No, thanks");
  const yes = el("button", { value: "yes" }, "Lend this tab");
  const dialog = el(
    "dialog",
    { "aria-labelledby": "title" },
    el("h2", { id: "title" }, `Lend this tab to ${coordinator}?`),
    ...words.map((text) => el("p", {}, text)),
    el("form", { method: "dialog" }, el("div", {}, no, yes)),
  );
  root.append(el("style", {}, style), dialog);
  document.body.append(host);
  dialog.showModal();
  const answer = await new Promise<string>((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
  host.remove();
  if (answer !== "yes") return false;
  try {
    localStorage.setItem(key, coordinator);
  } catch {
    // As above.
  }
  return true;
}
