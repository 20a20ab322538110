// The sliders and switches: what its owner lets this machine lend. Kept in this browser.

import { readLimits, timeShareMin, type Limits } from "../../volunteer/limits.ts";
import { byId, el } from "../common/dom.ts";
import { formatSize, parseSize } from "../common/size.ts";
import { threadsDefault } from "./threads.ts";

const memorySizes = ["128M", "192M", "256M", "384M", "512M", "768M", "1G", "1.5G", "2G", "3G"].map(
  (text) => parseSize(text)!,
);
const dataChoices = [100, 250, 500, 1024, 2048, 5120, 10240].map((mb) => mb * 1024 * 1024);
const storageKey = "shoal-lend-limits";

export interface LimitsFormEvents {
  onLimits(limits: Limits): void;
}

export class LimitsForm {
  readonly #events: LimitsFormEvents;
  readonly #storage: Storage | undefined;
  readonly #memory = byId("memory", HTMLInputElement);
  readonly #share = byId("share", HTMLInputElement);
  readonly #data = byId("data", HTMLSelectElement);
  readonly #threads = byId("threads", HTMLSelectElement);
  readonly #from = byId("from", HTMLInputElement);
  readonly #to = byId("to", HTMLInputElement);
  readonly #hours = byId("hours", HTMLInputElement);
  readonly #hidden = byId("when-hidden", HTMLInputElement);
  readonly #mains = byId("only-mains", HTMLInputElement);
  readonly #unmetered = byId("only-unmetered", HTMLInputElement);
  readonly #sizes: number[];

  constructor(
    storage: Storage | undefined,
    memoryBytes: number,
    threadsOffered: number,
    events: LimitsFormEvents,
  ) {
    this.#storage = storage;
    this.#events = events;
    this.#sizes = [...new Set([...memorySizes, memoryBytes])].sort((a, b) => a - b);
    this.#memory.max = String(this.#sizes.length - 1);
    this.#data.append(
      el("option", { value: "Infinity" }, "No limit"),
      ...dataChoices.map((bytes) => el("option", { value: bytes }, `${formatSize(bytes)} a day`)),
    );
    for (let count = 1; count <= threadsOffered; ++count) {
      const noun = count === 1 ? "core" : "cores";
      this.#threads.append(el("option", { value: count }, `${count} ${noun}`));
    }
    byId("threads-row", HTMLElement).hidden = threadsOffered === 1;
    this.memoryBytes = this.#keptMemory() ?? memoryBytes;
    this.#threads.value = String(this.#keptThreads() ?? threadsDefault(threadsOffered));
    this.#fill(this.#kept());
    byId("limits", HTMLElement).addEventListener("input", () => this.#onInput());
    this.#describe();
  }

  get memoryBytes(): number {
    return this.#sizes[this.#memory.valueAsNumber]!;
  }

  // The largest choice that is not more.
  set memoryBytes(bytes: number) {
    const index = Math.max(
      0,
      this.#sizes.findLastIndex((size) => size <= bytes),
    );
    this.#memory.value = String(index);
    this.#describe();
  }

  get threads(): number {
    return Number(this.#threads.value);
  }

  // Memory and threads are lent as a whole: another amount needs another start.
  set isRunning(isRunning: boolean) {
    this.#memory.disabled = isRunning;
    this.#threads.disabled = isRunning;
    byId("memory-note", HTMLElement).hidden = !isRunning;
  }

  // Offers only what this browser can keep.
  offer(has: { battery: boolean; network: boolean }): void {
    byId("mains-row", HTMLElement).hidden = !has.battery;
    byId("unmetered-row", HTMLElement).hidden = !has.network;
  }

  read(): Limits {
    const minutes = (input: HTMLInputElement): number => {
      const [hour = 0, minute = 0] = input.value.split(":").map(Number);
      return hour * 60 + minute;
    };
    const limited = this.#hours.checked;
    return readLimits({
      timeShare: this.#share.valueAsNumber / 100,
      dataBytesPerDay: Number(this.#data.value),
      fromMinute: limited ? minutes(this.#from) : 0,
      toMinute: limited ? minutes(this.#to) : 0,
      whenHidden: this.#hidden.checked,
      onBattery: !this.#mains.checked,
      onMetered: !this.#unmetered.checked,
    });
  }

  #onInput(): void {
    this.#describe();
    try {
      const limits = this.read();
      // JSON has no Infinity.
      const data = Number.isFinite(limits.dataBytesPerDay) ? limits.dataBytesPerDay : null;
      const { memoryBytes, threads } = this;
      const kept = { ...limits, dataBytesPerDay: data, memoryBytes, threads };
      this.#storage?.setItem(storageKey, JSON.stringify(kept));
    } catch {
      // Full or forbidden: they hold for this visit.
    }
    this.#events.onLimits(this.read());
  }

  #fill(limits: Limits): void {
    const clock = (minute: number): string => {
      const pad = (part: number): string => String(part).padStart(2, "0");
      return `${pad(Math.floor(minute / 60))}:${pad(minute % 60)}`;
    };
    this.#share.min = String(timeShareMin * 100);
    this.#share.value = String(Math.round(limits.timeShare * 100));
    const data = dataChoices.find((bytes) => bytes >= limits.dataBytesPerDay);
    this.#data.value = String(data ?? Infinity);
    this.#hours.checked = limits.fromMinute !== limits.toMinute;
    if (this.#hours.checked) {
      this.#from.value = clock(limits.fromMinute);
      this.#to.value = clock(limits.toMinute);
    }
    this.#hidden.checked = limits.whenHidden;
    this.#mains.checked = !limits.onBattery;
    this.#unmetered.checked = !limits.onMetered;
    this.#describe();
  }

  #describe(): void {
    const memory = formatSize(this.memoryBytes);
    byId("memory-value", HTMLOutputElement).value = memory;
    this.#memory.setAttribute("aria-valuetext", memory);
    byId("share-value", HTMLOutputElement).value = `${this.#share.value} %`;
    this.#share.setAttribute("aria-valuetext", `${this.#share.value} percent`);
    for (const input of [this.#from, this.#to]) input.disabled = !this.#hours.checked;
  }

  #readStorage(): unknown {
    try {
      return JSON.parse(this.#storage?.getItem(storageKey) ?? "null");
    } catch {
      return null;
    }
  }

  #kept(): Limits {
    return readLimits(this.#readStorage());
  }

  #keptMemory(): number | undefined {
    const bytes = (this.#readStorage() as { memoryBytes?: unknown } | null)?.memoryBytes;
    return typeof bytes === "number" && this.#sizes.includes(bytes) ? bytes : undefined;
  }

  #keptThreads(): number | undefined {
    const threads = (this.#readStorage() as { threads?: unknown } | null)?.threads;
    const isOffered = [...this.#threads.options].some(({ value }) => value === String(threads));
    return typeof threads === "number" && isOffered ? threads : undefined;
  }
}
