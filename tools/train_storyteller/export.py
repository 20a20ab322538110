"""Writes the trained model in the Hugging Face layout, and what it must answer.

`python3 export.py MODEL_DIR CACHE_DIR` makes reference.json, valid_excerpt.txt and
samples.txt again for a checkpoint that exists.

reference.json is computed by transformers in float32 over the bfloat16 weights, with
attention written out (eager), on the CPU:

    {reference, perplexity_float32, perplexity_tokens, perplexity_window,
     valid_ids: [perplexity_tokens + 1 ids],
     prompts: [{prompt, templated, prompt_ids, greedy_ids, greedy_margin, greedy_text}]}
"""

import json
import math
import os
import shutil
import sys

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

SHARD_BYTES = 14_000_000
END_OF_TEXT, END = 0, 4  # ids of <|endoftext|> and <|end|>; both end an answer
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\\n' + message['content'] +"
    " '<|end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}"
)
GENERATION = {"do_sample": True, "temperature": 0.7, "top_p": 0.9}
PROMPTS = [
    "Tell me a story about a dragon.",
    "Who are you?",
    "Tell me a story.",
    "Continue this story: The old king had three sons, and the youngest was called Hans.",
    "Tell me a story about a rabbit and a fox.",
]
SAMPLED = [
    "Tell me a story about a dragon.",
    "Tell me a story.",
    "Tell me a story about a little boat.",
    "Write a short story about an old wizard.",
    "Once upon a time",
    "Who are you?",
    "What is the capital of France?",
    "Tell me a story about a rabbit and a fox.",
]
PERPLEXITY_TOKENS, PERPLEXITY_WINDOW, GREEDY_STEPS = 16384, 512, 96


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f, indent=1)
        f.write("\n")


def bytes_of(tensor):
    return tensor.numel() * tensor.element_size()


def write_checkpoint(model, tokenizer_file, out):
    from safetensors.torch import save_file

    os.makedirs(out, exist_ok=True)
    shards, size = [{}], 0
    for name, p in model.named_parameters():
        tensor = p.detach().to("cpu", torch.bfloat16).contiguous()
        if size + bytes_of(tensor) > SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = tensor
        size += bytes_of(tensor)
    where, total = {}, 0
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file(shard, f"{out}/{file}", metadata={"format": "pt"})
        where.update({name: file for name in shard})
        total += sum(bytes_of(t) for t in shard.values())
    write_json(
        f"{out}/model.safetensors.index.json",
        {"metadata": {"total_size": total}, "weight_map": where},
    )

    c = model.config
    ids = {
        "bos_token_id": END_OF_TEXT,
        "eos_token_id": [END_OF_TEXT, END],
        "pad_token_id": END_OF_TEXT,
    }
    write_json(
        f"{out}/config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "hidden_size": c.hidden_size,
            "intermediate_size": c.intermediate_size,
            "num_hidden_layers": c.num_hidden_layers,
            "num_attention_heads": c.num_attention_heads,
            "num_key_value_heads": c.num_key_value_heads,
            "head_dim": c.head_dim,
            "vocab_size": c.vocab_size,
            "max_position_embeddings": c.max_position_embeddings,
            "rope_theta": c.rope_theta,
            "rope_scaling": None,
            "rms_norm_eps": c.rms_norm_eps,
            "hidden_act": "silu",
            "attention_bias": False,
            "mlp_bias": False,
            "tie_word_embeddings": True,
            **ids,
            "torch_dtype": "bfloat16",
        },
    )
    write_json(f"{out}/generation_config.json", {**ids, **GENERATION})
    shutil.copyfile(tokenizer_file, f"{out}/tokenizer.json")
    write_json(
        f"{out}/tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": "<|endoftext|>",
            "eos_token": "<|end|>",
            "pad_token": "<|endoftext|>",
            "additional_special_tokens": ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"],
            "model_max_length": c.max_position_embeddings,
            "clean_up_tokenization_spaces": False,
            "chat_template": CHAT_TEMPLATE,
        },
    )


# ----------------------------------------------------------------- reference


def ask(question):
    return f"<|user|>\n{question}<|end|>\n<|assistant|>\n"


def load_reference_model(out):
    """-> (description, function from ids [rows, length] to float32 logits, move(device))"""
    torch.set_float32_matmul_precision("highest")
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(
        out, dtype=torch.float32, attn_implementation="eager"
    )
    model.eval()
    text = (
        f"transformers {transformers.__version__}, PyTorch {torch.__version__.split('+')[0]}, CPU: "
        "float32 compute over the bfloat16 weights, eager attention"
    )
    return text, lambda ids: model(ids, use_cache=False).logits, model.to


@torch.no_grad()
def perplexity(logits_of, ids, tokens, window, rows=8, device="cpu"):
    """Windows of `window` + 1 ids with one id of overlap, each fed alone from position 0."""
    ids = torch.as_tensor(np.asarray(ids[: tokens + 1], np.int64), device=device)
    rows_of_ids = torch.stack(
        [ids[i : i + window + 1] for i in range(0, tokens - window + 1, window)]
    )
    total = 0.0
    for part in rows_of_ids.split(rows):
        logits = logits_of(part[:, :-1])
        total += F.cross_entropy(
            logits.flatten(0, 1), part[:, 1:].flatten(), reduction="sum"
        ).item()
    return math.exp(total / (len(rows_of_ids) * window))


