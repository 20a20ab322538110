// As much of ONNX's onnx.proto as it takes to change a graph: fields by their numbers.

import { ShoalError } from "../../core/index.ts";
import { concat, field, fieldsOf, text } from "./protobuf.ts";

export const inModel = { graph: 7 };
export const inGraph = { node: 1, initializer: 5, input: 11, output: 12, valueInfo: 13 };
export const inValue = { name: 1 };
export const inTensor = { type: 2, name: 8, external: 13 };
export const inEntry = { key: 1, value: 2 };
export const types = { float32: 1, float16: 10 };
const inNode = { input: 1, output: 2, op: 4, attribute: 5 };
const inAttribute = { name: 1, integer: 3 };

// `to`: of a Cast.
export function readNode(node: Uint8Array) {
  const found = { inputs: [] as string[], outputs: [] as string[], op: "", to: 0 };
  for (const part of fieldsOf(node)) {
    if (part.number === inNode.input) found.inputs.push(text(part.bytes));
    if (part.number === inNode.output) found.outputs.push(text(part.bytes));
    if (part.number === inNode.op) found.op = text(part.bytes);
    if (part.number !== inNode.attribute) continue;
    const attribute = [...fieldsOf(part.bytes)];
    const name = attribute.find(({ number }) => number === inAttribute.name);
    const value = attribute.find(({ number }) => number === inAttribute.integer);
    if (name && value && text(name.bytes) === "to") found.to = value.value;
  }
  return found;
}

// Of a value or a tensor, whose name is field `number`.
export function nameOf(message: Uint8Array, number: number): string {
  for (const part of fieldsOf(message)) if (part.number === number) return text(part.bytes);
  return "";
}

// `message` with its fields of this number replaced.
export function rewrite(
  message: Uint8Array,
  number: number,
  change: (bytes: Uint8Array) => Uint8Array,
): Uint8Array<ArrayBuffer> {
  const parts = [...fieldsOf(message)];
  if (!parts.some((part) => part.number === number)) {
    throw new ShoalError("invalid_argument", "a graph that is none");
  }
  return concat(
    parts.map((part) => (part.number === number ? field(number, change(part.bytes)) : part.whole)),
  );
}
