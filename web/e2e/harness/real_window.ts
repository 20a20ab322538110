// One Chromium window with several tabs, of which only the foremost is visible, as on a desk. It is
// driven by the DevTools protocol alone: Playwright keeps every page visible and switches off what
// browsers do to hidden ones.

import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { WebSocket } from "ws";

import { removeProfile } from "./profile.ts";
import { unseenPages } from "./browsers.ts";
import { withLimit } from "./wait.ts";

const startMs = 30_000;
const endMs = 30_000;

interface Reply {
  id?: number;
  result?: unknown;
  error?: { message: string };
}

export class RealTab {
  readonly #window: RealWindow;
  readonly #target: string;
  readonly #session: string;

  constructor(window: RealWindow, target: string, session: string) {
    this.#window = window;
    this.#target = target;
    this.#session = session;
  }

  async evaluate<T>(expression: string): Promise<T> {
    const parameters = { expression, awaitPromise: true, returnByValue: true };
    const answer = await this.#window.send("Runtime.evaluate", parameters, this.#session);
    return (answer as { result: { value: T } }).result.value;
  }

  // As a browser does that saves energy: nothing in the page runs.
  async freeze(isFrozen: boolean): Promise<void> {
    const state = isFrozen ? "frozen" : "active";
    await this.#window.send("Page.setWebLifecycleState", { state }, this.#session);
  }

  async toFront(): Promise<void> {
    await this.#window.send("Target.activateTarget", { targetId: this.#target });
  }
}

export class RealWindow {
  readonly #process: ChildProcess;
  readonly #socket: WebSocket;
  readonly #profile: string;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #last = 0;

  private constructor(process: ChildProcess, socket: WebSocket, profile: string) {
    this.#process = process;
    this.#socket = socket;
    this.#profile = profile;
    socket.on("message", (data: Buffer) => {
      const reply = JSON.parse(data.toString()) as Reply;
      if (reply.id === undefined) return;
      this.#waiting.get(reply.id)?.(reply);
      this.#waiting.delete(reply.id);
    });
  }

  static async open(): Promise<RealWindow> {
    const profile = mkdtempSync(`${tmpdir()}/shoal-window-`);
    const child = spawn("/usr/bin/chromium", [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--no-first-run",
      "--disable-background-networking",
      `--disable-features=${unseenPages.join(",")}`,
      "--remote-debugging-port=0",
      `--user-data-dir=${profile}`,
      "about:blank",
    ]);
    const address = new Promise<string>((resolve, reject) => {
      let text = "";
      child.on("error", reject);
      child.stderr.setEncoding("utf8").on("data", (more: string) => {
        text += more;
        const match = /DevTools listening on (ws:\S+)/.exec(text);
        if (match !== null) resolve(match[1]!);
      });
    });
    const socket = new WebSocket(await withLimit("a browser window", startMs, address));
    await new Promise((resolve) => socket.once("open", resolve));
    return new RealWindow(child, socket, profile);
  }

  // A new tab, in front of the others.
  async tab(url: string): Promise<RealTab> {
    const { targetId } = (await this.send("Target.createTarget", { url })) as { targetId: string };
    const attach = { targetId, flatten: true };
    const { sessionId } = (await this.send("Target.attachToTarget", attach)) as {
      sessionId: string;
    };
    return new RealTab(this, targetId, sessionId);
  }

  async send(method: string, params: object, sessionId?: string): Promise<unknown> {
    const id = ++this.#last;
    const reply = await new Promise<Reply>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.send(JSON.stringify({ id, method, params, sessionId }));
    });
    if (reply.error !== undefined) throw new Error(`${method}: ${reply.error.message}`);
    return reply.result;
  }

  async close(): Promise<void> {
    const exited = new Promise((resolve) => this.#process.once("exit", resolve));
    void this.send("Browser.close", {}); // it may end before it answers
    await withLimit("the browser window to end", endMs, exited);
    this.#socket.close();
    await removeProfile(this.#profile);
  }
}
