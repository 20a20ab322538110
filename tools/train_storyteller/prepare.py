"""Corpus -> tokenizer, token arrays and packed chat examples (CPU only).

    python3 prepare.py CORPUS_DIR CACHE_DIR

reads train.txt.xz and valid.txt.xz (documents separated by <|endoftext|>) and writes
tokenizer.json, {children,general,valid}.npy (uint16), chat_ids.npy and chat_learn.npy
(rows of ROW + 1 ids, and which of them are learned from). The empty files `text_done`
and `done` say that the text, and everything, is there.
"""

import argparse
import concurrent.futures
import lzma
import multiprocessing
import os
import random
import time

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import chat_examples

END_OF_TEXT = "<|endoftext|>"
SPECIAL = [END_OF_TEXT, "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHILDREN_BYTES = 75_751_278  # train.txt begins with the children's books; this many bytes of them
ROW = 1024  # training length
PIECE = 100_000  # documents are encoded in pieces of about this many characters, so all cores work


def read(path):
    return lzma.open(path, "rt", encoding="utf-8").read()


def documents_of(text):
    return [d.strip() for d in text.split(END_OF_TEXT) if len(d.strip()) > 200]


def pieces_of(document):
    """Cuts at blank lines; a piece keeps its final newlines, so the tokens are those of the
    whole."""
    start = 0
    while start < len(document):
        end = document.find("\n\n", start + PIECE)
        end = len(document) if end < 0 else end + 2
        while end < len(document) and document[end] == "\n":
            end += 1
        yield document[start:end]
        start = end


def train_tokenizer(documents, vocab_size):
    """Byte-level BPE with the Llama 3 pattern. Pieces keep their newlines, so '."\\n\\n' can become
    one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator((p for d in documents for p in pieces_of(d)), trainer)
    return tokenizer


def encode(tokenizer, documents):
    """One array of ids; every document is followed by <|endoftext|>."""
    pieces = [p for d in documents for p in (*pieces_of(d), END_OF_TEXT)]
    return np.concatenate([np.array(e.ids, np.uint16) for e in tokenizer.encode_batch(pieces)])


def template(message):
    return f"<|{message['role']}|>\n{message['content']}<|end|>\n"


def pack(tokenizer, examples):
    """Chat examples into rows; an example that does not fit any more begins the next row."""
    parts = []  # (example, text, learned from?)
    for number, messages in enumerate(examples):
        for message in messages:
            if message["role"] == "assistant":
                parts.append((number, "<|assistant|>\n", False))
                parts.append((number, message["content"] + "<|end|>\n", True))
            else:
                parts.append((number, template(message), False))
    encoded = tokenizer.encode_batch([text for _, text, _ in parts])
    ids, learn = [[] for _ in examples], [[] for _ in examples]
    for (number, _, learned), e in zip(parts, encoded):
        ids[number] += e.ids
        learn[number] += [learned] * len(e.ids)
    rows, masks, row, mask = [], [], [], []
    for i, l in zip(ids, learn):
        i, l = i[: ROW + 1], l[: ROW + 1]
        if len(row) + len(i) > ROW + 1:
            rows.append(row), masks.append(mask)
            row, mask = [], []
        row, mask = row + i, mask + l
    chat_ids = np.zeros((len(rows), ROW + 1), np.uint16)  # id 0 is <|endoftext|>
    chat_learn = np.zeros((len(rows), ROW + 1), bool)
    for n, (row, mask) in enumerate(zip(rows, masks)):
        chat_ids[n, : len(row)], chat_learn[n, : len(mask)] = row, mask
    return chat_ids, chat_learn


def cut_some(job):
    documents, lexicon, seed = job
    r = random.Random(seed)
    return [e for d in documents for e in chat_examples.from_document(d, lexicon, r)]


def cut_examples(pool, documents, passes, parts=16):
    lexicon = pool.apply(chat_examples.Lexicon, (documents,))
    jobs = [
        (documents[n::parts], lexicon, 1000 * p + n) for p in range(passes) for n in range(parts)
    ]
    return [e for some in pool.map(cut_some, jobs, chunksize=1) for e in some]


def main():
    a = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    a.add_argument("corpus")
    a.add_argument("cache")
    a.add_argument("--vocab-size", type=int, default=8192)
    a.add_argument(
        "--chat-passes", type=int, default=3, help="how often each book is cut into examples"
    )
    a.add_argument("--chat-limit", type=int, default=120_000)
    a = a.parse_args()
    started = time.time()
    say = lambda *words: print("prepare", f"{time.time() - started:.0f} s", *words, flush=True)

    text = read(f"{a.corpus}/train.txt.xz")
    children = documents_of(text.encode()[:CHILDREN_BYTES].decode(errors="ignore"))
    general = documents_of(text.encode()[CHILDREN_BYTES:].decode(errors="ignore"))
    valid = documents_of(read(f"{a.corpus}/valid.txt.xz"))
    say("documents", len(children), len(general), len(valid))

    # Chat examples are cut by worker processes while the tokenizer is trained.
    pool = multiprocessing.Pool(max(1, (os.cpu_count() or 1) // 2))
    cutting = concurrent.futures.ThreadPoolExecutor(1).submit(
        cut_examples, pool, children, a.chat_passes
    )

    os.makedirs(a.cache, exist_ok=True)
    tokenizer = train_tokenizer(children + general, a.vocab_size)
    tokenizer.save(f"{a.cache}/tokenizer.json")
    assert [tokenizer.token_to_id(s) for s in SPECIAL] == list(range(len(SPECIAL)))
    say("tokenizer", tokenizer.get_vocab_size())
    for name, documents in (("children", children), ("general", general), ("valid", valid)):
        ids = encode(tokenizer, documents)
        np.save(f"{a.cache}/{name}.npy", ids)
        say(name, len(ids), "tokens", f"{sum(map(len, documents)) / len(ids):.2f} characters each")

    open(f"{a.cache}/text_done", "w").close()

    examples = cutting.result()
    say("chat examples cut", len(examples))
    examples = chat_examples.finish(examples, random.Random(2), a.chat_limit)
    chat_ids, chat_learn = pack(tokenizer, examples)
    np.save(f"{a.cache}/chat_ids.npy", chat_ids)
    np.save(f"{a.cache}/chat_learn.npy", chat_learn)
    say(
        "chat examples",
        len(examples),
        "rows",
        len(chat_ids),
        "learned tokens",
        int(chat_learn.sum()),
    )
    open(f"{a.cache}/done", "w").close()


if __name__ == "__main__":
    main()
