// `shoal status` and `shoal chat` as people and scripts meet them: beside a real swarm, and in a
// terminal (script(1) makes one) beside a server that answers for ever.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Coordinator } from "./harness/coordinator.ts";
import { binary, scratch, storyteller } from "./harness/paths.ts";
import { prompts } from "./harness/reference.ts";
import { pack } from "./harness/shoal.ts";
import { until } from "./harness/wait.ts";

const key = "sk-for-the-test";
const brief = prompts.find(({ greedy_text }) => greedy_text.endsWith("<|end|>"))!;
const waitMs = 30_000;

interface Ran {
  code: number | null;
  out: string;
  err: string;
}

async function shoal(args: string[], input = "", env: Record<string, string> = {}): Promise<Ran> {
  const child = spawn(binary, args, { env: { ...process.env, ...env } });
  let [out, err] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { code, out, err };
}

describe("beside a swarm", () => {
  let coordinator: Coordinator;

  beforeAll(async () => {
    const folder = await pack("storyteller", storyteller);
    const lend = ["--lend", "1G", "--data", `${scratch}/cli-data`];
    coordinator = await Coordinator.startAs(folder, [...lend, "--api-key", key], { apiKey: key });
    await coordinator.untilReady();
  });
  afterAll(async () => {
    expect(await coordinator.stop()).toBe(0);
  });

  it("says what the swarm does", async () => {
    const { code, out } = await shoal(["status", coordinator.url]);
    expect(code).toBe(0);
    const status = await coordinator.status();
    expect(out).toContain(`storyteller at ${coordinator.url}: ready\n`);
    expect(out).toContain(`  route      0-${status.blocks - 1} on #1\n`);
    expect(out).toMatch(/\n#1 +ready +0-\d+ +[\d.]+ \w+ +shoal /);
    const json = await shoal(["status", coordinator.url, "--json"]);
    expect(JSON.parse(json.out)).toMatchObject({ ready: true, blocks: status.blocks });
  });

  it("says what is wrong", async () => {
    const nobody = await shoal(["status", "http://127.0.0.1:1"]);
    expect(nobody.code).toBe(1);
    expect(nobody.err).toMatch(/^shoal: http:\/\/127\.0\.0\.1:1: /);
    expect((await shoal(["status", "nonsense"])).code).toBe(2);
    const refused = await shoal(["chat", coordinator.url, "-m", "hello"]);
    expect(refused).toMatchObject({ code: 1, out: "" });
    expect(refused.err).toMatch(/key.*\(401\)/i);
  });

  it("asks once", async () => {
    const how = ["--temperature", "0", "--api-key", key];
    const { code, out } = await shoal(["chat", coordinator.url, "-m", brief.prompt, ...how]);
    expect({ code, out }).toEqual({ code: 0, out: brief.greedy_text.replace("<|end|>", "\n") });
  });

  it("takes every line of a pipe as a message of one conversation", async () => {
    const input = `/set temperature 0\n${brief.prompt}\n/set max_tokens 5\nAnd \\\nthen?\n`;
    const env = { SHOAL_API_KEY: key, SHOAL_URL: coordinator.url };
    const { code, out, err } = await shoal(["chat"], input, env);
    const first = brief.greedy_text.replace("<|end|>", "");
    const answer = await coordinator.client.chat.completions.create({
      model: "storyteller",
      temperature: 0,
      max_tokens: 5,
      messages: [
        { role: "user", content: brief.prompt },
        { role: "assistant", content: first },
        { role: "user", content: "And \nthen?" },
      ],
    });
    const second = answer.choices[0]!.message.content!;
    expect({ code, out }).toEqual({ code: 0, out: `${first}\n${second}\n` });
    expect(err).toBe("temperature is 0\nmax_tokens is 5\n");
  });
});

const hasTerminal = spawnSync("script", ["--version"]).status === 0;

describe.skipIf(!hasTerminal)("in a terminal", () => {
  interface Asked {
    messages: { role: string; content: string }[];
  }
  const home = mkdtempSync(join(tmpdir(), "shoal-chat-"));
  const asked: Asked[] = [];
  let left = 0;
  let server: Server;
  let chat: ChildProcess;
  let screen = "";

  beforeAll(async () => {
    server = createServer((request, response) => {
      let body = "";
      request.on("data", (text: Buffer) => (body += text.toString()));
      request.on("end", () => {
        asked.push(JSON.parse(body) as Asked);
        response.writeHead(200, { "content-type": "text/event-stream" });
        let n = 0;
        const timer = setInterval(() => {
          const delta = { content: n++ === 0 ? "\u001b]0;title\u0007one " : "more " };
          const chunk = { choices: [{ index: 0, delta, finish_reason: null }] };
          response.write(`data: ${JSON.stringify(chunk)}\n\n`);
        }, 20);
        response.on("close", () => {
          clearInterval(timer);
          ++left;
        });
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { PATH } = process.env;
    const env = { PATH, HOME: home, TERM: "xterm", LANG: "C.UTF-8", SHOAL_CONFIG: "/dev/null" };
    chat = spawn("script", ["-qfec", `exec ${binary} chat ${url}`, "/dev/null"], { env });
    chat.stdout!.setEncoding("utf8").on("data", (text: string) => (screen += text));
  });
  afterAll(async () => {
    chat.kill();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(home, { recursive: true, force: true });
  });

  const type = (text: string): void => void chat.stdin!.write(text);
  // Waits until the screen shows it, and forgets what was there before its end.
  async function see(what: string): Promise<string> {
    await until(`"${what}" on the screen: ${JSON.stringify(screen)}`, waitMs, () =>
      screen.includes(what) ? true : undefined,
    );
    const end = screen.indexOf(what) + what.length;
    const seen = screen.slice(0, end);
    screen = screen.slice(end);
    return seen;
  }

  it("stops the answer, and not the program, with Ctrl-C", async () => {
    await see("> ");
    type("Tell me\r");
    const shown = await see("one more more");
    expect(shown).not.toContain("\u001b]0;"); // An answer does not reach the terminal's title.
    type("\u0003");
    await see("stopped");
    await until("the server to notice", waitMs, () => (left === 1 ? true : undefined));
    expect(asked[0]!.messages).toEqual([{ role: "user", content: "Tell me" }]);
  });

  it("goes on with what was said, and remembers lines", async () => {
    await see("> ");
    type("thrown away\u0003");
    await see("^C");
    type("\u001b[A\r"); // The line above.
    await see("more more");
    type("\u0003");
    await see("stopped");
    const { messages } = asked[1]!;
    expect(messages).toHaveLength(3);
    expect(messages[1]!.content).toMatch(/one (more )+$/);
    expect(messages[2]).toEqual({ role: "user", content: "Tell me" });
    const history = `${home}/.local/share/shoal/chat_history`;
    expect(readFileSync(history, "utf8")).toContain("me");
    expect(statSync(history).mode & 0o777).toBe(0o600);
  });

  it("ends when it is told to", async () => {
    const code = new Promise((resolve) => chat.once("exit", resolve));
    await see("> ");
    type("/quit\r");
    expect(await code).toBe(0);
  });
});
