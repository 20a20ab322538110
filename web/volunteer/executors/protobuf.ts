// As much of Protocol Buffers' encoding as it takes to change a field of a message.

import { ShoalError } from "../../core/index.ts";

export interface Field {
  number: number;
  // Of a field with a length; empty for others.
  bytes: Uint8Array;
  // Of a field that is a number; 0 for others.
  value: number;
  // With its tag.
  whole: Uint8Array;
}

const wire = { varint: 0, fixed64: 1, length: 2, fixed32: 5 };

// In their order, as views. "invalid_argument" for what is not a message.
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  let at = 0;
  const take = (count: number): Uint8Array => {
    if (count > message.length - at) throw malformed();
    at += count;
    return message.subarray(at - count, at);
  };
  // Beyond 2^53 not exactly.
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 63; factor *= 128) {
      const byte = take(1)[0]!;
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
    throw malformed();
  };
  while (at < message.length) {
    const begin = at;
    const tag = varint();
    const number = Math.floor(tag / 8);
    let [value, bytes] = [0, message.subarray(0, 0)];
    const kind = tag % 8;
    if (kind === wire.varint) value = varint();
    else if (kind === wire.length) bytes = take(varint());
    else if (kind === wire.fixed64 || kind === wire.fixed32) take(kind === wire.fixed32 ? 4 : 8);
    else throw malformed();
    yield { number, value, bytes, whole: message.subarray(begin, at) };
  }
}

export function field(number: number, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = [...varintBytes(number * 8 + wire.length), ...varintBytes(bytes.length)];
  const whole = new Uint8Array(head.length + bytes.length);
  whole.set(head);
  whole.set(bytes, head.length);
  return whole;
}

export function numberField(number: number, value: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...varintBytes(number * 8 + wire.varint), ...varintBytes(value)]);
}

export function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

function varintBytes(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return [...bytes, value];
}

function malformed(): ShoalError {
  return new ShoalError("invalid_argument", "a graph that is not a protobuf message");
}
