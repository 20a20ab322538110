// Who holds what: one row per volunteer, one column per block, in the order in which a token passes
// through them.

import { el, plural, setText } from "./dom.ts";
import { hueOf } from "./hue.ts";
import { formatCount, formatSize } from "./size.ts";
import { describeBlocks, unheldRanges, type Status, type VolunteerStatus } from "./status.ts";

// Beyond this, rows are counted instead of drawn.
const rowsMax = 40;

// Keeps `root` showing the newest status; `own` is the node number of the volunteer in this page.
export class SwarmMap {
  readonly #root: HTMLElement;
  readonly #summary = el("p", { class: "map-summary", "data-testid": "map-summary" });
  readonly #rows = el("div", { class: "map-rows", role: "table", "aria-label": "Who holds what" });
  #drawn = "";
  own = 0;

  constructor(root: HTMLElement) {
    this.#root = root;
    this.#root.append(this.#summary, this.#rows);
    setText(this.#summary, "Asking the coordinator\u2026");
  }

  show(status: Status | undefined): void {
    this.#root.dataset["state"] = status === undefined ? "offline" : "online";
    if (status === undefined) {
      setText(this.#summary, "The coordinator does not answer. Trying again\u2026");
      return;
    }
    setText(this.#summary, summarise(status));
    const key = JSON.stringify([status.blocks, status.volunteers, this.own]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    const volunteers = [...status.volunteers].sort(inTokenOrder);
    const rows = [
      axis(status.blocks),
      ...volunteers
        .slice(0, rowsMax)
        .map((volunteer, index) => row(volunteer, index, status.blocks, volunteer.id === this.own)),
    ];
    const missing = unheldRanges(status);
    if (status.blocks > 0 && missing.length > 0) rows.push(missingRow(missing, status.blocks));
    if (volunteers.length > rowsMax) {
      rows.push(el("p", { class: "map-more" }, `and ${volunteers.length - rowsMax} more`));
    }
    this.#rows.replaceChildren(...rows);
  }
}

function summarise(status: Status): string {
  const parts = [plural(status.volunteers.length, "volunteer")];
  if (status.sessions > 0) parts.push(plural(status.sessions, "answer") + " under way");
  if (status.tokensPerSecond > 0) parts.push(`${status.tokensPerSecond.toFixed(1)} tokens/s`);
  // A line breaks between facts, not inside one.
  return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" \u00b7 ");
}

// By first block; those that hold nothing come last.
function inTokenOrder(a: VolunteerStatus, b: VolunteerStatus): number {
  const first = (volunteer: VolunteerStatus): number => volunteer.blocks[0]?.[0] ?? Infinity;
  const [left, right] = [first(a), first(b)];
  return left === right ? a.id - b.id : left - right;
}

function axis(blocks: number): HTMLElement {
  return el(
    "div",
    { class: "map-axis", "aria-hidden": "true" },
    el("span", {}, "embedding"),
    el("span", {}, blocks > 2 ? plural(blocks - 2, "layer") : ""),
    el("span", {}, "head"),
  );
}

function row(volunteer: VolunteerStatus, index: number, blocks: number, own: boolean): HTMLElement {
  const { id, executor, memoryBytes, tokensDone } = volunteer;
  const loading = volunteer.state === "loading";
  const held = volunteer.blocks.map((range) => describeBlocks(range, blocks)).join(", ");
  const details = [executor, formatSize(memoryBytes)];
  if (tokensDone > 0) details.push(`${formatCount(tokensDone)} tokens`);
  const segments = volunteer.blocks.map((range) => segment(range, blocks, index, loading));
  return el(
    "div",
    {
      class: own ? "map-row own" : "map-row",
      role: "row",
      "data-testid": "map-volunteer",
      "data-node": id,
      "data-blocks": volunteer.blocks.map(([a, b]) => `${a},${b}`).join(" "),
    },
    el(
      "div",
      { class: "map-label", role: "cell" },
      el("strong", {}, own ? `#${id}, this tab` : `#${id}`),
      el("span", {}, details.filter((part) => part !== "").join(" \u00b7 ")),
    ),
    el("div", { class: "map-track", role: "cell", style: `--blocks: ${blocks}` }, ...segments),
    el(
      "div",
      { class: "map-held", role: "cell" },
      held === "" ? "holds nothing yet" : loading ? `loading ${held}` : held,
    ),
  );
}

function segment(
  [from, to]: [number, number],
  blocks: number,
  index: number,
  loading: boolean,
): HTMLElement {
  return el("div", {
    class: loading ? "map-segment loading" : "map-segment",
    style: `${place(from, to, blocks)}; --hue: ${hueOf(index)}`,
  });
}

function place(from: number, to: number, blocks: number): string {
  const percent = (count: number): string => `${(100 * count) / blocks}%`;
  return `left: ${percent(from)}; width: ${percent(Math.min(to, blocks) - from)}`;
}

function missingRow(ranges: [number, number][], blocks: number): HTMLElement {
  const names = ranges.map((range) => describeBlocks(range, blocks)).join(", ");
  return el(
    "div",
    { class: "map-row missing", role: "row", "data-testid": "map-missing" },
    el("div", { class: "map-label", role: "cell" }, el("strong", {}, "nobody")),
    el(
      "div",
      { class: "map-track", role: "cell", style: `--blocks: ${blocks}` },
      ...ranges.map(([from, to]) =>
        el("div", { class: "map-segment", style: place(from, to, blocks) }),
      ),
    ),
    el("div", { class: "map-held", role: "cell" }, names),
  );
}
