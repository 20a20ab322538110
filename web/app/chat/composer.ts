// The box that messages are written in, with the files that go along.

import { byId, el, setText } from "../common/dom.ts";
import { icon } from "../common/icons.ts";
import { fileLimits, readTextFile } from "./attachments.ts";
import type { Attachment } from "./tree.ts";

export interface ComposerEvents {
  send(text: string, attachments: Attachment[]): void;
  stop(): void;
  // The arrow key up, in an empty box.
  editLast(): void;
}

// Longer pastes become a file, so that the box stays readable.
const pasteCharsMax = 4000;

export class Composer {
  readonly #events: ComposerEvents;
  readonly #form = byId("composer", HTMLFormElement);
  readonly #prompt = byId("prompt", HTMLTextAreaElement);
  readonly #send = byId("send", HTMLButtonElement);
  readonly #stop = byId("stop", HTMLButtonElement);
  readonly #files = byId("files", HTMLUListElement);
  readonly #problem = byId("file-problem", HTMLElement);
  #attachments: Attachment[] = [];
  #busy = false;

  constructor(events: ComposerEvents) {
    this.#events = events;
    this.#send.append(icon("arrowUp"));
    this.#stop.append(icon("stop"));
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#prompt.addEventListener("input", () => this.#fit());
    this.#prompt.addEventListener("keydown", (event) => this.#onKey(event));
    this.#stop.addEventListener("click", () => {
      events.stop();
      this.focus();
    });
    this.#listenForFiles();
  }

  get isEmpty(): boolean {
    return this.#prompt.value.trim() === "" && this.#attachments.length === 0;
  }

  set busy(busy: boolean) {
    this.#busy = busy;
    this.#send.hidden = busy;
    this.#stop.hidden = !busy;
  }

  focus(): void {
    this.#prompt.focus();
  }

  // A suggestion, as if it had been written and sent.
  submit(text: string): void {
    this.#prompt.value = text;
    this.#submit();
  }

  #submit(): void {
    if (this.isEmpty || this.#busy) return;
    const text = this.#prompt.value.trim();
    const attachments = this.#attachments;
    this.#prompt.value = "";
    this.#attachments = [];
    this.#showFiles();
    this.#fit();
    this.#events.send(text, attachments);
  }

  #onKey(event: KeyboardEvent): void {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    } else if (event.key === "ArrowUp" && this.isEmpty) {
      event.preventDefault();
      this.#events.editLast();
    }
  }

  // The box grows with its text, up to the height that the style sheet allows.
  #fit(): void {
    this.#prompt.style.height = "auto";
    this.#prompt.style.height = `${this.#prompt.scrollHeight + 2}px`;
  }

  // --- Files -----------------------------------------------------------------------------------

  #listenForFiles(): void {
    const input = byId("file-input", HTMLInputElement);
    const attach = byId("attach", HTMLButtonElement);
    attach.append(icon("attach"));
    attach.addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      void this.#add([...(input.files ?? [])]);
      input.value = "";
    });
    this.#prompt.addEventListener("paste", (event) => this.#onPaste(event));
    const area = byId("chat", HTMLElement);
    area.addEventListener("dragover", (event) => {
      if (event.dataTransfer?.types.includes("Files") !== true) return;
      event.preventDefault();
      area.dataset["drop"] = "true";
    });
    area.addEventListener("dragleave", (event) => {
      if (!area.contains(event.relatedTarget as Node | null)) delete area.dataset["drop"];
    });
    area.addEventListener("drop", (event) => {
      delete area.dataset["drop"];
      if ((event.dataTransfer?.files.length ?? 0) === 0) return;
      event.preventDefault();
      void this.#add([...event.dataTransfer!.files]);
    });
  }

  #onPaste(event: ClipboardEvent): void {
    const files = [...(event.clipboardData?.files ?? [])];
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (files.length === 0 && text.length <= pasteCharsMax) return;
    event.preventDefault();
    void this.#add(files.length > 0 ? files : [new File([text], "pasted.txt")]);
  }

  async #add(files: File[]): Promise<void> {
    this.#problem.hidden = true;
    for (const file of files) {
      try {
        if (this.#attachments.length >= fileLimits.files) {
          throw new Error(`At most ${fileLimits.files} files go along with a message.`);
        }
        this.#attachments.push(await readTextFile(file));
      } catch (thrown) {
        setText(this.#problem, (thrown as Error).message);
        this.#problem.hidden = false;
      }
    }
    this.#showFiles();
    this.focus();
  }

  #showFiles(): void {
    this.#files.hidden = this.#attachments.length === 0;
    this.#files.replaceChildren(
      ...this.#attachments.map((file) => {
        const label = `Remove ${file.name}`;
        const remove = el("button", { type: "button", class: "icon", "aria-label": label });
        remove.append(icon("cross"));
        remove.addEventListener("click", () => {
          this.#attachments = this.#attachments.filter((other) => other !== file);
          this.#showFiles();
          this.focus();
        });
        return el("li", {}, el("bdi", {}, file.name), remove);
      }),
    );
  }
}
