// The chat page in each of its states: pictures, and no serious finding of axe-core.

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, it } from "vitest";

import { lookAt } from "./harness/looks.ts";
import { inPieces, PageServer } from "./harness/page_server.ts";
import { readyStatus, swarmStatus } from "./harness/statuses.ts";
import { sharedBrowser } from "./harness/browsers.ts";

const rich = `Here is how a **stage** runs, with $y = W x$ for every layer:

$$\\operatorname{softmax}\\left(\\frac{QK^\\top}{\\sqrt{d}}\\right)V$$

1. Decode the frame.
2. Run the graph, see \`runStep\`.

\`\`\`python
def step(hidden, layers):
    # One token through every layer.
    for layer in layers:
        hidden = layer(hidden) + 0.5
    return hidden
\`\`\`

| device | layers | tokens/s |
|---|---:|---:|
| phone | 2 | 4.1 |
| desktop | 10 | 21.7 |

> Leaving is fine: others take over.`;

let server: PageServer;
let browser: Browser;

beforeAll(async () => {
  server = await PageServer.start();
  browser = await sharedBrowser();
});

afterAll(async () => {
  await server.stop();
});

async function ask(page: Page, text: string): Promise<void> {
  await page.getByTestId("chat-input").fill(text);
  await page.keyboard.press("Enter");
}

async function answered(page: Page, count = 1): Promise<void> {
  await page
    .getByTestId("message-facts")
    .nth(count - 1)
    .waitFor();
}

it("empty", async () => {
  server.status = readyStatus;
  await lookAt(browser, {
    name: "chat-empty",
    url: server.url,
    prepare: (page) => page.getByTestId("strip-text").getByText("3\u00a0volunteers").waitFor(),
  });
});

it("not enough volunteers, and a refusal", async () => {
  server.status = swarmStatus({ holders: 1 });
  const message = "The model is not whole: blocks 5 to 13 are held by nobody.";
  server.answering = () => ({ kind: "refusal", status: 503, message });
  await lookAt(browser, {
    name: "chat-missing",
    url: server.url,
    prepare: async (page) => {
      await page.getByTestId("notice").waitFor();
      await ask(page, "Hello?");
      await page.getByTestId("chat-error").waitFor();
    },
  });
});

it("no coordinator", async () => {
  server.status = undefined;
  await lookAt(browser, {
    name: "chat-offline",
    url: server.url,
    prepare: (page) => page.getByTestId("notice").getByText("does not answer").waitFor(),
  });
});

it("streaming", async () => {
  server.status = readyStatus;
  server.answering = () => ({ kind: "pieces", pieces: inPieces(rich.repeat(3), 40) });
  await lookAt(browser, {
    name: "chat-streaming",
    url: server.url,
    prepare: async (page) => {
      await ask(page, "How does a stage run?");
      await page.locator("pre").waitFor();
    },
  });
});

it("an answer with code, formulas and a table; versions; a second chat", async () => {
  server.answering = () => ({ kind: "pieces", pieces: inPieces(rich, 15) });
  await lookAt(browser, {
    name: "chat-answer",
    url: server.url,
    prepare: async (page) => {
      await ask(page, "Good morning");
      await answered(page);
      if (page.viewportSize()!.width < 500) await page.getByTestId("open-sidebar").click();
      await page.getByTestId("chat-clear").click();
      await ask(page, "How does a stage run?");
      await answered(page);
      await page.getByTestId("message-regenerate").click();
      await page.getByTestId("message-versions").waitFor();
      await answered(page);
      await page.locator(".hljs-keyword").first().waitFor();
      await page.locator(".katex-html").first().waitFor();
    },
  });
});

it("right to left", async () => {
  const text =
    "\u05e9\u05dc\u05d5\u05dd! \u05d4\u05de\u05d5\u05d3\u05dc \u05e8\u05e5 " +
    "**\u05d1\u05d3\u05e4\u05d3\u05e4\u05e0\u05d9\u05dd** \u05e8\u05d1\u05d9\u05dd.\n\n" +
    "- \u05e9\u05db\u05d1\u05d4 1\n- \u05e9\u05db\u05d1\u05d4 2\n\n```js\nlet x = 1;\n```";
  server.answering = () => ({ kind: "pieces", pieces: inPieces(text) });
  await lookAt(browser, {
    name: "chat-rtl",
    url: server.url,
    prepare: async (page) => {
      await ask(page, "\u05de\u05d4 \u05e9\u05dc\u05d5\u05de\u05da?");
      await answered(page);
    },
  });
});

it("settings", async () => {
  server.status = readyStatus;
  await lookAt(browser, {
    name: "chat-settings",
    url: server.url,
    prepare: async (page) => {
      await page.getByTestId("strip-text").getByText("3\u00a0volunteers").waitFor();
      await page.getByTestId("open-settings").click();
      await page.getByTestId("setting-system").fill("Answer like a pirate.");
    },
  });
});

it("the list of chats, and files to send", async () => {
  server.answering = () => ({ kind: "pieces", pieces: inPieces("Aye.") });
  await lookAt(browser, {
    name: "chat-list",
    url: server.url,
    prepare: async (page) => {
      const isNarrow = page.viewportSize()!.width < 500;
      for (const question of ["What is a shoal?", "A long question ".repeat(8), "Third"]) {
        await ask(page, question);
        await answered(page);
        if (isNarrow) await page.getByTestId("open-sidebar").click();
        await page.getByTestId("chat-clear").click();
      }
      await page.getByTestId("file-input").setInputFiles({
        name: "notes.txt",
        mimeType: "text/plain",
        buffer: Buffer.from("some notes"),
      });
      await page.locator(".files li").waitFor();
      if (isNarrow) await page.getByTestId("open-sidebar").click();
      await page.locator(".menu summary").first().click();
    },
  });
});
