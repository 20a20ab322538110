// The built pages, with a coordinator in the test's hands: what /status.json says and how answers
// come is a matter of two fields. Or another folder's files.

import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

import { dist } from "./paths.ts";

// A piece of an answer, and how long to wait before it.
export interface Piece {
  text: string;
  afterMs?: number;
}

export type Answering =
  | { kind: "pieces"; pieces: Piece[]; finish?: string; breakOff?: boolean }
  | { kind: "refusal"; status: number; message: string };

export interface ChatBody {
  messages: { role: string; content: string }[];
  [field: string]: unknown;
}

const types: Record<string, string> = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".woff2": "font/woff2",
};

export class PageServer {
  // undefined: no coordinator answers.
  status: unknown;
  history: unknown;
  answering: (body: ChatBody) => Answering = () => ({ kind: "pieces", pieces: [] });
  readonly asked: ChatBody[] = [];
  readonly #server: Server;
  readonly #folder: string;

  private constructor(server: Server, folder: string) {
    this.#server = server;
    this.#folder = folder;
  }

  static async start(folder = dist): Promise<PageServer> {
    const server = createServer();
    const pages = new PageServer(server, folder);
    server.on("request", (request, response) => void pages.#answer(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return pages;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    if (path === "/status.json") return sendJson(response, this.status);
    if (path === "/status/history.json") return sendJson(response, this.history);
    if (path === "/v1/chat/completions") return await this.#chat(request, response);
    this.#file(path, response);
  }

  async #chat(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const part of request) text += String(part);
    const body = JSON.parse(text) as ChatBody;
    this.asked.push(body);
    const answer = this.answering(body);
    if (answer.kind === "refusal") {
      response.statusCode = answer.status;
      return sendJson(response, { error: { message: answer.message } });
    }
    response.setHeader("Content-Type", "text/event-stream");
    const send = (data: unknown): void => void response.write(`data: ${JSON.stringify(data)}\n\n`);
    for (const { text: content, afterMs = 0 } of answer.pieces) {
      if (afterMs > 0) await new Promise((resolve) => setTimeout(resolve, afterMs));
      if (response.destroyed) return;
      send({ choices: [{ delta: { content } }] });
    }
    // Once the last piece is on its way.
    if (answer.breakOff === true) return void setTimeout(() => response.destroy(), 50);
    send({ choices: [{ delta: {}, finish_reason: answer.finish ?? "stop" }] });
    send({ choices: [], usage: { completion_tokens: answer.pieces.length } });
    response.end("data: [DONE]\n\n");
  }

  #file(path: string, response: ServerResponse): void {
    const inside = normalize(path).replace(/^(\.\.\/)+/, "");
    const found = [inside, `${inside}.html`, `${inside}/index.html`]
      .map((name) => join(this.#folder, name))
      .find((name) => existsSync(name) && statSync(name).isFile());
    if (found === undefined) {
      response.statusCode = 404;
      return void response.end();
    }
    response.setHeader("Content-Type", types[extname(found)] ?? "application/octet-stream");
    createReadStream(found).pipe(response);
  }
}

function sendJson(response: ServerResponse, json: unknown): void {
  if (json === undefined) return void response.destroy();
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(json));
}

// "words of a text", piece by piece.
export function inPieces(text: string, afterMs = 0): Piece[] {
  return (text.match(/\S+\s*|\s+/g) ?? []).map((piece) => ({ text: piece, afterMs }));
}
