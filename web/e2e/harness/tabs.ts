// Tabs in real Chromium, each in a browser of its own, so that one can be killed or frozen without
// the others.

import { readFileSync } from "node:fs";
import { chromium, type Browser, type Page } from "playwright-core";

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

export async function openBrowser(moreFlags: string[] = []): Promise<Browser> {
  const args = [...flags, ...moreFlags];
  return await chromium.launch({ executablePath: "/usr/bin/chromium", args });
}

export class Tab {
  readonly page: Page;
  readonly #browser: Browser;
  readonly #renderers: number[];
  // What went wrong in the page and its Workers.
  readonly errors: string[] = [];

  private constructor(browser: Browser, page: Page, renderers: number[]) {
    this.#browser = browser;
    this.page = page;
    this.#renderers = renderers;
    page.on("pageerror", (error) => this.errors.push(error.message));
  }

  // Opens a page of the coordinator at `url`.
  static async open(url: string, path: string, moreFlags: string[] = []): Promise<Tab> {
    const browser = await openBrowser(moreFlags);
    const page = await browser.newPage();
    await page.goto(url + path);
    const cdp = await browser.newBrowserCDPSession();
    const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
    const renderers = processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
    return new Tab(browser, page, renderers);
  }

  // Lends, without a click.
  static async lend(url: string, memory = "512M"): Promise<Tab> {
    return await Tab.open(url, `/lend?auto=1&executor=ort-wasm&memory=${memory}`);
  }

  // The number that the coordinator gave to this tab's volunteer; 0 while there is none.
  async node(): Promise<number> {
    return Number(await this.page.getByTestId("lend-state").getAttribute("data-node"));
  }

  async state(): Promise<string | null> {
    return await this.page.getByTestId("lend-state").getAttribute("data-state");
  }

  async untilState(state: string, limitMs = 60_000): Promise<void> {
    const badge = this.page.locator(`[data-testid="lend-state"][data-state="${state}"]`);
    await badge.waitFor({ timeout: limitMs });
  }

  // SIGKILL, SIGSTOP or SIGCONT to whatever renders this tab.
  signal(signal: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    for (const pid of this.#renderers) process.kill(pid, signal);
  }

  // Ends the browser's GPU process; it starts another when it needs one.
  async crashGpu(): Promise<void> {
    const cdp = await this.#browser.newBrowserCDPSession();
    await cdp.send("Browser.crashGpuProcess");
  }

  // Processor time that rendering this tab and its Workers has taken so far.
  cpuMs(): number {
    const ticks = this.#renderers.map((pid) => {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      // After the name, which may hold spaces: utime and stime are fields 14 and 15.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(fields[11]) + Number(fields[12]);
    });
    return ticks.reduce((sum, count) => sum + count, 0) * 10;
  }

  async close(): Promise<void> {
    for (const pid of this.#renderers) {
      try {
        process.kill(pid, "SIGCONT");
      } catch {
        // It is gone already.
      }
    }
    await this.#browser.close();
  }
}

export async function closeAll(tabs: Tab[]): Promise<void> {
  await Promise.all(tabs.splice(0).map((tab) => tab.close()));
}
