// A piece of a graph as a model of its own, without its weights.

import type { Tensor } from "onnxruntime-common";

import type { StageFiles } from "../executor.ts";
import {
  inGraph,
  inModel,
  inTensor,
  inValue,
  nameOf,
  readNode,
  rewrite,
  types,
} from "./onnx_file.ts";
import { concat, field, fieldsOf, numberField, type Field } from "./protobuf.ts";

// External data that a piece takes as an input.
export interface Constant {
  name: string;
  type: Tensor.Type;
  dims: number[];
  bytes: number;
}

export interface Piece {
  model: Uint8Array<ArrayBuffer>;
  constants: Constant[];
  // What `from` and `to` are called as inputs and outputs.
  given: string[];
  taken: string[];
}

// Of `model` what computes the values `to` from the values `from`; what it needs besides are
// inputs, external data among them. undefined where nothing computes one of `to`, or where external
// data are of a type that no input of ours has. Values inside of the graph, which are of the type
// of its KV caches, are given and taken as float32.
export function cutGraph(
  model: Uint8Array,
  from: readonly string[],
  to: readonly string[],
): Piece | undefined {
  let piece: Omit<Piece, "model"> | undefined;
  const whole = rewrite(model, inModel.graph, (graph) => {
    const cut = cutParts([...fieldsOf(graph)], from, to);
    if (cut === undefined) return graph;
    const { parts, ...rest } = cut;
    piece = rest;
    return concat(parts);
  });
  return piece && { ...piece, model: whole };
}

// A model of one node, which needs nothing.
export function oneNode(): StageFiles {
  const node = concat([textField(1, "x"), textField(2, "y"), textField(4, "Abs")]);
  const graph = concat([
    field(inGraph.node, node),
    textField(2, "one"),
    field(inGraph.input, valueInfo("x", types.float32)),
    field(inGraph.output, valueInfo("y", types.float32)),
  ]);
  const opset = concat([textField(1, ""), numberField(2, 17)]);
  const model = concat([numberField(1, 8), field(inModel.graph, graph), field(8, opset)]);
  return { graph: new Blob([model]), weights: new Map() };
}

function cutParts(parts: Field[], from: readonly string[], to: readonly string[]) {
  const { nodes, values } = needed(parts, from, to);
  const made = new Set([...nodes].flatMap((node) => readNode(node.bytes).outputs));
  if (!to.every((name) => made.has(name))) return undefined;
  const constants: Constant[] = [];
  const kept: Field[] = [];
  // Inputs and outputs of the whole graph.
  const ends = new Set<string>();
  for (const part of parts) {
    if (part.number === inGraph.node && nodes.has(part)) kept.push(part);
    if (part.number === inGraph.initializer && values.has(nameOf(part.bytes, inTensor.name))) {
      const constant = externalOf(part.bytes);
      if (constant === undefined) return undefined;
      if (constant === "inside") kept.push(part);
      else constants.push(constant);
    }
    if (part.number !== inGraph.input && part.number !== inGraph.output) continue;
    const name = nameOf(part.bytes, inValue.name);
    if (part.number === inGraph.input ? !values.has(name) : !to.includes(name)) continue;
    ends.add(name);
    kept.push(part);
  }
  const inner = typeOfCaches(parts);
  const before: Uint8Array[] = [textField(2, "piece")];
  const after: Uint8Array[] = constants.map(({ name, type, dims }) =>
    field(inGraph.input, valueInfo(name, codes.get(type)!, dims)),
  );
  const given = from.map((name) => {
    if (ends.has(name)) return name;
    const outer = `${name}.given`;
    before.push(field(inGraph.node, castNode(outer, name, inner)));
    after.push(field(inGraph.input, valueInfo(outer, types.float32)));
    return outer;
  });
  const taken = to.map((name) => {
    if (ends.has(name)) return name;
    const outer = `${name}.taken`;
    after.push(field(inGraph.node, castNode(name, outer, types.float32)));
    after.push(field(inGraph.output, valueInfo(outer, types.float32)));
    return outer;
  });
  const all = [...before, ...kept.map(({ whole }) => whole), ...after];
  return { parts: all, constants, given, taken };
}

// The nodes between, and the names of all that they read.
function needed(parts: Field[], from: readonly string[], to: readonly string[]) {
  const makers = new Map<string, Field>();
  for (const part of parts) {
    if (part.number !== inGraph.node) continue;
    for (const output of readNode(part.bytes).outputs) makers.set(output, part);
  }
  const values = new Set<string>(from);
  const nodes = new Set<Field>();
  for (const open = [...to]; open.length > 0; ) {
    const name = open.pop()!;
    if (values.has(name)) continue;
    values.add(name);
    const maker = makers.get(name);
    if (maker === undefined || nodes.has(maker)) continue;
    nodes.add(maker);
    open.push(...readNode(maker.bytes).inputs);
  }
  return { nodes, values };
}

// Fields and values of onnx.proto that only this needs.
const inDims = 1;
const codes = new Map<Tensor.Type, number>([
  ["float32", types.float32],
  ["uint8", 2],
  ["int32", 6],
  ["float16", types.float16],
]);
const valueBytes: Partial<Record<Tensor.Type, number>> = { uint8: 1, float16: 2 };

// "inside": its values stand in the graph. undefined: of a type that is not one of `codes`.
function externalOf(tensor: Uint8Array): Constant | "inside" | undefined {
  const dims: number[] = [];
  let [code, isExternal] = [0, false];
  for (const { number, value } of fieldsOf(tensor)) {
    if (number === inDims) dims.push(value);
    if (number === inTensor.type) code = value;
    if (number === inTensor.external) isExternal = true;
  }
  if (!isExternal) return "inside";
  const [type] = [...codes].find(([, each]) => each === code) ?? [];
  if (type === undefined) return undefined;
  const bytes = dims.reduce((product, dim) => product * dim, valueBytes[type] ?? 4);
  return { name: nameOf(tensor, inTensor.name), type, dims, bytes };
}

// The type of elements of a graph's KV caches.
function typeOfCaches(parts: readonly Field[]): number {
  for (const { number, bytes } of parts) {
    if (number !== inGraph.input || !nameOf(bytes, inValue.name).startsWith("past.")) continue;
    // ValueInfoProto.type.tensor_type.elem_type.
    let within: Field | undefined;
    for (const step of [2, 1, 1]) {
      within = [...fieldsOf(within?.bytes ?? bytes)].find((each) => each.number === step);
    }
    if (within !== undefined) return within.value;
  }
  return types.float32;
}

function castNode(from: string, to: string, type: number): Uint8Array {
  // AttributeProto: its name, its type (an integer), and that.
  const attribute = concat([textField(1, "to"), numberField(3, type), numberField(20, 2)]);
  return concat([textField(1, from), textField(2, to), textField(4, "Cast"), field(5, attribute)]);
}

// A ValueInfoProto of a tensor; of any shape without `dims`.
function valueInfo(name: string, code: number, dims?: readonly number[]): Uint8Array {
  const shape = dims?.map((dim) => field(1, numberField(1, dim))) ?? [];
  const tensor = concat([numberField(1, code), ...(dims ? [field(2, concat(shape))] : [])]);
  return concat([textField(inValue.name, name), field(2, field(1, tensor))]);
}

function textField(number: number, value: string): Uint8Array {
  return field(number, new TextEncoder().encode(value));
}
