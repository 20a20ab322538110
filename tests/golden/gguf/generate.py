#!/usr/bin/env python3
"""Writes GGUF files as llama.cpp's convert_hf_to_gguf.py makes them, from the checkpoints in
../hf, and blocks of every type with the float32 values that ggml's formulas give.

Written after gguf.md, gguf-py/gguf/quants.py and convert_hf_to_gguf.py, in numpy. Needs Debian's
python3-numpy. Run it after a change, and commit what it writes.

    <kind>.gguf               a checkpoint of ../hf in BF16
    llama3_q4_0.gguf          its matrices in Q4_0, and in
    llama3_q4_0.safetensors   what they mean, under Hugging Face's names
    blocks.gguf, blocks.safetensors   one tensor of random blocks of each type
"""
import json
import pathlib
import struct
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, BF16, MXFP4 = (
    0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 30, 39)


# --- Files -------------------------------------------------------------------------------------
def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def metadata(value):
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    items = [metadata(item) for item in value]
    return struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(items)) + b"".join(
        item[4:] for item in items)


def save_gguf(path, values, tensors):
    """tensors: name -> (type, shape, bytes)."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for key, value in values.items():
        head += text(key) + metadata(value)
    data = b""
    for name, (kind, shape, raw) in tensors.items():
        head += text(name) + struct.pack("<I", len(shape))
        head += struct.pack(f"<{len(shape)}Q", *reversed(shape)) + struct.pack("<IQ", kind, len(data))
        data += raw + b"\0" * (-len(raw) % 32)
    path.write_bytes(head + b"\0" * (-len(head) % 32) + data)


def save_floats(path, tensors):
    header, data = {}, b""
    for name, array in tensors.items():
        raw = array.astype(np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    raw_header = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw_header)) + raw_header + data)


def load_bf16(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        assert entry["dtype"] == "BF16", name
        bits = np.frombuffer(raw[begin:end], np.uint16).astype(np.uint32) << 16
        tensors[name] = bits.view(np.float32).reshape(entry["shape"])
    return tensors


# --- Blocks ------------------------------------------------------------------------------------
def f16(blocks, at):
    return blocks[:, at:at + 2].copy().view(np.float16).astype(np.float32)


def nibbles(packed):
    return np.concatenate([packed & 15, packed >> 4], axis=1).astype(np.int32)


def fifth_bits(blocks, at):
    words = blocks[:, at:at + 4].copy().view(np.uint32)
    return ((words >> np.arange(32, dtype=np.uint32)) & 1).astype(np.int32) << 4


def scales_and_mins(packed):
    packed = packed.reshape(-1, 3, 4)
    d, m, m_d = packed[:, 0], packed[:, 1], packed[:, 2]
    scale = np.concatenate([d & 0x3F, (m_d & 0x0F) | ((d >> 2) & 0x30)], axis=1)
    low = np.concatenate([m & 0x3F, (m_d >> 4) | ((m >> 2) & 0x30)], axis=1)
    return scale.astype(np.float32), low.astype(np.float32)


def q4_k(blocks, high=None):
    d, dmin = f16(blocks, 0), f16(blocks, 2)
    scale, low = scales_and_mins(blocks[:, 4:16])
    codes = blocks[:, -128:].reshape(-1, 4, 1, 32) >> np.array([0, 4], np.uint8).reshape(1, 1, 2, 1)
    codes = (codes & 15).reshape(-1, 8, 32)
    if high is not None:
        bits = high.reshape(-1, 1, 32) >> np.arange(8, dtype=np.uint8).reshape(1, 8, 1)
        codes = codes | ((bits & 1) << 4)
    values = (d * scale)[:, :, None] * codes.astype(np.float32) - (dmin * low)[:, :, None]
    return values.reshape(-1, 256)


def q6_k(blocks):
    low, high = blocks[:, :128], blocks[:, 128:192]
    scales = blocks[:, 192:208].copy().view(np.int8).astype(np.float32)
    d = f16(blocks, 208)
    low = low.reshape(-1, 2, 1, 64) >> np.array([0, 4], np.uint8).reshape(1, 1, 2, 1)
    low = (low & 15).reshape(-1, 8, 32)
    high = high.reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)
    high = (high & 3).reshape(-1, 8, 32)
    codes = (low | (high << 4)).astype(np.int8) - np.int8(32)
    codes = codes.reshape(-1, 16, 16).astype(np.float32)
    return ((d * scales)[:, :, None] * codes).reshape(-1, 256)


def mxfp4(blocks):
    values = np.array([0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12], np.float32)
    scale = np.ldexp(np.float32(1), blocks[:, :1].astype(np.int32) - 128)
    return values[nibbles(blocks[:, 1:])] * scale


DECODE = {
    Q4_0: (18, lambda b: f16(b, 0) * (nibbles(b[:, 2:]) - 8)),
    Q4_1: (20, lambda b: f16(b, 0) * nibbles(b[:, 4:]) + f16(b, 2)),
    Q5_0: (22, lambda b: f16(b, 0) * ((nibbles(b[:, 6:]) | fifth_bits(b, 2)) - 16)),
    Q5_1: (24, lambda b: f16(b, 0) * (nibbles(b[:, 8:]) | fifth_bits(b, 4)) + f16(b, 2)),
    Q8_0: (34, lambda b: f16(b, 0) * b[:, 2:].copy().view(np.int8)),
    Q4_K: (144, q4_k),
    Q5_K: (176, lambda b: q4_k(b, b[:, 16:48])),
    Q6_K: (210, q6_k),
    MXFP4: (17, mxfp4),
}
HALVES = {Q4_1: [0, 2], Q5_1: [0, 2], Q4_K: [0, 2], Q5_K: [0, 2], Q6_K: [208], MXFP4: []}


def random_blocks(kind, count, random):
    size, decode = DECODE[kind]
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for at in HALVES.get(kind, [0]):  # Scales that are numbers, of either sign.
        scale = random.uniform(-1, 1, count).astype(np.float16)
        blocks[:, at:at + 2] = scale.view(np.uint8).reshape(count, 2)
    if kind == MXFP4:
        blocks[:, 0] = random.integers(100, 150, count)
    return blocks, decode(blocks).astype(np.float32)


def quantise_q4_0(weight):
    blocks = weight.reshape(-1, 32)
    largest = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=1, keepdims=True), axis=1)
    d = largest / -8
    inverse = np.divide(1, d, out=np.zeros_like(d), where=d != 0)
    codes = np.trunc(blocks * inverse + 8.5).astype(np.uint8).clip(0, 15)
    packed = codes[:, :16] | (codes[:, 16:] << 4)
    return np.concatenate([d.astype(np.float16).view(np.uint8), packed], axis=1)


# --- Checkpoints -------------------------------------------------------------------------------
MODEL = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
LAYER = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "self_attn.qkv_proj": "attn_qkv", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "mlp.gate_up_proj": "ffn_up", "mlp.gate": "ffn_gate_inp",
    "block_sparse_moe.gate": "ffn_gate_inp",
}
AROUND = {"post_attention_layernorm": "post_attention_norm",
          "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
EXPERTS = {"gate_proj": "ffn_gate_exps", "up_proj": "ffn_up_exps", "down_proj": "ffn_down_exps",
           "w1": "ffn_gate_exps", "w3": "ffn_up_exps", "w2": "ffn_down_exps"}
ARCH = {"llama": "llama", "mixtral": "llama", "qwen2": "qwen2", "qwen3": "qwen3",
        "qwen3_moe": "qwen3moe", "gemma2": "gemma2", "gemma3_text": "gemma3", "phi3": "phi3",
        "olmo2": "olmo2", "smollm3": "smollm3"}


def permute(weight, heads):
    """convert_hf_to_gguf.py: LlamaModel.permute."""
    return (weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:])
            .swapaxes(1, 2).reshape(weight.shape))


def gguf_name(name, around):
    stem, ending = name.rsplit(".", 1)
    if not stem.startswith("model.layers."):
        return f"{MODEL[stem]}.{ending}"
    number, rest = stem[len("model.layers."):].split(".", 1)
    names = {**LAYER, **AROUND} if around else LAYER
    return f"blk.{number}.{names[rest]}.{ending}"


def rope_freqs(rope, head_dim):
    """LlamaModel.generate_extra_tensors."""
    freqs = 1.0 / (rope["rope_theta"] ** (np.arange(0, head_dim, 2, dtype=np.float32) / head_dim))
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    old = rope["original_max_position_embeddings"]
    factors = []
    for freq in freqs:
        length = 2 * np.pi / freq
        if length < old / high:
            factors.append(1)
        elif length > old / low:
            factors.append(rope["factor"])
        else:
            smooth = (old / length - low) / (high - low)
            factors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(factors, np.float32)


def describe(config, arch):
    rope = config["rope_parameters"]
    rope = rope.get("full_attention", rope)
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    values = {
        "general.architecture": arch,
        f"{arch}.block_count": config["num_hidden_layers"],
        f"{arch}.context_length": config["max_position_embeddings"],
        f"{arch}.embedding_length": config["hidden_size"],
        f"{arch}.feed_forward_length": config["intermediate_size"],
        f"{arch}.attention.head_count": heads,
        f"{arch}.attention.head_count_kv": config["num_key_value_heads"],
        f"{arch}.attention.key_length": head_dim,
        f"{arch}.attention.value_length": head_dim,
        f"{arch}.attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        f"{arch}.rope.freq_base": float(rope["rope_theta"]),
        f"{arch}.rope.dimension_count": head_dim,
        "general.alignment": 32,
    }
    for key, name in {"attn_logit_softcapping": "attn_logit_softcapping",
                      "final_logit_softcapping": "final_logit_softcapping",
                      "sliding_window": "attention.sliding_window",
                      "num_local_experts": "expert_count",
                      "num_experts_per_tok": "expert_used_count",
                      "moe_intermediate_size": "expert_feed_forward_length"}.items():
        if config.get(key) is not None:
            values[f"{arch}.{name}"] = config[key]
    for key in ("bos", "eos"):
        if config.get(f"{key}_token_id") is not None:
            values[f"tokenizer.ggml.{key}_token_id"] = config[f"{key}_token_id"]
    return values, rope, heads, head_dim


def bf16(array):
    return (array.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def convert(kind, out, quantise=None):
    folder = HERE.parent / "hf" / kind
    config = json.loads((folder / "config.json").read_text())
    arch = ARCH[config["model_type"]]
    values, rope, heads, head_dim = describe(config, arch)
    tensors, expected, stacks = {}, {}, {}
    for name, weight in load_bf16(folder / "model.safetensors").items():
        if name == "lm_head.weight" and config["tie_word_embeddings"]:
            continue
        expected[name] = weight
        if ".experts." in name:
            before, rest = name.split(".experts.")
            number, part = rest.removesuffix(".weight").split(".")
            stack = f"blk.{before.split('.')[2]}.{EXPERTS[part]}.weight"
            stacks.setdefault(stack, {})[int(number)] = weight
            continue
        if arch in ("llama", "smollm3") and (".q_proj." in name or ".k_proj." in name):
            turning = heads if ".q_proj." in name else config["num_key_value_heads"]
            weight = permute(weight, turning)
        if arch.startswith("gemma") and name.endswith("norm.weight"):
            weight = weight + np.float32(1)
        target = gguf_name(name, arch.startswith("gemma") or arch == "olmo2")
        if weight.ndim == 1 or name.endswith("norm.weight"):
            tensors[target] = (F32, weight.shape, weight.tobytes())
        elif quantise is not None and "embed" not in name and "lm_head" not in name:
            blocks = quantise(weight)
            tensors[target] = (Q4_0, weight.shape, blocks.tobytes())
            values_of = DECODE[Q4_0][1](blocks).astype(np.float32).reshape(weight.shape)
            if ".q_proj." in name or ".k_proj." in name:  # permute undone
                values_of = (values_of.reshape(turning, head_dim // 2, 2, -1).swapaxes(1, 2)
                             .reshape(weight.shape))
            expected[name] = values_of
        else:
            tensors[target] = (BF16, weight.shape, bf16(weight))
    for name, experts in stacks.items():
        stack = np.stack([experts[i] for i in range(len(experts))])
        tensors[name] = (BF16, stack.shape, bf16(stack))
    if rope["rope_type"] == "llama3":
        factors = rope_freqs(rope, head_dim)
        tensors["rope_freqs.weight"] = (F32, factors.shape, factors.tobytes())
    save_gguf(out.with_suffix(".gguf"), values, tensors)
    if quantise is not None:
        save_floats(out.with_suffix(".safetensors"), expected)


def main():
    random = np.random.default_rng(5)
    tensors, expected = {}, {}
    for kind in DECODE:
        size = 256 if DECODE[kind][0] > 100 else 32
        blocks, values = random_blocks(kind, 12, random)
        shape = (4, 3 * size)
        tensors[f"type{kind}"] = (kind, shape, blocks.tobytes())
        expected[f"type{kind}"] = values.reshape(shape)
    half = random.uniform(-1, 1, (3, 5)).astype(np.float16)
    tensors["type1"] = (F16, half.shape, half.tobytes())
    expected["type1"] = half.astype(np.float32)
    save_gguf(HERE / "blocks.gguf", {"general.architecture": "none"}, tensors)
    save_floats(HERE / "blocks.safetensors", expected)
    for kind in sys.argv[1:] or ["llama3", "qwen2", "gemma3", "phi3", "qwen3_moe"]:
        convert(kind, HERE / kind)
    convert("llama3", HERE / "llama3_q4_0", quantise_q4_0)


if __name__ == "__main__":
    main()
