// A small line chart of one value over time, drawn as SVG, with the same in words.

import { el } from "../common/dom.ts";
import { niceTop, runsOf, type Sample, type Series } from "./history.ts";

const svgNamespace = "http://www.w3.org/2000/svg";
const size = { width: 600, height: 120 };

export interface ChartOptions {
  title: string;
  unit: string;
  value(sample: Sample): number;
  // The top of the scale; found from the values when absent.
  top?: number;
}

function svg(tag: string, attributes: Record<string, string | number>): SVGElement {
  const element = document.createElementNS(svgNamespace, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

export function chart(series: Series, { title, unit, value, top }: ChartOptions): HTMLElement {
  const values = series.samples.map(value);
  // Some room above the line, for the number at the top.
  const max = top ?? niceTop(Math.max(0, ...values) * 1.15);
  const mean = values.reduce((sum, each) => sum + each, 0) / Math.max(1, values.length);
  const words = `${title}: now ${format(values.at(-1) ?? 0)} ${unit}, on average ${format(mean)}`;
  const first = series.samples[0]?.t ?? 0;
  const last = series.samples.at(-1)?.t ?? 0;
  const across = Math.max(series.periodSeconds, last - first);
  const root = svg("svg", {
    viewBox: `0 0 ${size.width} ${size.height}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": `${words} ${unit}.`,
  });
  for (const share of [0, 0.5, 1]) {
    const y = size.height * (1 - share);
    root.append(svg("line", { x1: 0, x2: size.width, y1: y, y2: y, class: "grid" }));
  }
  for (const run of runsOf(series)) {
    const points = run.map((sample) => {
      const x = ((sample.t - first) / across) * size.width;
      return [x, size.height * (1 - Math.min(1, value(sample) / max))] as const;
    });
    const line = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");
    const [from, to] = [points[0]![0], points.at(-1)![0]];
    const area = `${from},${size.height} ${line} ${to},${size.height}`;
    root.append(svg("polygon", { points: area, class: "area" }));
    root.append(svg("polyline", { points: line, class: "line" }));
  }
  return el(
    "figure",
    { class: "chart" },
    el("figcaption", {}, title, el("strong", {}, `${format(values.at(-1) ?? 0)} ${unit}`)),
    el(
      "div",
      { class: "chart-body" },
      el("span", { class: "chart-top", "aria-hidden": "true" }, format(max)),
      root,
    ),
    el(
      "div",
      { class: "chart-times", "aria-hidden": "true" },
      el("span", {}, clock(first)),
      el("span", {}, clock(last)),
    ),
  );
}

function format(value: number): string {
  return value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(1);
}

function clock(unixSeconds: number): string {
  if (unixSeconds === 0) return "";
  const time = new Date(unixSeconds * 1000);
  return time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}
