// llama.cpp in a tab (wllama), as an oracle for GGUF files.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";

import { sharedBrowser } from "./browsers.ts";

export interface Step {
  id: number; // What it answered.
  logprobs: Map<number, number>; // Of every id.
}

export interface Completion {
  promptTokens: number;
  steps: Step[];
}

// As the page's llama.cpp answers.
interface Answer {
  usage: { prompt_tokens: number };
  choices: {
    logprobs: { content: { id: number; top_logprobs: { id: number; logprob: number }[] }[] };
  }[];
}

// Imports what is evaluated in it later.
const page = `<!doctype html><title>wllama</title><script type="module">
  import { Wllama } from "/index.js";
  globalThis.Wllama = Wllama;
</script>`;

// What of it is used.
interface Wllama {
  loadModel(files: Blob[], how: Record<string, number>): Promise<void>;
  createCompletion(request: Record<string, unknown>): Promise<unknown>;
}
interface Page {
  Wllama?: new (paths: { default: string }, how: { suppressNativeLog: boolean }) => Wllama;
}

// `count` tokens, greedily, of 256 that the model has.
export async function completeWithWllama(
  gguf: Buffer,
  prompt: string,
  count: number,
): Promise<Completion> {
  const require = createRequire(import.meta.url);
  const folder = dirname(require.resolve("@wllama/wllama"));
  const served: Record<string, [string, () => Buffer | string]> = {
    "/": ["text/html", () => page],
    "/index.js": ["text/javascript", () => readFileSync(`${folder}/index.js`)],
    "/wllama.wasm": ["application/wasm", () => readFileSync(`${folder}/wasm/wllama.wasm`)],
    "/model.gguf": ["application/octet-stream", () => gguf],
  };
  const server = createServer((request, response) => {
    const found = served[request.url ?? ""];
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    if (found) response.setHeader("Content-Type", found[0]);
    else response.statusCode = 404;
    response.end(found?.[1]());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const tab = await (await sharedBrowser()).newPage();
  try {
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await tab.waitForFunction(() => "Wllama" in globalThis);
    const answer = (await tab.evaluate(
      async ({ prompt, count }) => {
        const { Wllama } = globalThis as Page;
        const wllama = new Wllama!({ default: "/wllama.wasm" }, { suppressNativeLog: true });
        const model = await (await fetch("/model.gguf")).blob();
        await wllama.loadModel([model], { n_ctx: 256, n_threads: 1, n_gpu_layers: 0 });
        return await wllama.createCompletion({
          ...{ prompt, max_tokens: count, temperature: 0 },
          ...{ logprobs: 256, cache_prompt: false },
        });
      },
      { prompt, count },
    )) as Answer;
    const steps = answer.choices[0]!.logprobs.content.map(({ id, top_logprobs: top }) => ({
      id,
      logprobs: new Map(top.map((one) => [one.id, one.logprob])),
    }));
    return { promptTokens: answer.usage.prompt_tokens, steps };
  } finally {
    await tab.close();
    server.close();
  }
}
