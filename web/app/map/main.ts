// The live map: whether the model can answer and what is missing, how often each block is held, who
// holds what, and how it went.

import { byId, el, plural, setText } from "../common/dom.ts";
import { SwarmPicture } from "../common/picture.ts";
import { formatSize } from "../common/size.ts";
import {
  describeBlocks,
  isArriving,
  unheldRanges,
  watchStatus,
  type Status,
} from "../common/status.ts";
import { chart } from "./chart.ts";
import {
  coverageOf,
  describeRun,
  leastCopies,
  runsOfCoverage,
  type CoverageRun,
} from "./coverage.ts";
import { figuresOf } from "./figures.ts";
import { Grid } from "./grid.ts";
import { askHistory, type Series } from "./history.ts";
import { describeNeeds } from "./needs.ts";

const historyEveryMs = 10_000;

const picture = new SwarmPicture(byId("picture", HTMLElement), {
  lanesMax: 12,
  heightMaxPx: 320,
});
const grid = new Grid(byId("volunteers", HTMLElement));
let drawnCoverage = "";
let drawnHealth = "";
let drawnNow = "";

function showStatus(status: Status | undefined): void {
  document.body.dataset["state"] =
    status === undefined ? "offline" : status.ready ? "ready" : "missing";
  showHealth(status);
  picture.show(status);
  picture.tokensPerSecond = status?.tokensPerSecond ?? 0;
  showNow(status);
  if (status === undefined) return;
  setText(byId("model", HTMLElement), status.model);
  showCoverage(status);
  byId("nobody", HTMLElement).hidden = status.volunteers.length > 0;
  byId("table", HTMLElement).hidden = status.volunteers.length === 0;
  grid.show(status, performance.now());
}

// The figures of this moment; what is not known is not shown.
function showNow(status: Status | undefined): void {
  const figures = status === undefined ? [] : figuresOf(status);
  const key = JSON.stringify(figures);
  if (key === drawnNow) return;
  drawnNow = key;
  byId("now", HTMLElement).replaceChildren(
    ...figures.map(({ name, value, note }) =>
      el("div", {}, el("dt", {}, name), el("dd", {}, value, el("small", {}, note))),
    ),
  );
}

// --- Health --------------------------------------------------------------------------------------

function showHealth(status: Status | undefined): void {
  const content = describeHealth(status);
  const key = content.join("|");
  if (key === drawnHealth) return;
  drawnHealth = key;
  const [title, detail, ...needs] = content;
  const parts: Node[] = [el("h2", {}, title!), el("p", {}, detail!)];
  if (needs.length > 0) {
    const items = needs.map((need) => el("li", {}, need));
    parts.push(el("ul", { "data-testid": "map-needs" }, ...items));
    parts.push(el("a", { class: "button", href: "/lend" }, "Lend this tab"));
  }
  byId("health", HTMLElement).replaceChildren(...parts);
}

// Title, one sentence, and what would help.
function describeHealth(status: Status | undefined): string[] {
  if (status === undefined) {
    return ["No answer", "The coordinator does not answer. Trying again\u2026"];
  }
  if (status.ready) {
    const least = leastCopies(coverageOf(status));
    const spare =
      least > 1
        ? `Every block is held at least ${least} times.`
        : "Some blocks are held once only: when their tab leaves, answers wait for another.";
    return ["The model answers", spare];
  }
  if (isArriving(status)) {
    const missing = status.missingBytes;
    const left = missing > 0 ? `, ${formatSize(missing)} to go` : "";
    return ["Almost there", `The volunteers are fetching their pieces${left}.`];
  }
  const ranges = unheldRanges(status).map((range) => describeBlocks(range, status.blocks));
  const missing = status.missingBytes;
  const what =
    missing > 0 ? `${formatSize(missing)} of the model have no place yet` : status.detail;
  const where = ranges.length > 0 ? `: ${ranges.join(", ")}.` : ".";
  const needs = missing > 0 ? describeNeeds(missing) : [];
  return [
    "The model cannot answer yet",
    `${what}${where}`,
    ...needs.map((need) => `about ${need}`),
  ];
}

// --- Coverage ------------------------------------------------------------------------------------

// One cell a run of blocks that are held equally often.
function showCoverage(status: Status): void {
  const coverage = coverageOf(status);
  const key = JSON.stringify([coverage, status.blocks]);
  if (key === drawnCoverage) return;
  drawnCoverage = key;
  const runs = runsOfCoverage(coverage);
  byId("copies", HTMLElement).replaceChildren(
    ...runs.map((run) =>
      el(
        "li",
        {
          class: "copies-cell",
          style: `flex-grow: ${run.to - run.from}`,
          "data-copies": Math.min(run.ready, 4),
          "data-testid": run.ready + run.loading === 0 ? "map-missing" : undefined,
          title: describeRun(run, status.blocks),
        },
        el("span", { class: "visually-hidden" }, describeRun(run, status.blocks)),
        el("span", { "aria-hidden": "true" }, hasRoom(run, status) ? `${run.ready}\u00d7` : ""),
      ),
    ),
  );
  setText(byId("layers", HTMLElement), status.blocks > 2 ? plural(status.blocks - 2, "layer") : "");
}

// For a number in its cell.
function hasRoom({ from, to, ready }: CoverageRun, { blocks }: Status): boolean {
  return ready > 0 && (to - from) / blocks > 0.04;
}

// --- History -------------------------------------------------------------------------------------

let shown: "hour" | "day" = "hour";
let newest: Series[] | undefined;

function showHistory(): void {
  const series = newest?.[shown === "hour" ? 0 : 1];
  const hasSome = series !== undefined && series.samples.length > 1;
  byId("no-history", HTMLElement).hidden = hasSome;
  const text = newest === undefined ? "The coordinator keeps no history." : "Not enough seen yet.";
  setText(byId("no-history", HTMLElement), text);
  if (!hasSome) return byId("charts", HTMLElement).replaceChildren();
  const speed = { title: "Speed", unit: "tokens/s" };
  byId("charts", HTMLElement).replaceChildren(
    chart(series, { ...speed, value: (sample) => sample.tokensPerSecond }),
    chart(series, { title: "Volunteers", unit: "", value: (sample) => sample.volunteers }),
    chart(series, {
      title: "Available",
      unit: "%",
      value: (sample) => 100 * sample.available,
      top: 100,
    }),
  );
}

for (const range of ["hour", "day"] as const) {
  byId(`range-${range}`, HTMLInputElement).addEventListener("change", () => {
    shown = range;
    showHistory();
  });
}

async function lookBack(): Promise<void> {
  if (!document.hidden) {
    newest = (await askHistory()) ?? newest;
    showHistory();
  }
  setTimeout(() => void lookBack(), historyEveryMs);
}

watchStatus(showStatus);
void lookBack();
