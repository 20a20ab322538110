// The download of what this tab is to hold: piece by piece, how fast, and how long still.

import type { FileProgress, LoadProgress } from "../../volunteer/assignment.ts";
import { byId, el, setText } from "../common/dom.ts";
import { formatSize } from "../common/size.ts";

// Speed is measured over this long.
const windowMs = 5000;

// Bytes per second over the last few seconds.
export class Speed {
  readonly #points: [number, number][] = [];

  add(nowMs: number, bytes: number): void {
    this.#points.push([nowMs, bytes]);
    while (this.#points.length > 2 && this.#points[1]![0] < nowMs - windowMs) this.#points.shift();
  }

  get bytesPerSecond(): number {
    const first = this.#points[0];
    const last = this.#points.at(-1);
    if (first === undefined || last === undefined || last[0] - first[0] < 200) return 0;
    return Math.max(0, ((last[1] - first[1]) * 1000) / (last[0] - first[0]));
  }
}

// "about 3 min", "about 20 s"; for what is left at this speed.
export function describeLeft(bytes: number, bytesPerSecond: number): string {
  if (bytesPerSecond <= 0) return "";
  const seconds = bytes / bytesPerSecond;
  if (seconds < 90) return `about ${Math.max(1, Math.round(seconds))} s left`;
  if (seconds < 5400) return `about ${Math.round(seconds / 60)} min left`;
  return `about ${Math.round(seconds / 3600)} h left`;
}

export class ProgressView {
  readonly #root = byId("progress", HTMLElement);
  #speed = new Speed();

  hide(): void {
    this.#root.hidden = true;
    this.#speed = new Speed();
  }

  show({ bytesDone, bytesTotal, bytesFetched, files }: LoadProgress): void {
    this.#root.hidden = false;
    this.#speed.add(performance.now(), bytesFetched);
    byId("bar", HTMLProgressElement).value = bytesDone / Math.max(1, bytesTotal);
    const here = bytesDone - bytesFetched;
    const parts = [`${formatSize(bytesDone)} of ${formatSize(bytesTotal)}`];
    if (here > 0) parts.push(`${formatSize(here)} already here`);
    const perSecond = this.#speed.bytesPerSecond;
    if (bytesDone < bytesTotal && perSecond > 0) {
      parts.push(`${formatSize(perSecond)}/s`, describeLeft(bytesTotal - bytesDone, perSecond));
    }
    if (bytesDone === bytesTotal) parts.push("preparing to run\u2026");
    setText(byId("progress-text", HTMLElement), parts.join(" \u00b7 "));
    byId("files", HTMLElement).replaceChildren(...files.map(fileRow));
  }
}

// The first file describes how the pieces belong together; the others are the pieces, in order.
function fileRow({ bytes, done, fetched }: FileProgress, index: number): HTMLElement {
  const name = index === 0 ? "Plan" : `Piece ${index}`;
  const state =
    done < bytes
      ? `${Math.floor((100 * done) / bytes)} %`
      : fetched < bytes
        ? "already here"
        : "fetched";
  return el(
    "li",
    { "data-state": done < bytes ? "loading" : fetched < bytes ? "here" : "fetched" },
    el("span", {}, name),
    el("progress", { max: bytes, value: done, "aria-label": name }),
    el("span", { class: "size" }, formatSize(bytes)),
    el("span", {}, state),
  );
}
