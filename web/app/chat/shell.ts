// The frame of the chat page: the drawer of conversations on narrow screens, and keys.

import { byId } from "../common/dom.ts";
import { icon } from "../common/icons.ts";

// On wide screens the list stands beside the chat; on narrow ones it slides over it.
export class SidebarDrawer {
  readonly #sidebar = byId("sidebar", HTMLElement);
  readonly #button = byId("open-sidebar", HTMLButtonElement);
  readonly #shade = byId("shade", HTMLElement);
  readonly #narrow = matchMedia("(max-width: 880px)");
  #isOpen = false;

  constructor() {
    this.#button.append(icon("menu"));
    this.#button.addEventListener("click", () => this.#set(!this.#isOpen));
    this.#shade.addEventListener("click", () => this.close());
    this.#narrow.addEventListener("change", () => this.#set(false));
    addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.#isOpen) return;
      this.close();
      this.#button.focus();
    });
    this.#set(false);
  }

  close(): void {
    if (this.#isOpen) this.#set(false);
  }

  #set(isOpen: boolean): void {
    this.#isOpen = isOpen && this.#narrow.matches;
    this.#sidebar.dataset["open"] = String(this.#isOpen);
    this.#sidebar.inert = this.#narrow.matches && !this.#isOpen;
    this.#shade.hidden = !this.#isOpen;
    this.#button.setAttribute("aria-expanded", String(this.#isOpen));
    byId("chat", HTMLElement).inert = this.#isOpen;
    if (this.#isOpen) byId("new-chat", HTMLButtonElement).focus();
  }
}

export interface ShortcutActions {
  startNew(): void;
  stop(): void;
  focusPrompt(): void;
}

// With Control or Command, so that no key is taken from anybody's typing or screen reader.
export function bindShortcuts(actions: ShortcutActions): void {
  const help = byId("shortcuts", HTMLDialogElement);
  byId("open-shortcuts", HTMLButtonElement).addEventListener("click", () => help.showModal());
  byId("close-shortcuts", HTMLButtonElement).addEventListener("click", () => help.close());
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && document.querySelector("dialog[open]") === null) actions.stop();
    if (!(event.ctrlKey || event.metaKey) || event.altKey) return;
    const key = event.key.toLowerCase();
    if (key === "o" && event.shiftKey) {
      event.preventDefault();
      actions.startNew();
    } else if (key === "/") {
      event.preventDefault();
      help.showModal();
    } else if (key === "j" && event.shiftKey === false) {
      event.preventDefault();
      actions.focusPrompt();
    }
  });
}
