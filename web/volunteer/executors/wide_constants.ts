// What a graph computes of its weights alone is computed by ONNX Runtime when it loads it, and kept
// in its heap besides. Of a graph that computes in float32 these are the float16 scales, and
// matrices stored so: here they become float32 initialisers, to be streamed like the others.

import { inEntry, inGraph, inModel, inTensor, readNode, rewrite, types } from "./onnx_file.ts";
import { concat, field, fieldsOf, numberField, text, type Field } from "./protobuf.ts";

// Under what name the float32 form of a file of weights is looked for (WideBlob).
export function wideLocation(location: string): string {
  return `${location}.f32`;
}

// `model`, with each external float16 initialiser that nothing but one Cast to float32 reads
// replaced by that Cast's output: a float32 initialiser in the wide form of the same file.
// "invalid_argument" for what is not a model.
export function widenConstants(model: Uint8Array): Uint8Array<ArrayBuffer> {
  return rewrite(model, inModel.graph, (graph) => widenGraph([...fieldsOf(graph)]));
}

function widenGraph(parts: Field[]): Uint8Array<ArrayBuffer> {
  const readers = new Map<string, number>();
  const casts = new Map<string, { node: Field; output: string }>();
  for (const part of parts) {
    if (part.number !== inGraph.node) continue;
    const node = readNode(part.bytes);
    for (const name of node.inputs) readers.set(name, (readers.get(name) ?? 0) + 1);
    const [input, output] = [node.inputs[0], node.outputs[0]];
    if (node.op !== "Cast" || node.to !== types.float32) continue;
    if (input !== undefined && output !== undefined) casts.set(input, { node: part, output });
  }
  const gone = new Set<Field>();
  const kept = parts.map((part) => {
    if (part.number !== inGraph.initializer) return part;
    const { name, isExternalF16 } = readTensor(part.bytes);
    const cast = casts.get(name);
    if (!isExternalF16 || cast === undefined || readers.get(name) !== 1) return part;
    gone.add(cast.node);
    return { ...part, whole: field(inGraph.initializer, widenTensor(part.bytes, cast.output)) };
  });
  return concat(kept.filter((part) => !gone.has(part)).map(({ whole }) => whole));
}

function readTensor(tensor: Uint8Array) {
  const found = { name: "", isExternalF16: false };
  let [type, isExternal] = [0, false];
  for (const part of fieldsOf(tensor)) {
    if (part.number === inTensor.name) found.name = text(part.bytes);
    if (part.number === inTensor.type) type = part.value;
    if (part.number === inTensor.external) isExternal = true;
  }
  found.isExternalF16 = isExternal && type === types.float16;
  return found;
}

function widenTensor(tensor: Uint8Array, name: string): Uint8Array<ArrayBuffer> {
  const parts = [...fieldsOf(tensor)].map((part) => {
    switch (part.number) {
      case inTensor.type:
        return numberField(inTensor.type, types.float32);
      case inTensor.name:
        return field(inTensor.name, utf8.encode(name));
      case inTensor.external:
        return field(inTensor.external, widenEntry(part.bytes));
      default:
        return part.whole;
    }
  });
  return concat(parts);
}

// Of `location`, `offset` and `length`.
function widenEntry(entry: Uint8Array): Uint8Array<ArrayBuffer> {
  const parts = [...fieldsOf(entry)];
  const string = (number: number): string =>
    text(parts.find((part) => part.number === number)?.bytes ?? new Uint8Array(0));
  const [key, value] = [string(inEntry.key), string(inEntry.value)];
  const wide = key === "location" ? wideLocation(value) : `${2 * Number(value)}`;
  return concat([field(inEntry.key, utf8.encode(key)), field(inEntry.value, utf8.encode(wide))]);
}

const utf8 = new TextEncoder();
