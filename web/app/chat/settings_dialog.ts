// The dialog for a conversation's system prompt and sampling parameters.

import { byId, el } from "../common/dom.ts";
import {
  defaultSettings,
  numberFields,
  readSettings,
  systemCharsMax,
  type Settings,
} from "./settings.ts";

export class SettingsDialog {
  readonly #dialog = byId("settings", HTMLDialogElement);
  readonly #form = byId("settings-form", HTMLFormElement);
  readonly #system = byId("system", HTMLTextAreaElement);
  readonly #inputs = new Map<string, HTMLInputElement>();

  // `onSave` gets what was chosen.
  constructor(onSave: (settings: Settings) => void) {
    this.#system.maxLength = systemCharsMax;
    byId("sampling", HTMLElement).append(...numberFields.map((field) => this.#field(field)));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      onSave(this.#read());
      this.#dialog.close();
    });
    byId("settings-reset", HTMLButtonElement).addEventListener("click", () => {
      this.#fill(defaultSettings);
    });
    byId("settings-cancel", HTMLButtonElement).addEventListener("click", () => {
      this.#dialog.close();
    });
  }

  open(settings: Settings): void {
    this.#fill(settings);
    this.#dialog.showModal();
  }

  #field({ key, name, help, min, max, step }: (typeof numberFields)[number]): HTMLElement {
    const id = `setting-${key}`;
    const input = el("input", {
      id,
      type: "number",
      inputmode: "decimal",
      min,
      max,
      step: step < 1 ? "any" : step,
      placeholder: "model\u2019s own",
      "aria-describedby": `${id}-help`,
      "data-testid": id,
    });
    this.#inputs.set(key, input);
    return el(
      "div",
      { class: "field" },
      el("label", { for: id }, name),
      input,
      el("p", { id: `${id}-help` }, help),
    );
  }

  #fill(settings: Settings): void {
    this.#system.value = settings.system;
    for (const { key } of numberFields) {
      this.#inputs.get(key)!.value = settings[key] === null ? "" : String(settings[key]);
    }
  }

  #read(): Settings {
    const numbers = numberFields.map(({ key }) => {
      const { value, valueAsNumber } = this.#inputs.get(key)!;
      return [key, value === "" ? null : valueAsNumber] as const;
    });
    return readSettings({ system: this.#system.value, ...Object.fromEntries(numbers) });
  }
}
