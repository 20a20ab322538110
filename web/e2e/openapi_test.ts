// /openapi.json against the server: requests that it allows, requests with something else in one
// place, and answers of every kind. The document decides what is right: a request that fulfils it
// is answered, one that does not is refused, and every answer is one of those that it describes.

import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Coordinator } from "./harness/coordinator.ts";
import { FromSchema, places, replaced, type Schema } from "./harness/from_schema.ts";
import { scratch, storyteller } from "./harness/paths.ts";
import { pack } from "./harness/shoal.ts";

interface Operation {
  operationId: string;
  requestBody?: { content: { "application/json": { schema: Schema } } };
  responses: Record<string, { content: Record<string, { schema: Schema }> }>;
}
interface Document {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

// The same requests every time; in tier 2 others, and more of them.
const runs: { numRuns: number; seed?: number } =
  process.env["SHOAL_TESTS"] === "full" ? { numRuns: 150 } : { numRuns: 40, seed: 7 };
const vocab = 4096;

let coordinator: Coordinator;
let document: Document;
let validators: Ajv2020;

beforeAll(async () => {
  const folder = await pack("storyteller", storyteller, "q8");
  const limits = ["--requests-per-minute", "0", "--max-answers-per-client", "64"];
  const lend = ["--lend", "1G", "--data", `${scratch}/openapi-data`];
  coordinator = await Coordinator.start(folder, ...lend, ...limits);
  await coordinator.untilReady();
  document = (await (await fetch(`${coordinator.url}/openapi.json`)).json()) as Document;
  validators = new Ajv2020({ strict: false, validateFormats: false });
  validators.addSchema(document, "openapi");
});

afterAll(async () => {
  expect(await coordinator.stop()).toBe(0);
});

// The validator of what lies at `path` of the document.
function validator(...path: string[]): ValidateFunction {
  const escaped = path.map((step) => step.replaceAll("~", "~0").replaceAll("/", "~1"));
  const pointer = escaped.map(encodeURIComponent).join("/");
  return validators.getSchema(`openapi#/${pointer}`)!;
}

// Sends, and holds the answer against the document. Gives the status.
async function check(path: string, url: string, method: string, body?: string): Promise<number> {
  const json = { "content-type": "application/json" };
  const how: RequestInit = body === undefined ? { method } : { method, body, headers: json };
  const response = await fetch(coordinator.url + url, how);
  const { status } = response;
  const text = await response.text();
  const what = `${method} ${url} ${body ?? ""}\n-> ${status} ${text.slice(0, 2000)}`;
  const type = (response.headers.get("content-type") ?? "").split(";")[0]!;
  const described = document.paths[path]![method.toLowerCase()]!.responses[String(status)];
  if (described === undefined) throw new Error(`no such status in the document: ${what}`);
  if (described.content[type] === undefined) throw new Error(`no such type (${type}): ${what}`);
  const place = ["paths", path, method.toLowerCase(), "responses", String(status), "content"];
  const isRight = validator(...place, type, "schema");
  if (type === "application/json") {
    if (isRight(JSON.parse(text)) === true) return status;
    throw new Error(`${validators.errorsText(isRight.errors)}: ${what}`);
  } else if (type === "text/event-stream") {
    checkEvents(text, isRight, what);
  }
  return status;
}

function checkEvents(text: string, isRight: ValidateFunction, what: string): void {
  const isError = validator("components", "schemas", "Error");
  const events = text.split("\n").filter((line) => line.startsWith("data: "));
  if (events.length === 0) throw new Error(`a stream without events: ${what}`);
  for (const event of events.map((line) => line.slice("data: ".length))) {
    if (event === "[DONE]" || isRight(JSON.parse(event)) || isError(JSON.parse(event))) continue;
    throw new Error(`${validators.errorsText(isRight.errors)}: ${event}: ${what}`);
  }
}

// Where the document allows more than a test can wait for, or leaves it to the model.
const token = fc.integer({ min: 0, max: vocab - 1 });
const few = fc.integer({ min: 1, max: 4 });
const biases = fc.dictionary(token.map(String), fc.double({ min: -100, max: 100, noNaN: true }), {
  maxKeys: 3,
});
const form = fc.constantFrom<unknown>(null, { type: "text" });
const instead: Record<string, fc.Arbitrary<unknown>> = {
  // Schemas and tools have tests of their own; this model's template knows no tools.
  "ChatRequest.response_format": form,
  "ChatRequest.tools": fc.constant(null),
  "ChatRequest.tool_choice": fc.constantFrom("auto", "none", null),
  "ChatRequest.chat_template_kwargs": fc.constant(null),
  "Message.tool_calls": fc.constant(null),
  "Message.role": fc.constantFrom("system", "user", "assistant"),
  "InputItem.arguments": fc.constantFrom("{}", '{"a": 1}'),
  "ResponsesRequest.tools": fc.constant(null),
  "ResponsesRequest.tool_choice": fc.constantFrom("auto", "none", null),
  "ResponsesRequest.text": fc.constantFrom<unknown>(null, { format: { type: "text" } }),
  "ResponsesRequest.max_output_tokens": few,
  "CompletionRequest.prompt": fc.oneof(
    fc.string({ minLength: 1 }),
    fc.array(token, { minLength: 1, maxLength: 4 }),
    fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 3 }),
    fc.array(fc.array(token, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 3 }),
  ),
};
for (const shape of ["ChatRequest", "CompletionRequest", "ResponsesRequest"]) {
  instead[`${shape}.model`] = fc.constantFrom("storyteller", null);
  instead[`${shape}.max_tokens`] = few;
  instead[`${shape}.max_completion_tokens`] = few;
  instead[`${shape}.n`] = fc.integer({ min: 1, max: 2 });
  instead[`${shape}.logit_bias`] = fc.oneof(fc.constant(null), biases);
}