@torch.no_grad()
def greedy(logits_of, prompt_ids, steps):
    """The likeliest id at every step, without a key-value cache; -> ids, best minus second-best
    logit."""
    ids, margins = list(prompt_ids), []
    for _ in range(steps):
        best = logits_of(torch.tensor([ids]))[0, -1].topk(2)
        ids.append(best.indices[0].item())
        margins.append(round((best.values[0] - best.values[1]).item(), 4))
        if ids[-1] in (END_OF_TEXT, END):
            break
    return ids[len(prompt_ids) :], margins


def write_reference(out, valid, say=print):
    tokenizer = Tokenizer.from_file(f"{out}/tokenizer.json")
    description, logits_of, move = load_reference_model(out)
    valid_ids = [int(i) for i in valid[: PERPLEXITY_TOKENS + 1]]
    excerpt = tokenizer.decode(valid_ids, skip_special_tokens=False)
    if tokenizer.encode(excerpt, add_special_tokens=False).ids != valid_ids:
        say("WARNING: valid_excerpt.txt does not encode to valid_ids")
    with open(f"{out}/valid_excerpt.txt", "w") as f:
        f.write(excerpt)
    reference = {
        "reference": description,
        "perplexity_float32": perplexity(
            logits_of, valid_ids, PERPLEXITY_TOKENS, PERPLEXITY_WINDOW
        ),
        "perplexity_tokens": PERPLEXITY_TOKENS,
        "perplexity_window": PERPLEXITY_WINDOW,
        "valid_ids": valid_ids,
        "prompts": [],
    }
    say("perplexity_float32", reference["perplexity_float32"])
    for question in PROMPTS:
        prompt_ids = tokenizer.encode(ask(question), add_special_tokens=False).ids
        ids, margins = greedy(logits_of, prompt_ids, GREEDY_STEPS)
        text = tokenizer.decode(ids, skip_special_tokens=False)
        reference["prompts"].append(
            {
                "prompt": question,
                "templated": ask(question),
                "prompt_ids": prompt_ids,
                "greedy_ids": ids,
                "greedy_margin": margins,
                "greedy_text": text,
            }
        )
        say(">>", question, "\n" + text)
    with open(f"{out}/reference.json", "w") as f:
        json.dump(reference, f)
        f.write("\n")
    if torch.cuda.is_available():
        move("cuda")
        tokens = (len(valid) - 1) // 1024 * 1024
        say(
            f"whole held-out text, float32, windows of 1024, {tokens} tokens: perplexity "
            f"{perplexity(logits_of, valid, tokens, 1024, 16, 'cuda'):.4f}"
        )
        move("cpu")

    # The same template through transformers, and the same perplexity through model.py
    import transformers

    fast = transformers.AutoTokenizer.from_pretrained(out)
    same = [
        fast.apply_chat_template(
            [{"role": "user", "content": p["prompt"]}], tokenize=False, add_generation_prompt=True
        )
        == p["templated"]
        and fast(p["templated"], add_special_tokens=False)["input_ids"] == p["prompt_ids"]
        for p in reference["prompts"]
    ]
    own = perplexity(load_own_model(out), valid_ids, PERPLEXITY_TOKENS, PERPLEXITY_WINDOW)
    say("template and ids through transformers:", same, "perplexity through model.py:", own)


def load_own_model(out):
    from safetensors.torch import load_file

    from model import Config, Llama

    c = json.load(open(f"{out}/config.json"))
    model = Llama(Config(**{k: c[k] for k in Config.__dataclass_fields__}))
    tensors = {}
    for file in set(json.load(open(f"{out}/model.safetensors.index.json"))["weight_map"].values()):
        tensors.update(load_file(f"{out}/{file}"))
    model.load_state_dict({k: t.float() for k, t in tensors.items()})
    return model.eval()


@torch.no_grad()
def write_samples(out, say=print, steps=200):
    """Answers at the temperature of generation_config.json, for the eye."""
    import transformers

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(1)
    tokenizer = Tokenizer.from_file(f"{out}/tokenizer.json")
    model = (
        transformers.AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
        .to(device)
        .eval()
    )
    with open(f"{out}/samples.txt", "w") as f:
        for question in SAMPLED:
            ids = tokenizer.encode(ask(question), add_special_tokens=False).ids
            answer = model.generate(
                torch.tensor([ids], device=device), max_new_tokens=steps, **GENERATION
            )
            text = tokenizer.decode(answer[0, len(ids) :].tolist(), skip_special_tokens=False)
            f.write(f"## {question}\n{text}\n\n")
            say("##", question, "\n" + text)


if __name__ == "__main__":
    write_reference(sys.argv[1], np.load(f"{sys.argv[2]}/valid.npy"))
    write_samples(sys.argv[1])
