// Tabs in real Chromium, each in a context and processes of its own, so that one can be killed or
// frozen without the others.

import { readFileSync } from "node:fs";
import type { Browser, Page } from "playwright-core";

import { sharedBrowser } from "./browsers.ts";

// What computes where that is not what is tested: ONNX Runtime takes two seconds more of processor
// time to start than our own engine.
export const usualExecutor = process.env["SHOAL_TESTS"] === "full" ? "ort-wasm" : "shoal";

let lastOpened: Promise<unknown> = Promise.resolve();

async function renderersOf(browser: Browser): Promise<number[]> {
  const cdp = await browser.newBrowserCDPSession();
  const { processInfo } = await cdp.send("SystemInfo.getProcessInfo");
  await cdp.detach();
  return processInfo.filter(({ type }) => type === "renderer").map(({ id }) => id);
}

export class Tab {
  readonly page: Page;
  #renderers: number[] = [];
  // What went wrong in the page and its Workers.
  readonly errors: string[] = [];

  private constructor(page: Page) {
    this.page = page;
    page.on("pageerror", (error) => this.errors.push(error.message));
  }

  // Opens a page of the coordinator at `url`. One at a time: what renders it are the processes that
  // are there after it and were not before.
  static async open(url: string, path: string, flags: string[] = []): Promise<Tab> {
    const opened = lastOpened.then(async () => {
      const browser = await sharedBrowser(flags);
      const before = await renderersOf(browser);
      const tab = new Tab(await browser.newPage());
      await tab.page.goto(url + path);
      tab.#renderers = (await renderersOf(browser)).filter((pid) => !before.includes(pid));
      return tab;
    });
    lastOpened = opened.catch(() => undefined);
    return await opened;
  }

  // Lends, without a click.
  static async lend(
    url: string,
    { executor = usualExecutor, memory = "512M" } = {},
  ): Promise<Tab> {
    return await Tab.open(url, `/lend?auto=1&executor=${executor}&memory=${memory}`);
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
    const cdp = await this.page.context().browser()!.newBrowserCDPSession();
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
    await this.page.context().close();
  }
}

export async function closeAll(tabs: Tab[]): Promise<void> {
  await Promise.all(tabs.splice(0).map((tab) => tab.close()));
}
