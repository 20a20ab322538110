// Real Chromium, as the tests start it.

import { chromium, type Browser, type BrowserContext } from "playwright-core";

// Chromium's address bar loads pages of its own with every window, and a renderer waits in reserve:
// 1.5 s of processor time for each browser, which nobody looks at.
export const unseenPages = [
  "WebUIOmniboxPopup",
  "WebUIOmniboxAimPopup",
  "WebUIOmniboxFullPopup",
  "SpareRendererForSitePerProcess",
];

// What Playwright switches off; a second list takes the place of its own.
const offByPlaywright = [
  "AvoidUnnecessaryBeforeUnloadCheckSync",
  "DestroyProfileOnBrowserClose",
  "HttpsUpgrades",
  "HttpsFirstBalancedModeAutoEnable",
  "LensOverlay",
  "MediaRouter",
  "PaintHolding",
  "ThirdPartyStoragePartitioning",
  "AvoidCorsURLLoaderRestartOnRedirect",
  "OptimizationHints",
  "NetworkTimeServiceQuerying",
  "AimEnabled",
  "PreconnectToSearch",
];

// V8 would optimise ONNX Runtime's WebAssembly while a stage is built: two seconds of processor
// time for each tab, which pay where it lends for long. Ten times later only what a test really
// runs often is optimised.
const lateTierUp = "--js-flags=--wasm-tiering-budget=130000000";

const flags = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  lateTierUp,
  `--disable-features=${[...unseenPages, ...offByPlaywright].join(",")}`,
];

const executablePath = "/usr/bin/chromium";

// A browser that keeps what it stores in `folder`, as somebody's own does; shared ones keep it
// in memory. To be closed by whoever opened it.
export async function openProfile(
  folder: string,
  moreFlags: string[] = [],
): Promise<BrowserContext> {
  const args = [...flags, ...moreFlags];
  return await chromium.launchPersistentContext(folder, { executablePath, args });
}

// A test file's own, one for each set of flags: a browser that starts takes two seconds of
// processor time. What a test opens there should be a context of its own.
const shared = new Map<string, Promise<Browser>>();

export async function sharedBrowser(moreFlags: string[] = []): Promise<Browser> {
  const key = moreFlags.join(" ");
  const args = [...flags, ...moreFlags];
  const browser = shared.get(key) ?? chromium.launch({ executablePath, args });
  shared.set(key, browser);
  return await browser;
}

// A setup file of the tests (vitest.config.ts) has this done when a file is through.
export async function closeSharedBrowsers(): Promise<void> {
  const all = [...shared.values()];
  shared.clear();
  for (const browser of all) await (await browser).close();
}