interface Loose {
  [name: string]: unknown;
}

// What the document says in words: which fields go together.
function together(request: Loose): Loose {
  const out: Loose = { ...request };
  if (out["stream"] !== true) delete out["stream_options"];
  if (out["logprobs"] !== true && typeof out["top_logprobs"] === "number") {
    delete out["top_logprobs"];
  }
  if (out["echo"] === true) delete out["logprobs"];
  // Reasoning is passed over, and alone it is nothing to answer.
  const items = out["input"];
  if (Array.isArray(items) && items.every((item: Loose) => item["type"] === "reasoning")) {
    out["instructions"] = "x";
  }
  if ("best_of" in out) out["best_of"] = out["n"] ?? 1;
  return out;
}

// Every call costs a short answer.
function bounded(path: string, request: Loose): Loose {
  return path === "/v1/responses"
    ? { max_output_tokens: 2, ...request }
    : { max_tokens: 2, ...request };
}

const posts = ["/v1/chat/completions", "/v1/completions", "/v1/responses"];
const operation = (path: string): Operation => document.paths[path]!["post"]!;
const requests = (path: string): fc.Arbitrary<Loose> => {
  const made = new FromSchema(document.components.schemas, instead);
  const { schema } = operation(path).requestBody!.content["application/json"];
  return made.value(schema, path).map((each) => bounded(path, together(each as Loose)));
};

it("is an OpenAPI document of its own kind", () => {
  expect(document.openapi).toMatch(/^3\.1\./);
  const ids = Object.values(document.paths).flatMap((each) =>
    Object.values(each).map(({ operationId }) => operationId),
  );
  expect(new Set(ids).size).toBe(ids.length);
  // Every schema can be compiled, so every reference leads somewhere.
  for (const name of Object.keys(document.components.schemas)) {
    expect(validator("components", "schemas", name)).toBeTypeOf("function");
  }
});

it("describes what a GET gives", async () => {
  for (const [path, operations] of Object.entries(document.paths)) {
    if (operations["get"] === undefined) continue;
    expect(await check(path, path.replace("{id}", "storyteller"), "GET")).toBe(200);
  }
  expect(await check("/v1/models/{id}", "/v1/models/another", "GET")).toBe(404);
});

describe.each(posts)("POST %s", (path) => {
  it("answers what the document allows", async () => {
    await fc.assert(
      fc.asyncProperty(requests(path), async (request) => {
        expect(await check(path, path, "POST", JSON.stringify(request))).toBe(200);
      }),
      runs,
    );
  });

  it("refuses what it does not allow, wherever that is", async () => {
    const isAllowed = validator(
      ...["paths", path, "post", "requestBody", "content", "application/json", "schema"],
    );
    const changed = fc
      .tuple(requests(path), fc.nat(), fc.jsonValue({ maxDepth: 2 }))
      .map(([request, at, by]) => {
        const all = places(request).slice(1);
        return replaced(request, all[at % all.length]!, by) as Loose;
      });
    await fc.assert(
      fc.asyncProperty(changed, async (request) => {
        const allowed = isAllowed(request) === true;
        const status = await check(path, path, "POST", JSON.stringify(bounded(path, request)));
        // Allowed in itself it may not go together with the rest, or name another model.
        expect(allowed ? [200, 400, 404] : [400, 404]).toContain(status);
      }),
      { ...runs, numRuns: 2 * runs.numRuns },
    );
  });

  it("refuses what is no JSON object", async () => {
    const bodies = fc.oneof(
      fc.string({ unit: "binary" }),
      fc
        .jsonValue()
        .filter((value) => typeof value !== "object" || value === null)
        .map((value) => JSON.stringify(value)),
      fc.array(fc.jsonValue()).map((value) => JSON.stringify(value)),
      fc.integer({ min: 40, max: 5000 }).map((depth) => "[".repeat(depth)),
    );
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        expect(await check(path, path, "POST", body)).toBe(400);
      }),
      runs,
    );
  });
});
