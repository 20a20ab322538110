// Values for the tests' property checks, out of a JSON Schema: those that fulfil it.

import * as fc from "fast-check";

export type Schema = {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  const?: unknown;
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  propertyNames?: Schema;
  maxProperties?: number;
  items?: Schema;
  minItems?: number;
  maxItems?: number;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  minimum?: number;
  maximum?: number;
};

type Json = unknown;

// Long ones would only take longer to answer.
const itemsMost = 3;
const lengthMost = 12;

const jsonObject = fc.dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 2 }), {
  maxKeys: 3,
});

// Each `#/components/schemas/NAME` is looked up in `named`; a place such as "ChatRequest.n" that is
// in `instead` is filled by that arbitrary, where the schema allows more than a test can pay for.
export class FromSchema {
  readonly #named: Record<string, Schema>;
  readonly #instead: Record<string, fc.Arbitrary<Json>>;

  constructor(named: Record<string, Schema>, instead: Record<string, fc.Arbitrary<Json>>) {
    this.#named = named;
    this.#instead = instead;
  }

  value(schema: Schema, place: string): fc.Arbitrary<Json> {
    const instead = this.#instead[place];
    if (instead !== undefined) return instead;
    if (schema.$ref !== undefined) {
      const name = schema.$ref.split("/").at(-1)!;
      return this.value(this.#named[name]!, name);
    }
    if ("const" in schema) return fc.constant(schema.const);
    if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
    if (schema.anyOf !== undefined) {
      return fc.oneof(...schema.anyOf.map((each) => this.value(each, place)));
    }
    const types = schema.type === undefined ? [] : [schema.type].flat();
    if (types.length === 0) return fc.jsonValue({ maxDepth: 2 });
    return fc.oneof(...types.map((type) => this.#ofType(type, schema, place)));
  }

  #ofType(type: string, schema: Schema, place: string): fc.Arbitrary<Json> {
    switch (type) {
      case "null":
        return fc.constant(null);
      case "boolean":
        return fc.boolean();
      case "integer":
        return fc.maxSafeInteger().map((n) => between(n, schema));
      case "number":
        return fc.double({
          min: schema.minimum ?? -1e6,
          max: schema.maximum ?? 1e6,
          noNaN: true,
        });
      case "string":
        return this.#string(schema);
      case "array":
        return fc.array(this.value(schema.items ?? {}, `${place}[]`), {
          minLength: schema.minItems ?? 0,
          maxLength: Math.min(schema.maxItems ?? itemsMost, itemsMost),
        });
      case "object":
        return this.#object(schema, place);
      default:
        throw new Error(`${place}: no values of type ${type}`);
    }
  }

  #string(schema: Schema): fc.Arbitrary<string> {
    if (schema.pattern !== undefined) return fc.stringMatching(new RegExp(schema.pattern));
    return fc.string({
      unit: "grapheme",
      minLength: schema.minLength ?? 0,
      maxLength: Math.min(schema.maxLength ?? lengthMost, lengthMost),
    });
  }

  #object(schema: Schema, place: string): fc.Arbitrary<Json> {
    if (schema.properties === undefined) {
      if (typeof schema.additionalProperties !== "object") return jsonObject;
      const key = this.#string(schema.propertyNames ?? {});
      const value = this.value(schema.additionalProperties, `${place}.*`);
      return fc.dictionary(key, value, { maxKeys: Math.min(schema.maxProperties ?? 3, 3) });
    }
    const fields = Object.entries(schema.properties).map(
      ([name, each]) => [name, this.value(each, `${place}.${name}`)] as const,
    );
    return fc.record(Object.fromEntries(fields), { requiredKeys: schema.required ?? [] });
  }
}

function between(n: number, { minimum, maximum }: Schema): number {
  const least = Math.max(minimum ?? -1000, Number.MIN_SAFE_INTEGER);
  const most = Math.min(maximum ?? 1000, Number.MAX_SAFE_INTEGER);
  const span = most - least + 1;
  return least + (((n % span) + span) % span);
}

// A place of a JSON value, and the same value with something else there.
type Path = (string | number)[];

export function places(value: Json): Path[] {
  const out: Path[] = [[]];
  if (typeof value === "object" && value !== null) {
    for (const [key, below] of Object.entries(value)) {
      const step = Array.isArray(value) ? Number(key) : key;
      out.push(...places(below).map((path) => [step, ...path]));
    }
  }
  return out;
}

export function replaced(value: Json, path: Path, by: Json): Json {
  if (path.length === 0) return by;
  const [step, ...rest] = path;
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Json[];
  copy[step as number] = replaced(copy[step as number], rest, by);
  return copy;
}
