// A coordinator on another address than loopback, as people reach it over a network: HTTPS with a
// certificate of its own, a private swarm, keys, and pages of other origins.

import { X509Certificate } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import OpenAI from "openai";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { WebSocket } from "ws";

import { completeIds } from "./harness/ask.ts";
import { Coordinator, type How } from "./harness/coordinator.ts";
import { Namespace } from "./harness/namespace.ts";
import { scratch, storytellerSmall } from "./harness/paths.ts";
import { smallPrompts as prompts } from "./harness/reference.ts";
import { pack } from "./harness/shoal.ts";
import { closeAll, Tab, usualExecutor } from "./harness/tabs.ts";
import { trustingFetch, trustingFlag } from "./harness/trusting.ts";

const whyNot = Namespace.whyNot();
if (whyNot !== undefined) console.warn(`service_test is skipped: ${whyNot}`);

const secret = "a secret for the test";
const key = "sk-for-the-test";
const prompt = prompts[0]!;
const lendPath = `/lend?executor=${usualExecutor}`;

describe.skipIf(whyNot !== undefined)("on another machine's address", () => {
  let namespace: Namespace;
  let folder: string;
  let coordinator: Coordinator;
  let certificate: string;
  const data = `${scratch}/service-data`;
  const tabs: Tab[] = [];

  beforeAll(async () => {
    rmSync(data, { recursive: true, force: true });
    folder = await pack("storyteller-7m", storytellerSmall);
    namespace = Namespace.open();
  });
  afterAll(() => namespace.close());

  afterEach(async () => {
    await closeAll(tabs);
    expect(await coordinator.stop()).toBe(0);
  });

  async function serve(args: string[], how: How = {}): Promise<void> {
    const all = ["--host", namespace.address, ...args];
    coordinator = await Coordinator.startAs(folder, all, { ...how, wrapper: namespace.wrapper });
  }

  async function serveSecurely(...args: string[]): Promise<void> {
    // Fetched when there is one: it is made by the first start.
    const how = {
      fetch: ((input, init) => trustingFetch(certificate)(input, init)) as typeof fetch,
      apiKey: key,
    };
    await serve(["--tls", "self", "--data", data, "--api-key", key, ...args], how);
    certificate = readFileSync(`${data}/tls/certificate.pem`, "utf8");
  }

  async function open(path: string): Promise<Tab> {
    const tab = await Tab.open(coordinator.url, path, [trustingFlag(certificate)]);
    tabs.push(tab);
    return tab;
  }

  // As a person does; nobody's tab is lent by following a link.
  async function lend(path: string): Promise<Tab> {
    const tab = await open(path);
    const consent = tab.page.getByTestId("lend-consent");
    if ((await consent.count()) > 0) await consent.check();
    await tab.page.getByTestId("lend-start").click();
    return tab;
  }

  it("serves a token from a tab that joined over https://", async () => {
    await serveSecurely("--join-secret", secret);
    expect(coordinator.url).toBe(`https://${namespace.address}:${new URL(coordinator.url).port}`);
    const { fingerprint256 } = new X509Certificate(certificate);
    expect(coordinator.said.join("\n")).toContain(fingerprint256);

    const tab = await lend(`${lendPath}#secret=${encodeURIComponent(secret)}`);
    expect(await tab.page.evaluate(() => isSecureContext)).toBe(true);
    expect(await tab.page.evaluate(() => crossOriginIsolated)).toBe(true);
    await coordinator.untilReady();
    const ids = await completeIds(coordinator.client, prompt.prompt_ids, { maxTokens: 8 });
    expect(ids).toEqual(prompt.greedy_ids.slice(0, 8));

    // The chat page asks with the key that its address brought along.
    const chat = await open(`/#key=${key}`);
    await chat.page.getByTestId("chat-input").fill(prompt.prompt);
    await chat.page.keyboard.press("Enter");
    const answer = chat.page.getByTestId("message-assistant").getByTestId("message-text");
    await expect.poll(() => answer.textContent(), { timeout: 30_000 }).not.toBe("");
    expect([...tab.errors, ...chat.errors]).toEqual([]);
  });

  it("keeps its certificate", async () => {
    const before = certificate;
    await serveSecurely();
    expect(certificate).toBe(before);
  });

  it("lets nobody join without the secret", async () => {
    await serveSecurely("--join-secret", secret);
    for (const path of [lendPath, `${lendPath}#secret=another`]) {
      const tab = await lend(path);
      const problem = tab.page.getByTestId("lend-problem");
      await problem.getByText(/private/).first().waitFor();
      expect((await coordinator.status()).volunteers).toEqual([]);
    }
  });

  it("lets nobody ask without a key", async () => {
    await serveSecurely();
    const stranger = coordinator.clientWith("sk-wrong");
    await expect(stranger.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
    const messages = [{ role: "user" as const, content: "hello" }];
    const chatting = stranger.chat.completions.create({ model: "storyteller-7m", messages });
    await expect(chatting).rejects.toMatchObject({ status: 401, code: "invalid_api_key" });
    const keyless = await trustingFetch(certificate)(`${coordinator.url}/v1/models`);
    expect(keyless.status).toBe(401);
    expect(keyless.headers.get("www-authenticate")).toMatch(/^Bearer/);
    expect((await coordinator.client.models.list()).data).toHaveLength(1);
    const chat = await open("/");
    await chat.page.getByTestId("chat-input").fill("hello");
    await chat.page.keyboard.press("Enter");
    await chat.page.getByTestId("chat-error").getByText(/key/).waitFor();
  });

  describe("a page of another origin", () => {
    let stranger: Server;
    let origin: string;

    beforeAll(async () => {
      stranger = createServer((_request, response) => {
        response.setHeader("Content-Type", "text/html").end("<title>Stranger</title>");
      });
      await new Promise<void>((resolve) => stranger.listen(0, "127.0.0.1", resolve));
      origin = `http://127.0.0.1:${(stranger.address() as AddressInfo).port}`;
    });
    afterAll(() => stranger.close());

    // What a script of the stranger's page gets: the status, or why not.
    async function tries(path: string, init: RequestInit): Promise<number | string> {
      const tab = await Tab.open(origin, "/", [trustingFlag(certificate)]);
      tabs.push(tab);
      return await tab.page.evaluate(
        async ([url, options]) => {
          try {
            return (await fetch(url, options)).status;
          } catch (thrown) {
            return String(thrown);
          }
        },
        [coordinator.url + path, init] as const,
      );
    }

    function joins(): Promise<number> {
      const socket = new WebSocket(`${coordinator.url.replace("http", "ws")}/volunteer`, {
        ca: certificate,
        origin,
      });
      return new Promise((resolve, reject) => {
        socket.on("open", () => (socket.close(), resolve(101)));
        socket.on("unexpected-response", (_request, answer) => resolve(answer.statusCode!));
        socket.on("error", reject);
      });
    }

    const asks = {
      method: "POST",
      headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
      body: "{}",
    };

    it("neither asks nor joins", async () => {
      await serveSecurely();
      expect(await tries("/v1/models", { headers: asks.headers })).toMatch(/Failed to fetch/);
      expect(await tries("/v1/completions", asks)).toMatch(/Failed to fetch/);
      // Without a preflight, too.
      const simple = { method: "POST", body: "{}" };
      expect(await tries("/v1/completions", simple)).toMatch(/Failed to fetch/);
      expect(await joins()).toBe(403);
    });

    it("does both once it is allowed to", async () => {
      await serveSecurely("--allow-origin", origin);
      expect(await tries("/v1/models", { headers: asks.headers })).toBe(200);
      expect(await tries("/v1/completions", asks)).toBe(400);
      expect(await tries("/v1/models", {})).toBe(401);
      expect(await joins()).toBe(101);
    });
  });

  it("says on an insecure page why it cannot lend, and what to do", async () => {
    await serve([]);
    const tab = await Tab.open(coordinator.url, "/lend");
    tabs.push(tab);
    expect(await tab.page.evaluate(() => isSecureContext)).toBe(false);
    const problem = tab.page.getByTestId("lend-problem");
    await problem.getByText(/HTTPS/).first().waitFor();
    expect(await problem.textContent()).toMatch(/open it by its https:\/\/ address/i);
    expect(coordinator.log).toContain("--tls self");
  });
});
