#!/usr/bin/env python3
"""Writes small SentencePiece models, each as a tokenizer.model and as a GGUF file, and
sentencepiece.json: what SentencePiece itself makes of texts with them.

Needs Debian's python3-sentencepiece. Training is not the same in every version: models that are
there are kept; delete one to train it again. Commit what it writes. Texts come from
../*/vectors.json.
"""
import io
import json
import pathlib
import random
import struct

import sentencepiece

HERE = pathlib.Path(__file__).parent
KINDS = {
    # As Llama 2's and Mistral's.
    "bpe": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
                remove_extra_whitespaces=False, split_digits=True),
    # As Gemma's: no space before a text, some pieces whole.
    "bpe_plain": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
                      remove_extra_whitespaces=False, add_dummy_prefix=False,
                      user_defined_symbols=["<start_of_turn>", "\n\n"]),
    # The same with runs of spaces, as Gemma has them.
    "bpe_runs": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity",
                     remove_extra_whitespaces=False, add_dummy_prefix=False,
                     user_defined_symbols=["\u2581\u2581", "\u2581\u2581\u2581"]),
    # Spaces at both ends go, other whitespace stays.
    "bpe_trimmed": dict(model_type="bpe", byte_fallback=True, normalization_rule_name="identity"),
    # As T5's.
    "unigram": dict(model_type="unigram", normalization_rule_name="nmt_nfkc"),
    "unigram_bytes": dict(model_type="unigram", byte_fallback=True,
                          normalization_rule_name="identity", remove_extra_whitespaces=False),
}


def text_value(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf(kind, model, name):
    """A file without tensors: convert_hf_to_gguf.py's _set_vocab_sentencepiece."""
    pieces = [model.id_to_piece(i) for i in range(model.vocab_size())]
    types = []
    for i in range(model.vocab_size()):
        types.append(2 if model.is_unknown(i) else 3 if model.is_control(i) else
                     6 if model.is_byte(i) else
                     4 if pieces[i] in kind.get("user_defined_symbols", []) else 1)
    scores = [model.get_score(i) for i in range(model.vocab_size())]
    count = struct.pack("<Q", len(pieces))
    values = {
        "tokenizer.ggml.model": struct.pack("<I", 8) + text_value(
            "llama" if kind["model_type"] == "bpe" else "t5"),
        "tokenizer.ggml.tokens": struct.pack("<II", 9, 8) + count + b"".join(
            text_value(piece) for piece in pieces),
        "tokenizer.ggml.scores": struct.pack("<II", 9, 6) + count + struct.pack(
            f"<{len(scores)}f", *scores),
        "tokenizer.ggml.token_type": struct.pack("<II", 9, 5) + count + struct.pack(
            f"<{len(types)}i", *types),
        "tokenizer.ggml.bos_token_id": struct.pack("<II", 4, 1),
        "tokenizer.ggml.eos_token_id": struct.pack("<II", 4, 2),
        "tokenizer.ggml.add_space_prefix": struct.pack("<I?", 7, kind.get("add_dummy_prefix",
                                                                          True)),
        "tokenizer.chat_template": struct.pack("<I", 8) + text_value("{{ bos_token }}"),
    }
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, len(values))
    (HERE / f"{name}.gguf").write_bytes(
        head + b"".join(text_value(key) + value for key, value in values.items()))


def texts():
    found = []
    for path in sorted(HERE.glob("../*/vectors.json")):
        found += [row["text"] for row in json.loads(path.read_text())]
    return list(dict.fromkeys(found))


def random_texts(corpus, count):
    source = random.Random(9)
    alphabet = ("abcdefgehiou THE '.,-\n\t  0123456789éß漢字ﬁ①½Ⅷ\u00a0\u3000😀"
                "eaｌŒ\u0301\u0308\u200d🇩")  # That compose, or belong to one grapheme.
    made = []
    for _ in range(count):
        if source.random() < 0.4:
            words = source.choice(corpus).split(" ")
            source.shuffle(words)
            made.append(" ".join(words)[:200])
        else:
            made.append("".join(
                source.choice(alphabet) if source.random() < 0.9 else
                chr(source.choice([source.randrange(0x20, 0xD800),
                                   source.randrange(0xE000, 0x20000)]))
                for _ in range(source.randrange(1, 40))))
    return made


def main():
    corpus = texts()
    lines = [line for text in corpus for line in text.split("\n") if line.strip()]
    rows = []
    for name, options in KINDS.items():
        path = HERE / f"{name}.model"
        if not path.exists():
            out = io.BytesIO()
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(lines), model_writer=out, vocab_size=700,
                character_coverage=0.995, hard_vocab_limit=False, minloglevel=2, **options)
            path.write_bytes(out.getvalue())
        model = sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes())
        if name not in ("unigram", "bpe_trimmed"):
            gguf(options, model, name)
        special = ["<unk>", "<s>", "</s>"]
        for text in corpus[::3] + random_texts(corpus, 150):
            if any(token in text for token in special) or "\u2581" in text:
                continue
            if name.startswith("unigram") and len(text) > 1 and len(set(text)) == 1:
                continue  # Many ways are equally good; rounding chooses.
            ids = model.encode(text)
            rows.append({"model": name, "text": text, "ids": " ".join(map(str, ids)),
                         "decoded": model.decode(ids)})
    (HERE / "sentencepiece.json").write_text(
        "[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")
    print(len(rows), "rows")


if __name__ == "__main__":
    main()
