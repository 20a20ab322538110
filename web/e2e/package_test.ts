// @shoal/volunteer on a page of another site: its two examples, and its size.

import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, readdirSync, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { brotliCompressSync } from "node:zlib";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";

import { Coordinator } from "./harness/coordinator.ts";
import { violations } from "./harness/looks.ts";
import { root, storytellerSmall } from "./harness/paths.ts";
import { pack } from "./harness/shoal.ts";
import { sharedBrowser } from "./harness/browsers.ts";
import { Tab } from "./harness/tabs.ts";

const folder = `${root}web/package`;
const types: Record<string, string> = {
  css: "text/css",
  html: "text/html; charset=utf-8",
  js: "text/javascript",
  mjs: "text/javascript",
  wasm: "application/wasm",
};

// For an answer of at most 150 tokens, as the example has it, on a busy machine.
const answerMs = 120_000;

let site: Server;
let coordinator: Coordinator;
let browser: Browser;
let url: string;

beforeAll(async () => {
  execFileSync("npm", ["run", "build:package"], { cwd: `${root}web`, stdio: "pipe" });
  site = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://site");
    const file = `${folder}${pathname}`;
    if (pathname.includes("..") || !existsSync(file)) return void response.writeHead(404).end();
    response.setHeader("Content-Type", types[file.split(".").at(-1)!] ?? "text/plain");
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => site.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  const model = await pack("storyteller-7m", storytellerSmall);
  coordinator = await Coordinator.start(model, "--allow-origin", url);
  browser = await sharedBrowser();
});

afterAll(async () => {
  await coordinator.stop();
  site.close();
});

it("is under 60 KB before an executor, our core included", () => {
  const assets = readdirSync(`${folder}/dist/assets`);
  const asset = (pattern: RegExp): string =>
    `${folder}/dist/assets/${assets.find((name) => pattern.test(name))!}`;
  const files = [
    `${folder}/dist/index.js`,
    asset(/^node\.worker.*js$/),
    asset(/^shoal_core.*wasm$/),
  ];
  const sizes = files.map((file) => brotliCompressSync(readFileSync(file)).length);
  console.log(`index, worker and core, with brotli: ${sizes.join(" + ")} bytes`);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(60_000);
});

it("asks the visitor, and lends only after a yes", async () => {
  const page = await browser.newPage();
  await page.goto(`${url}/examples/lend.html?coordinator=${coordinator.url}`);
  const button = page.getByRole("button", { name: "Help to run the model" });
  await button.click();
  await page.getByText("could reconstruct their text").waitFor();
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "No, thanks" }).click();
  expect((await coordinator.status()).volunteers).toEqual([]);
  await button.click();
  await page.getByRole("button", { name: "Lend this tab" }).click();
  await page.locator("#state").getByText("lending, blocks 0 to 9").waitFor();
  await coordinator.untilReady();
  await page.close();
  await coordinator.untilStatus("nobody", ({ volunteers }) => volunteers.length === 0);
});

it("chats on a page of another site", async () => {
  const lender = await Tab.lend(coordinator.url);
  await coordinator.untilReady();
  const page = await browser.newPage();
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(error.message));
  await page.goto(`${url}/examples/chat.html?coordinator=${coordinator.url}`);
  await page.getByLabel("Message").fill("Tell me a story about a fox.");
  await page.keyboard.press("Enter");
  const facts = page.getByTestId("message-facts");
  await facts.or(page.getByTestId("chat-error")).waitFor({ timeout: answerMs });
  expect(await page.getByTestId("chat-error").allInnerTexts()).toEqual([]);
  expect((await page.getByTestId("message-text").last().innerText()).length).toBeGreaterThan(20);
  await page.screenshot({ path: `${root}build/screens/package-chat.png` });
  expect(await violations(page)).toEqual([]);
  expect(errors).toEqual([]);
  await page.close();
  await lender.close();
});
