// The swarm as a picture: the model's blocks across, volunteers down, the routes of the answers
// under way, and tokens that travel along them. A token on its way is drawn slower than it is, so
// that it can be seen.

import { hueOf } from "./hue.ts";
import { layOut, type PictureLayout, type PlacedRoute } from "./picture_layout.ts";
import { describeBlocks, type Status } from "./status.ts";

const svgNamespace = "http://www.w3.org/2000/svg";
const laneMaxPx = 28;
const laneMinPx = 3;
// Room for a label.
const labelMinPx = { width: 34, height: 15 };
const routesMax = 12;
const pulsesMax = 16;
const pulseMs = { min: 700, max: 1800 };
const pulsesPerSecondMax = 5;

export interface PictureOptions {
  // Beyond so many lanes, volunteers share them.
  lanesMax: number;
  heightMaxPx: number;
  // Of the pulses that stand for the swarm's speed. While one is on its way the page is drawn
  // anew with every frame.
  pulsesPerSecondMax?: number;
}

type Attributes = Record<string, string | number | undefined>;

function svg(tag: string, attributes: Attributes, ...children: (Node | string)[]): SVGElement {
  const element = document.createElementNS(svgNamespace, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

export class SwarmPicture {
  readonly #options: PictureOptions;
  readonly #root: HTMLElement;
  readonly #svg = svg("svg", { role: "img", class: "picture", "aria-label": "Nothing known yet." });
  // Above the picture, so that what moves has nothing else drawn anew.
  readonly #pulses = svg("svg", { class: "picture-pulses", "aria-hidden": "true" });
  readonly #stillness = matchMedia("(prefers-reduced-motion: reduce)");
  #status: Status | undefined;
  #drawn = "";
  // Of the routes drawn, in order; each is travelled in turn.
  #paths: string[] = [];
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #perSecond = 0;
  #own = 0;

  constructor(root: HTMLElement, options: PictureOptions) {
    this.#options = options;
    this.#root = root;
    root.classList.add("picture-root");
    root.append(this.#svg, this.#pulses);
    new ResizeObserver(() => this.#draw()).observe(root);
  }

  // The volunteer that is this very tab.
  set own(id: number) {
    if (id === this.#own) return;
    this.#own = id;
    this.#draw();
  }

  show(status: Status | undefined): void {
    this.#root.dataset["state"] =
      status === undefined ? "offline" : status.ready ? "ready" : "missing";
    if (status === undefined) this.tokensPerSecond = 0;
    else this.#status = status;
    this.#draw();
  }

  // A token goes its way; `isPrompt`: a prompt does.
  pulse(isPrompt = false): void {
    if (this.#stillness.matches || document.hidden || this.#paths.length === 0) return;
    if (this.#pulses.childElementCount >= pulsesMax) return;
    const path = this.#paths[this.#turn++ % this.#paths.length]!;
    const dot = svg("circle", { r: 6, class: isPrompt ? "prompt" : undefined });
    dot.style.offsetPath = `path("${path}")`;
    this.#pulses.append(dot);
    const tokenMs = this.#status?.measuredTokenMs ?? 0;
    const duration = Math.min(pulseMs.max, Math.max(pulseMs.min, tokenMs));
    const animation = dot.animate({ offsetDistance: ["0%", "100%"] }, { duration });
    animation.onfinish = animation.oncancel = () => dot.remove();
  }

  // So many tokens a second go their way from now on, as long as an answer has a route.
  set tokensPerSecond(perSecond: number) {
    const isRunning = (this.#status?.routes.length ?? 0) > 0;
    const most = this.#options.pulsesPerSecondMax ?? pulsesPerSecondMax;
    this.#perSecond = isRunning ? Math.min(most, perSecond) : 0;
    if (this.#timer === undefined && this.#perSecond > 0) this.#go();
  }

  #go(): void {
    this.#timer = undefined;
    if (this.#perSecond <= 0) return;
    this.pulse();
    this.#timer = setTimeout(() => this.#go(), 1000 / this.#perSecond);
  }

  #draw(): void {
    const status = this.#status;
    const width = Math.floor(this.#root.clientWidth);
    if (status === undefined || width <= 0 || status.blocks === 0) return;
    const layout = layOut(status, this.#options.lanesMax);
    const key = JSON.stringify([layout, width, this.#own]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    const scale = scaleOf(layout, width, this.#options.heightMaxPx);
    for (const layer of [this.#svg, this.#pulses]) {
      layer.setAttribute("width", String(width));
      layer.setAttribute("height", String(scale.height));
    }
    this.#svg.setAttribute("aria-label", describe(layout));
    const routes = layout.routes.slice(0, routesMax);
    this.#paths = routes.map((route) => pathOf(route, scale));
    const isRunning = routes.some(({ answers }) => answers > 0);
    this.#svg.replaceChildren(
      ...drawSpans(layout, scale, this.#own),
      ...this.#paths.map((d) => svg("path", { d, class: isRunning ? "route running" : "route" })),
      ...drawLabels(layout, scale),
    );
  }
}

interface Scale {
  height: number;
  lane: number;
  gap: number;
  x(block: number): number;
  // The top of a lane.
  y(lane: number): number;
}

function scaleOf({ lanes, blocks }: PictureLayout, width: number, heightMax: number): Scale {
  const pitch = Math.min(laneMaxPx, Math.max(laneMinPx, heightMax / Math.max(1, lanes)));
  const gap = pitch > 10 ? 4 : 1;
  return {
    height: Math.ceil(Math.max(1, lanes) * pitch),
    lane: pitch - gap,
    gap,
    x: (block) => (block / blocks) * width,
    y: (lane) => lane * pitch + gap / 2,
  };
}

function drawSpans(layout: PictureLayout, scale: Scale, own: number): SVGElement[] {
  const box = (from: number, to: number, lane: number): Attributes => ({
    x: scale.x(from) + 1,
    y: scale.y(lane),
    width: Math.max(1, scale.x(to) - scale.x(from) - 2),
    height: scale.lane,
    rx: Math.min(5, scale.lane / 3),
  });
  const spans = layout.spans.map(({ id, from, to, lane, colour, done, isReady }) => {
    const place = box(from, to, lane);
    const name = describeBlocks([from, to], layout.blocks);
    const title = `#${id}${id === own ? ", this tab" : ""}: ${name}`;
    const percent = isReady ? "" : `, ${Math.floor(100 * done)} % fetched`;
    const group = svg("g", {
      class: id === own ? "span own" : "span",
      style: `--hue: ${hueOf(colour)}`,
      "data-node": id,
    });
    group.append(svg("title", {}, title + percent));
    if (!isReady) group.append(svg("rect", { ...place, class: "fetching" }));
    const here = { ...place, width: Number(place["width"]) * done };
    group.append(svg("rect", { ...here, class: isReady ? "held" : "fetched" }));
    return group;
  });
  const missing = layout.missing.map(([from, to]) =>
    svg(
      "g",
      { class: "span missing" },
      svg("title", {}, `nobody: ${describeBlocks([from, to], layout.blocks)}`),
      svg("rect", { ...box(from, to, layout.lanes - 1) }),
    ),
  );
  return [...spans, ...missing];
}

// Where there is room; above the routes, so that they can be read.
function drawLabels(layout: PictureLayout, { x, y, lane }: Scale): SVGElement[] {
  if (lane < labelMinPx.height) return [];
  const middle = (at: number): number => y(at) + lane / 2;
  const missing = layout.missing
    .filter(([from, to]) => x(to) - x(from) >= 2 * labelMinPx.width)
    .map(([from]) => {
      const place = { x: x(from) + 9, y: middle(layout.lanes - 1), class: "nobody" };
      return svg("text", { ...place, "dominant-baseline": "central" }, "nobody");
    });
  const held = layout.spans
    .filter(({ from, to }) => x(to) - x(from) >= labelMinPx.width)
    .map(({ id, from, lane: at, colour }) => {
      const place = { x: x(from) + 9, y: middle(at), style: `--hue: ${hueOf(colour)}` };
      return svg("text", { ...place, "dominant-baseline": "central" }, `#${id}`);
    });
  return [...held, ...missing];
}

// Along the middle of each leg, and in a curve from lane to lane.
export function pathOf({ legs }: PlacedRoute, { x, y, lane }: Scale): string {
  const middle = (at: number): number => y(at) + lane / 2;
  const point = (across: number, down: number): string => `${across.toFixed(1)},${down.toFixed(1)}`;
  const parts: string[] = [];
  for (const [index, leg] of legs.entries()) {
    const [from, to, height] = [x(leg.from), x(leg.to), middle(leg.lane)];
    const bend = Math.min(14, (to - from) / 3);
    const isFirst = index === 0;
    const isLast = index === legs.length - 1;
    if (isFirst) parts.push(`M${point(from, height)}`);
    else parts.push(point(from, height), point(from + bend, height));
    parts.push(`L${point(isLast ? to : to - bend, height)}`);
    if (!isLast) parts.push(`C${point(to, height)}`);
  }
  return parts.join(" ");
}

// The picture in words.
function describe({ blocks, spans, missing, routes }: PictureLayout): string {
  const holders = new Set(spans.map(({ id }) => id)).size;
  const who = holders === 1 ? "1 volunteer holds" : `${holders} volunteers hold`;
  const held = `${who} ${blocks} blocks`;
  const names = missing.map((range) => describeBlocks(range, blocks)).join(", ");
  const parts = [missing.length > 0 ? `${held}; nobody holds ${names}` : held];
  const answers = routes.reduce((sum, route) => sum + route.answers, 0);
  if (answers > 0) {
    const stages = routes[0]!.legs.length;
    parts.push(`a token passes ${stages} ${stages === 1 ? "volunteer" : "volunteers"}`);
  }
  return `${parts.join("; ")}.`;
}
