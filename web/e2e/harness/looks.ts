// How a page looks in every state, narrow and wide, light and dark: each of the four once, the
// second sight by changing the first; in SHOAL_TESTS=full each with each, anew. Every sight is
// searched by axe-core, and its picture is kept in build/screens for somebody to look at.

import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, Page } from "playwright-core";
import { expect } from "vitest";

import { root } from "./paths.ts";

const full = process.env["SHOAL_TESTS"] === "full";
const narrow = { width: 390, height: 844 };
const wide = { width: 1280, height: 800 };

interface Sight {
  viewport: { width: number; height: number };
  colorScheme: "light" | "dark";
}

const sights: Sight[] = [
  { viewport: narrow, colorScheme: "light" },
  { viewport: wide, colorScheme: "dark" },
];
if (full) {
  sights.push({ viewport: narrow, colorScheme: "dark" }, { viewport: wide, colorScheme: "light" });
}
export const screens = `${root}build/screens`;

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"));

interface Violation {
  id: string;
  impact: string;
  nodes: { html: string; failureSummary?: string }[];
}

// What axe-core finds serious or critical, one line each.
export async function violations(page: Page): Promise<string[]> {
  if (!(await page.evaluate(() => "axe" in globalThis))) {
    await page.evaluate(axeSource.toString());
  }
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(options: unknown): Promise<{ violations: Violation[] }> };
    };
    return (await axe.run({ resultTypes: ["violations"] })).violations;
  });
  return found
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary}`),
    );
}

// Whether anything stands out of the page to the side.
export async function overflows(page: Page): Promise<boolean> {
  return await page.evaluate(
    () => document.documentElement.scrollWidth > document.documentElement.clientWidth,
  );
}

export interface Look {
  name: string;
  url: string;
  // Brings the page into the state.
  prepare?(page: Page): Promise<void>;
}

// Every sight; throws what axe-core found.
export async function lookAt(browser: Browser, { name, url, prepare }: Look): Promise<void> {
  mkdirSync(screens, { recursive: true });
  const found: string[] = [];
  const visits = full ? sights.map((sight) => [sight]) : [sights];
  for (const [first, ...others] of visits) {
    const { viewport, colorScheme } = first!;
    const context = await browser.newContext({ viewport, colorScheme });
    const page = await context.newPage();
    page.on("pageerror", (error) => found.push(`error: ${error.message}`));
    try {
      await page.goto(url);
      await prepare?.(page);
      found.push(...(await sightOf(page, name, first!)));
      for (const sight of others) {
        await page.setViewportSize(sight.viewport);
        await page.emulateMedia({ colorScheme: sight.colorScheme });
        found.push(...(await sightOf(page, name, sight)));
      }
    } finally {
      // Whatever came of it, the next state finds no tab of this one.
      await context.close();
    }
  }
  expect(found, name).toEqual([]);
}

async function sightOf(page: Page, name: string, sight: Sight): Promise<string[]> {
  const what = `${sight.viewport.width}-${sight.colorScheme}`;
  await page.screenshot({ path: `${screens}/${name}-${what}.png` });
  const found = (await violations(page)).map((line) => `${what}: ${line}`);
  if (await overflows(page)) found.push(`${what}: wider than the screen`);
  return found;
}
