"""Trains Storyteller from scratch on one GPU and writes it as a Hugging Face checkpoint.

    python3 train.py CORPUS_DIR OUT_DIR

1. prepare.py turns the corpus into arrays, in a second process, while the model compiles;
   with a finished --cache that step is skipped.
2. A teacher of the same size learns the text for --teacher-seconds, with a whole learning
   rate schedule of its own. The text is small (30 M tokens) and the model sees it many
   times, so it would soon learn it by heart; the teacher stops before that.
3. The model itself starts afresh and learns the text and the teacher's distribution of the
   next token, half and half. Its held-out loss is watched, and the best weights are kept.
4. Chat: questions and answers cut from the same text, mixed with plain text.
5. export.py writes the checkpoint first, and then everything that could still fail.

All limits are times, not steps, so that the run fits the minutes it is given; two runs are
alike, not identical.
"""

import argparse
import copy
import json
import math
import os
import subprocess
import sys
import time
import traceback

import numpy as np
import torch
import torch.nn.functional as F

import export
from model import Config, Llama
from optimizer import Optimizer

STARTED = time.time()
HERE = os.path.dirname(os.path.abspath(__file__))
EVERYTHING = 10**9


def say(*words):
    print(f"{time.time() - STARTED:6.1f} s", *words, flush=True)


# ---------------------------------------------------------------------- data


class Windows:
    """Windows of `length` + 1 ids: every epoch all of them once, in random order, cut at a random
    phase."""

    def __init__(self, path, length, device):
        self.ids = torch.from_numpy(np.load(path).astype(np.int16)).to(device)
        self.length, self.seen = length, 0
        self.offsets = torch.arange(length + 1, device=device)
        self.queue = torch.empty(0, dtype=torch.long, device=device)

    def take(self, n):
        if len(self.queue) < n:
            phase = int(np.random.randint(self.length))
            windows = (len(self.ids) - 1 - phase) // self.length
            order = torch.randperm(windows, device=self.ids.device) * self.length + phase
            self.queue = torch.cat((self.queue, order))
        starts, self.queue = self.queue[:n], self.queue[n:]
        self.seen += n * self.length
        return self.ids[starts[:, None] + self.offsets].long()


class Text:
    """Children's books and general literature, mixed."""

    def __init__(self, cache, length, device):
        self.children, self.general = (
            Windows(f"{cache}/{n}.npy", length, device) for n in ("children", "general")
        )

    def take(self, n, share_of_children):
        children = int(share_of_children * n + np.random.rand())
        rows = torch.cat((self.children.take(children), self.general.take(n - children)))
        return rows, rows[:, 1:].contiguous()

    @property
    def seen(self):
        return self.children.seen + self.general.seen


class Chat:
    """Packed rows of chat examples; only the answers are learned from."""

    def __init__(self, cache, device):
        self.ids = torch.from_numpy(np.load(f"{cache}/chat_ids.npy").astype(np.int16)).to(device)
        self.learn = torch.from_numpy(np.load(f"{cache}/chat_learn.npy")).to(device)
        self.queue, self.seen = torch.empty(0, dtype=torch.long, device=device), 0

    def take(self, n):
        if len(self.queue) < n:
            self.queue = torch.cat(
                (self.queue, torch.randperm(len(self.ids), device=self.ids.device))
            )
        rows, self.queue = self.queue[:n], self.queue[n:]
        self.seen += n
        ids = self.ids[rows].long()
        return ids, ids[:, 1:].masked_fill(~self.learn[rows][:, 1:], -100)


# -------------------------------------------------------------------- losses


def make_losses(model, teacher, device, teacher_weight):
    """plain and taught: functions of (ids [rows, length + 1], labels [rows, length])."""
    autocast = lambda: torch.autocast(device, dtype=torch.bfloat16)

    def plain(ids, labels):
        with autocast():
            logits = model(ids[:, :-1])
        return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=-100)

    def taught(ids, labels):
        with torch.no_grad(), autocast():
            target = teacher(ids[:, :-1])
        target = target.float().log_softmax(-1).flatten(0, 1)
        with autocast():
            logits = model(ids[:, :-1])
        own = logits.float().log_softmax(-1).flatten(0, 1)
        truth = F.nll_loss(own, labels.flatten())
        divergence = (target.exp() * (target - own)).sum(-1).mean()
        return (1 - teacher_weight) * truth + teacher_weight * divergence

    return plain, taught


