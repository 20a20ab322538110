"""Muon for the matrices, AdamW for the embedding and the norms.

Muon (momentum, then orthogonalisation by Newton-Schulz steps) with the update scaled
to the size of an AdamW update, so that one learning rate serves both.
Matrices of one shape are orthogonalised together.
"""

import math

import torch


def orthogonalise(g, steps=5):
    """Batched: g is [n, rows, columns]; returns U V^T of its singular value decomposition,
    roughly."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.to(torch.bfloat16) if g.is_cuda else g
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        xx = x @ x.mT
        x = a * x + (b * xx + c * (xx @ xx)) @ x
    return x.mT if tall else x


class Muon:
    def __init__(self, parameters, weight_decay, momentum=0.95):
        self.weight_decay, self.momentum = weight_decay, momentum
        shapes = {}
        for p in parameters:
            shapes.setdefault(tuple(p.shape), []).append(p)
        self.groups = [
            (ps, torch.zeros(len(ps), *s, device=ps[0].device)) for s, ps in shapes.items()
        ]

    @torch.no_grad()
    def step(self, lr):
        for parameters, momentum in self.groups:
            g = torch.stack([p.grad for p in parameters])
            momentum.lerp_(g, 1 - self.momentum)
            update = orthogonalise(g.lerp(momentum, self.momentum)).to(momentum.dtype)
            size = 0.2 * math.sqrt(max(update.shape[-2:]))
            torch._foreach_mul_(parameters, 1 - lr * self.weight_decay)
            torch._foreach_add_(parameters, list(update.unbind(0)), alpha=-lr * size)


class Optimizer:
    """Both of them, one learning rate."""

    def __init__(self, model, weight_decay, embedding_decay=0.1):
        matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
        embedding = [p for n, p in model.named_parameters() if "embed" in n]
        norms = [p for p in model.parameters() if p.dim() < 2]
        self.parameters = list(model.parameters())
        self.muon = Muon(matrices, weight_decay)
        self.adam = torch.optim.AdamW(
            [
                {"params": embedding, "weight_decay": embedding_decay},
                {"params": norms, "weight_decay": 0.0},
            ],
            lr=1e-3,
            betas=(0.9, 0.95),
            **({"fused": True} if norms[0].is_cuda else {})
        )

    def step(self, lr):
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for group in self.adam.param_groups:
            group["lr"] = lr
        self.adam.step()
        self.muon.step(lr)
        for p in self.parameters:
            p.grad = None
