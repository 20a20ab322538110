// Line drawings of 24 by 24, in the colour of the text. Names are read by nobody: a button says
// what it does by its label.

const paths = {
  arrowUp: "M12 19V5M6 11l6-6 6 6",
  attach:
    "M20 11.5l-8.2 8.2a5 5 0 0 1-7-7l8.5-8.6a3.3 3.3 0 0 1 4.7 4.7l-8.5 8.5" +
    "a1.6 1.6 0 0 1-2.3-2.3l7.7-7.8",
  check: "M5 12.5l4.5 4.5L19 7.5",
  chevronLeft: "M14.5 6l-6 6 6 6",
  chevronRight: "M9.5 6l6 6-6 6",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  cross: "M6 6l12 12M18 6L6 18",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  edit: "M4 20l1-4.5L16.5 4l3.5 3.5L8.5 19z",
  gear: "M4 7h10M18 7h2M4 17h2M10 17h10M16 4.5v5M8 14.5v5",
  menu: "M4 6h16M4 12h16M4 18h16",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  pause: "M9 5v14M15 5v14",
  play: "M8 5l11 7-11 7z",
  plus: "M12 5v14M5 12h14",
  redo: "M19 12a7 7 0 1 1-2.1-5M19 4v4h-4",
  stop: "M7 7h10v10H7z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
} as const;

export type IconName = keyof typeof paths;

const svg = "http://www.w3.org/2000/svg";

export function icon(name: IconName): SVGSVGElement {
  const root = document.createElementNS(svg, "svg");
  const attributes = { viewBox: "0 0 24 24", width: "20", height: "20", "aria-hidden": "true" };
  for (const [key, value] of Object.entries(attributes)) root.setAttribute(key, value);
  root.setAttribute("class", "icon-drawing");
  const path = document.createElementNS(svg, "path");
  path.setAttribute("d", paths[name]);
  root.append(path);
  return root;
}
