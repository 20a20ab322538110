// As much of the ONNX file format as a bench needs: which external tensors a graph names, and a
// graph with some inputs computed from others.

function* fieldsOf(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const begin = at;
    const tag = varint();
    const [field, kind] = [Math.floor(tag / 8), tag % 8];
    if (kind === 0) {
      const value = varint();
      yield {field, value, whole: bytes.subarray(begin, at)};
    } else {
      const length = kind === 2 ? varint() : kind === 5 ? 4 : 8;
      const value = bytes.subarray(at, at + length);
      at += length;
      yield {field, value, whole: bytes.subarray(begin, at)};
    }
  }
}

const text = (bytes) => Buffer.from(bytes).toString();
const graphField = 7;  // Of ModelProto.
const inGraph = {node: 1, initializer: 5, input: 11};

function graphOf(model) {
  for (const {field, value} of fieldsOf(model)) if (field === graphField) return value;
  throw new Error('the model has no graph');
}

// [{name, type, location, offset, length}], `type` by its number in TensorProto.
export function externalTensors(model) {
  const tensors = [];
  for (const {field, value} of fieldsOf(graphOf(model))) {
    if (field !== inGraph.initializer) continue;
    const tensor = {name: '', type: 0, location: undefined, offset: 0, length: 0};
    for (const part of fieldsOf(value)) {
      if (part.field === 2) tensor.type = part.value;
      if (part.field === 8) tensor.name = text(part.value);
      if (part.field !== 13) continue;
      let [key, content] = ['', ''];
      for (const entry of fieldsOf(part.value)) {
        if (entry.field === 1) key = text(entry.value);
        if (entry.field === 2) content = text(entry.value);
      }
      tensor[key] = key === 'location' ? content : Number(content);
    }
    if (tensor.location !== undefined) tensors.push(tensor);
  }
  return tensors;
}

function varint(value) {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Buffer.from([...bytes, value]);
}
const message = (field, ...parts) => {
  const body = Buffer.concat(parts);
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
};
const string = (field, value) => message(field, Buffer.from(value));
const number = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);

function node(op, inputs, output, ints = {}) {
  const attributes = Object.entries(ints).map(([name, value]) =>
    message(5, string(1, name), number(3, value), number(20, 2)),
  );
  const named = [...inputs.map((name) => string(1, name)), string(2, output)];
  return message(inGraph.node, ...named, string(4, op), ...attributes);
}

// int64: as an input of these dims, of which strings are symbolic; or a constant.
const int64 = 7;
function input(name, dims) {
  const shape = dims.map((dim) => message(1, string(2, dim)));
  const tensor = message(1, number(1, int64), message(2, ...shape));
  return message(inGraph.input, string(1, name), message(2, tensor));
}
function constant(name, values) {
  const raw = Buffer.from(BigInt64Array.from(values.map(BigInt)).buffer);
  const dims = values.length === 1 ? [] : [number(1, values.length)];
  return message(inGraph.initializer, ...dims, number(2, int64), string(8, name), message(9, raw));
}

// The graph of a stage, fed as transformers.js feeds the hub's models: an int64 mask
// [batch, total], from which `seqlens_k` and `total_sequence_length` are computed in the graph, as
// onnxruntime-genai's model builder does it.
export function withAttentionMask(model) {
  const replaced = new Set(['seqlens_k', 'total_sequence_length']);
  const axis = Buffer.concat([
    number(1, 1),
    number(2, int64),
    string(8, 'mask.axis'),
    message(9, Buffer.from(BigInt64Array.of(1n).buffer)),
  ]);
  const head = [
    constant('mask.one', [1]),
    message(inGraph.initializer, axis),
    input('attention_mask', ['batch', 'total_sequence']),
    node('ReduceSum', ['attention_mask', 'mask.axis'], 'mask.sums', {keepdims: 0}),
    node('Sub', ['mask.sums', 'mask.one'], 'mask.last'),
    node('Cast', ['mask.last'], 'seqlens_k', {to: 6}),
    node('Shape', ['attention_mask'], 'mask.shape'),
    node('Gather', ['mask.shape', 'mask.one'], 'mask.total', {axis: 0}),
    node('Cast', ['mask.total'], 'total_sequence_length', {to: 6}),
  ];
  const kept = [];
  for (const {field, value, whole} of fieldsOf(graphOf(model))) {
    const name = [...fieldsOf(value.length === undefined ? [] : value)].find((p) => p.field === 1);
    if (field === inGraph.input && replaced.has(text(name.value))) continue;
    kept.push(whole);
  }
  const parts = [...fieldsOf(model)].map(({field, whole}) =>
    field === graphField ? message(graphField, ...head, ...kept) : whole,
  );
  return Buffer.concat(parts);
}
