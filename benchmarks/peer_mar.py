"""MAR in plain PyTorch: its loss, and its sampler with both passes of guidance in one batch."""

import math
import sys
from pathlib import Path

import torch
from torch import nn

from arrays import AUTOREGRESSIVE, BUFFER, CLASSES, GUIDANCE, reverse_steps
from peer_models import Block, TimeEmbed, adaptive

sys.path.append(str(Path(__file__).resolve().parent.parent / "Tests" / "Golden"))


class HeadBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.in_ln, self.adaLN_modulation = nn.LayerNorm(width, eps=1e-6), adaptive(width, 3)
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, x, condition):
        shift, scale, gate = self.adaLN_modulation(condition).chunk(3, dim=-1)
        return x + gate * self.mlp(self.in_ln(x) * (1 + scale) + shift)


class HeadEnd(nn.Module):
    def __init__(self, width, values):
        super().__init__()
        self.norm_final = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.linear, self.adaLN_modulation = nn.Linear(width, 2 * values), adaptive(width, 2)

    def forward(self, x, condition):
        shift, scale = self.adaLN_modulation(condition).chunk(2, dim=-1)
        return self.linear(self.norm_final(x) * (1 + scale) + shift)


class Head(nn.Module):
    def __init__(self, values, condition, width, depth):
        super().__init__()
        self.time_embed, self.cond_embed = TimeEmbed(width), nn.Linear(condition, width)
        self.input_proj = nn.Linear(values, width)
        self.res_blocks = nn.ModuleList(HeadBlock(width) for _ in range(depth))
        self.final_layer = HeadEnd(width, values)

    def forward(self, x, t, z):
        condition = self.time_embed(t) + self.cond_embed(z)
        x = self.input_proj(x)
        for block in self.res_blocks:
            x = block(x, condition)
        return self.final_layer(x, condition)


class MAR(nn.Module):
    """Its loss, with the head on all tokens as published, or its sampler."""

    def __init__(self, work):
        super().__init__()
        width, depth, heads, own, layers = AUTOREGRESSIVE[work.model]
        self.work, rows = work, BUFFER + work.size ** 2
        for side in ("encoder", "decoder"):
            table = nn.Parameter(torch.empty(1, rows, width))
            self.register_parameter(f"{side}_pos_embed_learned", table)
            blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
            self.add_module(f"{side}_blocks", blocks)
            self.add_module(f"{side}_norm", nn.LayerNorm(width, eps=1e-6))
        self.class_emb = nn.Embedding(CLASSES, width)
        self.fake_latent = nn.Parameter(torch.empty(1, width))
        self.mask_token = nn.Parameter(torch.empty(1, 1, width))
        self.diffusion_pos_embed_learned = nn.Parameter(torch.empty(1, rows - BUFFER, width))
        self.z_proj, self.z_proj_ln = nn.Linear(16, width), nn.LayerNorm(width, eps=1e-6)
        self.decoder_embed = nn.Linear(width, width)
        self.diffloss = nn.Module()
        self.diffloss.net = Head(16, width, own, layers)

    def condition(self, tokens, rows, mask):
        batch, width = len(tokens), rows.shape[-1]
        x = torch.cat([rows[:, None].expand(-1, BUFFER, -1), self.z_proj(tokens)], dim=1)
        x = self.z_proj_ln(x + self.encoder_pos_embed_learned)
        seen = torch.cat([mask.new_ones(batch, BUFFER), 1 - mask], dim=1).bool()
        x = x[seen].reshape(batch, -1, width)
        for block in self.encoder_blocks:
            x = block(x)
        x = self.decoder_embed(self.encoder_norm(x))
        whole = self.mask_token.expand(*seen.shape, -1).to(x.dtype).clone()
        whole[seen] = x.reshape(-1, width)
        x = whole + self.decoder_pos_embed_learned
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_norm(x)[:, BUFFER:] + self.diffusion_pos_embed_learned

    def forward(self, *inputs):
        return self.sample(*inputs) if self.work.task == "sample" else self.loss(*inputs)

    def loss(self, x, labels, mask, t, noise):
        from reference_mar import Process, to_tokens

        z = self.condition(to_tokens(x, 1), self.class_emb(labels), mask)
        copies, t = len(t), t.flatten()
        start = to_tokens(x, 1).expand(copies, -1, -1, -1).reshape(-1, 16)
        noise, process = to_tokens(noise, 1).reshape(-1, 16), Process()
        noised = process.noised(start, t, noise)
        z = z.expand(copies, *z.shape).reshape(len(t), -1)
        losses = process.losses(self.diffloss.net(noised, t, z), start, noised, t, noise)
        losses = losses.reshape(copies, *mask.shape)
        return ((losses * mask).sum() / (copies * mask.sum())).reshape(1)

    def sample(self, labels, orders, start, noise):
        from reference_mar import Process, from_tokens, to_tokens

        total, iterations = orders.shape[1], self.work.iterations
        start, noise = to_tokens(start, 1), to_tokens(noise, 1)
        tokens, mask = torch.zeros_like(start), torch.ones(orders.shape)
        rows = torch.cat([self.class_emb(labels), self.fake_latent.expand(len(labels), -1)])
        for k, steps in enumerate(reverse_steps(self.work)):
            process = Process(str(steps))
            z = self.condition(tokens.repeat(2, 1, 1), rows, mask.repeat(2, 1))
            left = int(total * math.cos(math.pi / 2 * (k + 1) / iterations))
            left = max(1, min(int(mask[0].sum()) - 1, left))
            after = torch.zeros_like(mask).scatter(1, orders[:, :left], 1)
            now = mask.bool() if k == iterations - 1 else mask.bool() ^ after.bool()
            scale, z = 1 + (GUIDANCE - 1) * (total - left) / total, z[now.repeat(2, 1)]
            x = start[now]
            for draw, step in enumerate(reversed(range(steps))):
                t = torch.full((len(z),), process.times[step])
                out = self.diffloss.net(x.repeat(2, 1), t, z).float()
                epsilon, range_ = out.chunk(2, dim=1)
                one, other = epsilon.chunk(2)
                out = torch.cat([other + scale * (one - other), range_[:len(x)]], dim=1)
                mean, log = process.predicted(x, torch.full((len(x),), step), out)
                x = mean + (step > 0) * (0.5 * log).exp() * noise[draw][now]
            tokens[now] = x
            mask = after

        class sizes:
            image, patch, channels = self.work.size, 1, 16
        return from_tokens(tokens, sizes)