@torch.no_grad()
def held_out_loss(model, ids, length, windows, device):
    """Mean loss per token over evenly spread windows of the held-out text (bf16, for the log
    only)."""
    model.eval()
    count = (len(ids) - 1) // length
    chosen = torch.linspace(0, count - 1, min(windows, count)).long().to(device) * length
    total = 0.0
    for starts in chosen.split(16):
        rows = ids[starts[:, None] + torch.arange(length + 1, device=device)].long()
        with torch.autocast(device, dtype=torch.bfloat16):
            logits = model(rows[:, :-1])
        total += F.cross_entropy(
            logits.float().flatten(0, 1), rows[:, 1:].flatten(), reduction="sum"
        ).item()
    model.train()
    return total / (len(chosen) * length)


# -------------------------------------------------------------------- phases


def keep_in_step(step, device):
    """The schedules follow the clock: do not let the queue of GPU work run far ahead of it."""
    if step % 25 == 0 and device == "cuda":
        torch.cuda.synchronize()


def learn_text(name, model, loss_of, text, until, held_out, a, device):
    """One whole schedule: short warm-up, cosine; leaves the weights with the best held-out loss in
    the model."""
    optimizer = Optimizer(model, a.weight_decay)
    begun = logged = time.time()
    step, losses, first_seen = 0, [], text.seen
    best_loss, best_weights = math.inf, None
    while time.time() < until:
        done = min(1.0, (time.time() - begun) / (until - begun))
        lr = a.lr * min(1, (step + 1) / 200) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        loss = loss_of(*text.take(a.batch, a.children))
        loss.backward()
        optimizer.step(lr)
        losses.append(loss.detach())
        step += 1
        keep_in_step(step, device)
        if step % a.log_every == 0:
            seconds, logged = time.time() - logged, time.time()
            now = held_out(160)
            if done > 0.5 and now < best_loss:
                best_loss, best_weights = now, copy.deepcopy(model.state_dict())
            say(
                f"{name} step {step} loss {torch.stack(losses).mean().item():.4f} held-out"
                f" {now:.4f} lr {lr:.2e} {(text.seen - first_seen) / 1e6:.0f} M tokens,"
                f" {a.log_every * a.batch * a.length / seconds / 1e3:.0f} k tokens/s"
            )
            losses = []
    tokens, seconds = text.seen - first_seen, time.time() - begun
    if best_weights is not None and best_loss < held_out(160):
        say(f"{name}: back to the best held-out loss, {best_loss:.4f}")
        model.load_state_dict(best_weights)
    whole = held_out(EVERYTHING)
    say(
        f"{name} done: {step} steps, {tokens / 1e6:.0f} M tokens, {tokens / seconds / 1e3:.0f} k"
        f" tokens/s, whole held-out text: loss {whole:.4f} perplexity {math.exp(whole):.2f}"
    )


def learn_chat(model, loss_of, chat, text, until, held_out, a, device):
    """Three rows of four are conversations, the rest is text."""
    optimizer = Optimizer(model, a.weight_decay)
    begun, step, losses = time.time(), 0, []
    rows = a.batch * 3 // 4
    while time.time() < until:
        done = min(1.0, (time.time() - begun) / (until - begun))
        ids, labels = zip(chat.take(rows), text.take(a.batch - rows, a.children))
        loss = loss_of(torch.cat(ids), torch.cat(labels))
        loss.backward()
        optimizer.step(a.chat_lr * min(1, (step + 1) / 20) * (1 - 0.97 * done))
        losses.append(loss.detach())
        step += 1
        keep_in_step(step, device)
        if step % 200 == 0:
            say(
                f"chat step {step} loss {torch.stack(losses).mean().item():.4f} held-out"
                f" {held_out(160):.4f}"
            )
            losses = []
    whole = held_out(EVERYTHING)
    say(
        f"chat done: {step} steps, {chat.seen / len(chat.ids):.2f} epochs of {len(chat.ids)} rows, "
        f"whole held-out text: loss {whole:.4f} perplexity {math.exp(whole):.2f}"
    )


# ---------------------------------------------------------------------- main


