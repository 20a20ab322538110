#!/usr/bin/env python3
"""Writes small quantised checkpoints, and what they mean: <kind>.safetensors holds the stored
tensors and, under the prefix "expected.", the float32 weights that the published formulas give.

The formulas are those of the libraries that write such checkpoints, in numpy: AutoGPTQ's and
AutoAWQ's unpacking and dequantisation, compressed-tensors' unpack_from_int32. Needs Debian's
python3-numpy. Run it after a change, and commit what it writes.
"""
import json
import pathlib
import struct

import numpy as np

HERE = pathlib.Path(__file__).parent
NAMES = {"float32": "F32", "float16": "F16", "int32": "I32", "int64": "I64", "uint8": "U8"}


def save(name, tensors):
    header, data = {}, b""
    for key, array in tensors.items():
        raw = np.ascontiguousarray(array).tobytes()
        header[key] = {"dtype": NAMES[str(array.dtype)], "shape": list(array.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    (HERE / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)


def pack(values, bits, axis):
    """Codes to 32-bit words along an axis, the first in the low bits."""
    per_word = 32 // bits
    values = np.moveaxis(values.astype(np.uint32), axis, -1)
    values = values.reshape(*values.shape[:-1], -1, per_word)
    shifts = np.arange(per_word, dtype=np.uint32) * bits
    words = np.bitwise_or.reduce(values << shifts, axis=-1)
    return np.moveaxis(words, -1, axis).astype(np.uint32).view(np.int32)


def gptq(name, random, bits, inputs, outputs, group, symmetric, act_order, v2=False):
    groups = inputs // group
    codes = random.integers(0, 2**bits, (inputs, outputs))
    if symmetric:
        zeros = np.full((groups, outputs), 2 ** (bits - 1))
    else:  # Version 1 cannot say 0.
        zeros = random.integers(0 if v2 else 1, 2**bits, (groups, outputs))
    scales = random.uniform(0.001, 0.1, (groups, outputs)).astype(np.float16)
    g_idx = np.arange(inputs, dtype=np.int32) // group
    if act_order:
        g_idx = random.permutation(g_idx).astype(np.int32)
    # QuantLinear.forward: weight = scales[g_idx] * (unpacked - zeros[g_idx])
    weight = scales.astype(np.float32)[g_idx] * (codes - zeros[g_idx]).astype(np.float32)
    save(name, {
        "x.qweight": pack(codes, bits, 0),
        "x.qzeros": pack(zeros - (0 if v2 else 1), bits, 1),
        "x.scales": scales,
        "x.g_idx": g_idx,
        "expected.x.weight": weight.T.astype(np.float32),
    })


def awq(name, random, inputs, outputs, group, symmetric=False):
    groups = inputs // group
    codes = random.integers(0, 16, (inputs, outputs))
    zeros = random.integers(0, 16, (groups, outputs))
    if symmetric:
        zeros[:] = 8
    scales = random.uniform(0.001, 0.1, (groups, outputs)).astype(np.float16)
    # WQLinear_GEMM.from_linear packs eight neighbouring outputs into a word in this order.
    order = [0, 2, 4, 6, 1, 3, 5, 7]

    def pack_columns(values):
        words = np.zeros((values.shape[0], outputs // 8), np.uint32)
        for column in range(outputs // 8):
            for i in range(8):
                words[:, column] |= values[:, column * 8 + order[i]].astype(np.uint32) << (i * 4)
        return words.view(np.int32)

    group_of_input = np.arange(inputs) // group
    weight = (codes - zeros[group_of_input]) * scales.astype(np.float32)[group_of_input]
    save(name, {
        "x.qweight": pack_columns(codes),
        "x.qzeros": pack_columns(zeros),
        "x.scales": scales,
        "expected.x.weight": weight.T.astype(np.float32),
    })


def compressed(name, random, bits, inputs, outputs, group):
    codes = random.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (outputs, inputs))
    scales = random.uniform(0.001, 0.1, (outputs, inputs // group)).astype(np.float16)
    weight = codes * np.repeat(scales.astype(np.float32), group, axis=1)
    save(name, {
        "x.weight_packed": pack(codes + 2 ** (bits - 1), bits, 1),
        "x.weight_scale": scales,
        "x.weight_shape": np.array([outputs, inputs], np.int64),
        "expected.x.weight": weight.astype(np.float32),
    })


def main():
    random = np.random.default_rng(7)
    gptq("gptq4_symmetric", random, 4, 128, 24, 32, True, False)
    gptq("gptq4_zeros", random, 4, 128, 24, 64, False, False)
    gptq("gptq4_act_order", random, 4, 128, 24, 32, False, True)
    gptq("gptq4_v2", random, 4, 128, 16, 64, False, False, v2=True)
    gptq("gptq8_symmetric", random, 8, 64, 12, 32, True, False)
    gptq("gptq8_whole", random, 8, 64, 12, 64, False, False)
    awq("awq", random, 128, 32, 64)
    awq("awq_symmetric", random, 96, 16, 32, symmetric=True)
    compressed("packed4", random, 4, 64, 10, 32)
    compressed("packed8", random, 8, 64, 6, 32)


if __name__ == "__main__":
    main()
