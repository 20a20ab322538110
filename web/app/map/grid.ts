// The table of volunteers: one row each, the model's blocks across. Rows are kept and changed in
// place, so that hundreds of them cost little at every look.

import { el, setText } from "../common/dom.ts";
import { hueOf } from "../common/hue.ts";
import { formatCount, formatSize } from "../common/size.ts";
import { describeBlocks, stagesOf, type Status, type VolunteerStatus } from "../common/status.ts";

interface Row {
  element: HTMLElement;
  held: HTMLElement;
  track: HTMLElement;
  cells: HTMLElement[];
  // What it shows.
  drawn: string;
  tokensDone: number;
  atMs: number;
  tokensPerSecond: number;
}

// How much of the newest speed counts against the older ones.
const newShare = 0.4;

export class Grid {
  readonly #body: HTMLElement;
  readonly #rows = new Map<number, Row>();
  #order = "";

  constructor(body: HTMLElement) {
    this.#body = body;
  }

  show(status: Status, nowMs: number): void {
    const stageOf = new Map(stagesOf(status).map(({ id }, index) => [id, index]));
    const volunteers = [...status.volunteers].sort(inTokenOrder);
    for (const volunteer of volunteers) this.#change(volunteer, status, stageOf, nowMs);
    const here = new Set(volunteers.map(({ id }) => id));
    for (const [id, row] of this.#rows) {
      if (here.has(id)) continue;
      row.element.remove();
      this.#rows.delete(id);
    }
    const order = volunteers.map(({ id }) => id).join(" ");
    if (order === this.#order) return;
    this.#order = order;
    this.#body.append(...volunteers.map(({ id }) => this.#rows.get(id)!.element));
  }

  #change(
    volunteer: VolunteerStatus,
    status: Status,
    stageOf: ReadonlyMap<number, number>,
    nowMs: number,
  ): void {
    const { id, tokensDone } = volunteer;
    let row = this.#rows.get(id);
    if (row === undefined) {
      row = newRow(id, tokensDone, nowMs);
      this.#rows.set(id, row);
    }
    updateSpeed(row, tokensDone, nowMs);
    const stage = stageOf.get(id);
    const values = describe(volunteer, row.tokensPerSecond);
    const key = JSON.stringify([volunteer.blocks, volunteer.state, stage, values, status.blocks]);
    if (key === row.drawn) return;
    row.drawn = key;
    values.forEach((value, index) => setText(row.cells[index]!, value));
    const { blocks: ranges, state } = volunteer;
    row.element.dataset["blocks"] = ranges.map(([from, to]) => `${from},${to}`).join(" ");
    row.element.dataset["state"] = state;
    row.element.classList.toggle("on-route", stage !== undefined);
    const held = ranges.map((range) => describeBlocks(range, status.blocks)).join(", ");
    setText(row.held, held === "" ? "holds nothing" : held);
    row.track.style.setProperty("--blocks", String(status.blocks));
    row.track.replaceChildren(
      ...ranges.map(([from, to]) =>
        el("span", {
          class: state === "loading" ? "map-segment loading" : "map-segment",
          style: `${place(from, to, status.blocks)}; --hue: ${hueOf(stage ?? id)}`,
        }),
      ),
    );
  }
}

function newRow(id: number, tokensDone: number, atMs: number): Row {
  const cell = (name: string): HTMLElement =>
    el("td", { class: `cell ${name}`, "data-label": name });
  const cells = ["state", "runs", "lends", "away", "tokens", "speed", "off-by"].map(cell);
  const held = el("span", { class: "visually-hidden" });
  const track = el("span", { class: "map-track", "aria-hidden": "true" });
  const element = el(
    "tr",
    { class: "grid-row", "data-testid": "map-volunteer", "data-node": id, "data-blocks": "" },
    el("th", { scope: "row", class: "cell who" }, `#${id}`),
    el("td", { class: "cell holds" }, held, track),
    ...cells,
  );
  return { element, held, track, cells, drawn: "", tokensDone, atMs, tokensPerSecond: 0 };
}

function updateSpeed(row: Row, tokensDone: number, nowMs: number): void {
  const seconds = (nowMs - row.atMs) / 1000;
  if (seconds < 0.5) return;
  const newest = Math.max(0, tokensDone - row.tokensDone) / seconds;
  row.tokensPerSecond = row.tokensPerSecond * (1 - newShare) + newest * newShare;
  if (row.tokensPerSecond < 0.05) row.tokensPerSecond = 0;
  row.tokensDone = tokensDone;
  row.atMs = nowMs;
}

function describe(volunteer: VolunteerStatus, tokensPerSecond: number): string[] {
  const { state, executor, memoryBytes, roundTripMs, tokensDone, bytesDone, bytesTotal } =
    volunteer;
  const { stepErrorPercent } = volunteer;
  const percent = bytesTotal > 0 ? ` ${Math.floor((100 * bytesDone) / bytesTotal)}\u00a0%` : "";
  return [
    state === "loading" ? `loading${percent}` : state,
    executor,
    formatSize(memoryBytes),
    roundTripMs > 0 ? `${Math.round(roundTripMs)}\u00a0ms` : "",
    formatCount(tokensDone),
    tokensPerSecond > 0 ? `${tokensPerSecond.toFixed(1)}/s` : "",
    stepErrorPercent === undefined ? "" : `\u00b1${Math.round(stepErrorPercent)}\u00a0%`,
  ];
}

// By first block; those that hold nothing come last.
export function inTokenOrder(a: VolunteerStatus, b: VolunteerStatus): number {
  const first = (volunteer: VolunteerStatus): number => volunteer.blocks[0]?.[0] ?? Infinity;
  const [left, right] = [first(a), first(b)];
  return left === right ? a.id - b.id : left - right;
}

function place(from: number, to: number, blocks: number): string {
  const percent = (count: number): string => `${(100 * count) / Math.max(1, blocks)}%`;
  return `left: ${percent(from)}; width: ${percent(Math.min(to, blocks) - from)}`;
}