def arguments():
    a = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    a.add_argument("corpus", help="folder with train.txt.xz and valid.txt.xz")
    a.add_argument("out")
    a.add_argument(
        "--cache",
        default="/tmp/storyteller-cache",
        help="where prepare.py puts, or has put, its arrays",
    )
    a.add_argument(
        "--minutes", type=float, default=9.6, help="for everything, preparation and export included"
    )
    a.add_argument("--teacher-seconds", type=float, default=120, help="0: no teacher")
    a.add_argument("--chat-seconds", type=float, default=25)
    a.add_argument("--export-seconds", type=float, default=40, help="kept free for export.py")
    a.add_argument("--length", type=int, default=1024, help="must not exceed prepare.ROW")
    a.add_argument("--batch", type=int, default=64, help="rows per step")
    a.add_argument("--lr", type=float, default=3e-3)
    a.add_argument("--chat-lr", type=float, default=2e-4)
    a.add_argument(
        "--weight-decay",
        type=float,
        default=0.8,
        help="of the matrices; high, the text is seen many times",
    )
    a.add_argument("--dropout", type=float, default=0.1)
    a.add_argument("--teacher-weight", type=float, default=0.5)
    a.add_argument(
        "--children", type=float, default=0.65, help="share of children's books (0.63 of the text)"
    )
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--model", default="{}", help="JSON: changes to model.Config")
    a.add_argument("--no-compile", action="store_true")
    a.add_argument("--log-every", type=int, default=500)
    return a.parse_args()


def wait_for(file, process):
    while not os.path.exists(file):
        if process is None or process.poll() not in (None, 0):
            raise SystemExit(f"prepare.py failed: no {file}")
        time.sleep(0.1)


def main():
    a = arguments()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(a.seed)
    np.random.seed(a.seed)
    config = Config(**json.loads(a.model))
    os.makedirs(a.out, exist_ok=True)
    preparing = None
    if not os.path.exists(f"{a.cache}/done"):
        preparing = subprocess.Popen(
            [
                sys.executable,
                f"{HERE}/prepare.py",
                a.corpus,
                a.cache,
                "--vocab-size",
                str(config.vocab_size),
            ]
        )

    model = Llama(config, a.dropout).to(device)
    teacher = Llama(config).to(device).eval().requires_grad_(False)
    say(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters on", device)
    plain, taught = make_losses(model, teacher, device, a.teacher_weight)
    if not a.no_compile:
        plain, taught = torch.compile(plain, dynamic=False), torch.compile(taught, dynamic=False)
    # Compile on made-up ids while the corpus is being prepared.
    made_up = torch.randint(0, config.vocab_size, (a.batch, a.length + 1), device=device)
    for loss_of in (plain, taught) if a.teacher_seconds else (plain,):
        loss_of(made_up, made_up[:, 1:].contiguous()).backward()
    model.zero_grad(set_to_none=True)
    say("compiled")

    wait_for(f"{a.cache}/text_done", preparing)
    text = Text(a.cache, a.length, device)
    valid = torch.from_numpy(np.load(f"{a.cache}/valid.npy").astype(np.int16)).to(device)
    held_out = lambda windows: held_out_loss(model, valid, a.length, windows, device)
    say("text ready:", len(text.children.ids), "+", len(text.general.ids), "tokens")

    if a.teacher_seconds:
        learn_text(
            "teacher", model, plain, text, time.time() + a.teacher_seconds, held_out, a, device
        )
        teacher.load_state_dict(model.state_dict())
        model.initialise()
    text_ends = STARTED + a.minutes * 60 - a.export_seconds - a.chat_seconds
    learn_text(
        "text", model, taught if a.teacher_seconds else plain, text, text_ends, held_out, a, device
    )
    say(
        f"epochs so far: children's books {text.children.seen / len(text.children.ids):.1f}, "
        f"general {text.general.seen / len(text.general.ids):.1f}"
    )

    wait_for(f"{a.cache}/done", preparing)
    chat_ends = STARTED + a.minutes * 60 - a.export_seconds
    learn_chat(model, plain, Chat(a.cache, device), text, chat_ends, held_out, a, device)

    # The checkpoint before anything else can go wrong.
    export.write_checkpoint(model, f"{a.cache}/tokenizer.json", a.out)
    say("checkpoint written")
    try:
        export.write_reference(a.out, np.load(f"{a.cache}/valid.npy"), say)
        export.write_samples(a.out, say)
    except Exception:
        traceback.print_exc()
    say("finished")


if __name__ == "__main__":
    main()
