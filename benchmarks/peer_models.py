"""Plain PyTorch modules of the measured models, and their training steps; what one would write."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from arrays import ALIGNED, CLASSES, DECODER, KEPT, SQUARE, TRANSFORMERS


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Mlp(nn.Module):
    def __init__(self, width, approximate):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.approximate = approximate

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x), approximate=self.approximate))


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp = Attention(width, heads), Mlp(width, "none")

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def adaptive(width, parts):
    return nn.Sequential(nn.SiLU(), nn.Linear(width, parts * width))


def modulate(x, shift, scale):
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class ModulatedBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.attn, self.mlp = Attention(width, heads), Mlp(width, "tanh")
        self.adaLN_modulation = adaptive(width, 6)

    def forward(self, x, condition):
        chunks = self.adaLN_modulation(condition).chunk(6, dim=1)
        shift1, scale1, gate1, shift2, scale2, gate2 = chunks
        x = x + gate1.unsqueeze(1) * self.attn(modulate(self.norm1(x), shift1, scale1))
        return x + gate2.unsqueeze(1) * self.mlp(modulate(self.norm2(x), shift2, scale2))


class PatchEmbed(nn.Module):
    def __init__(self, width, channels=4, patch=2):
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, stride=patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class TimeEmbed(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t):
        rates = torch.exp(-math.log(10000) / 128 * torch.arange(128, dtype=torch.float32))
        angles = t[:, None].float() * rates
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=1))


class LabelEmbed(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding_table = nn.Embedding(CLASSES + 1, width)

    def forward(self, labels):
        return self.embedding_table(labels)


class FinalLayer(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm_final = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.linear, self.adaLN_modulation = nn.Linear(width, 32), adaptive(width, 2)

    def forward(self, x, condition):
        shift, scale = self.adaLN_modulation(condition).chunk(2, dim=1)
        return self.linear(modulate(self.norm_final(x), shift, scale))


class DiT(nn.Module):
    def __init__(self, model, tokens):
        super().__init__()
        width, depth, heads = TRANSFORMERS[model]
        self.side = math.isqrt(tokens)
        self.pos_embed = nn.Parameter(torch.empty(1, tokens, width), requires_grad=False)
        self.x_embedder, self.t_embedder = PatchEmbed(width), TimeEmbed(width)
        self.y_embedder = LabelEmbed(width)
        self.blocks = nn.ModuleList(ModulatedBlock(width, heads) for _ in range(depth))
        self.final_layer = FinalLayer(width)

    def forward(self, x, t, y):
        condition = self.t_embedder(t) + self.y_embedder(y)
        x = self.x_embedder(x) + self.pos_embed
        for block in self.blocks:
            x = block(x, condition)
        x = self.final_layer(x, condition).reshape(-1, self.side, self.side, 2, 2, 8)
        return x.permute(0, 5, 1, 3, 2, 4).reshape(-1, 8, 2 * self.side, 2 * self.side)


class Rotary(nn.Module):
    def __init__(self, tokens, width):
        super().__init__()
        self.freqs_cos = nn.Parameter(torch.empty(tokens, width), requires_grad=False)
        self.freqs_sin = nn.Parameter(torch.empty(tokens, width), requires_grad=False)

    def forward(self, x):
        turned = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)
        return x * self.freqs_cos + turned * self.freqs_sin


class LightningBlock(nn.Module):
    def __init__(self, width, heads, rotary):
        super().__init__()
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.attn, self.mlp = Attention(width, heads), nn.Module()
        hidden = 8 * width // 3
        self.mlp.w12, self.mlp.w3 = nn.Linear(width, 2 * hidden), nn.Linear(hidden, width)
        self.adaLN_modulation, self.rotary = adaptive(width, 6), [rotary]  # no module of its own

    def attend(self, x):
        batch, tokens, width = x.shape
        heads, (turn,) = self.attn.heads, self.rotary
        qkv = self.attn.qkv(x).reshape(batch, tokens, 3, heads, width // heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(
            turn(query).to(value.dtype), turn(key).to(value.dtype), value)
        return self.attn.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))

    def gated(self, x):
        gate, values = self.mlp.w12(x).chunk(2, dim=-1)
        return self.mlp.w3(F.silu(gate) * values)

    def forward(self, x, condition):
        chunks = self.adaLN_modulation(condition).chunk(6, dim=1)
        shift1, scale1, gate1, shift2, scale2, gate2 = chunks
        x = x + gate1.unsqueeze(1) * self.attend(modulate(self.norm1(x), shift1, scale1))
        return x + gate2.unsqueeze(1) * self.gated(modulate(self.norm2(x), shift2, scale2))


class LightningDiT(nn.Module):
    def __init__(self, model, tokens):
        super().__init__()
        width, depth, heads = TRANSFORMERS[model]
        self.side = math.isqrt(tokens)
        self.pos_embed = nn.Parameter(torch.empty(1, tokens, width), requires_grad=False)
        self.feat_rope = Rotary(tokens, width // heads)
        self.x_embedder, self.t_embedder = PatchEmbed(width, ALIGNED, 1), TimeEmbed(width)
        self.y_embedder = LabelEmbed(width)
        self.blocks = nn.ModuleList(
            LightningBlock(width, heads, self.feat_rope) for _ in range(depth))
        self.final_layer = nn.Module()
        self.final_layer.norm_final = nn.RMSNorm(width, eps=1e-6)
        self.final_layer.linear = nn.Linear(width, ALIGNED)
        self.final_layer.adaLN_modulation = adaptive(width, 2)

    def forward(self, x, t, y):
        condition = self.t_embedder(t) + self.y_embedder(y)
        x = self.x_embedder(x) + self.pos_embed
        for block in self.blocks:
            x = block(x, condition)
        last = self.final_layer
        shift, scale = last.adaLN_modulation(condition).chunk(2, dim=1)
        x = last.linear(modulate(last.norm_final(x), shift, scale))
        return x.transpose(1, 2).unflatten(2, (self.side, self.side))


class DINOv2(nn.Module):
    def __init__(self, model, tokens):
        super().__init__()
        width, depth, heads = TRANSFORMERS[model]
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, tokens + 1, width), requires_grad=False)
        self.patch_embed = PatchEmbed(width, 3, SQUARE)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        for block in self.blocks:
            for name in ("ls1", "ls2"):
                block.add_module(name, nn.Module())
                getattr(block, name).gamma = nn.Parameter(torch.empty(width))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = x + block.ls1.gamma * block.attn(block.norm1(x))
            x = x + block.ls2.gamma * block.mlp(block.norm2(x))
        return self.norm(x[:, 0])


class ViT(nn.Module):
    def __init__(self, model, tokens, head=True):
        super().__init__()
        width, depth, heads = TRANSFORMERS[model]
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, tokens + 1, width), requires_grad=False)
        self.patch_embed = PatchEmbed(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, CLASSES) if head else None

    def forward(self, x):
        x = self.patch_embed(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class MaskedAutoencoder(ViT):
    def __init__(self, model, tokens):
        super().__init__(model, tokens, head=False)
        width = TRANSFORMERS[model][0]
        inner, layers, heads = DECODER
        self.mask_token = nn.Parameter(torch.empty(1, 1, inner))
        self.decoder_pos_embed = nn.Parameter(
            torch.empty(1, tokens + 1, inner), requires_grad=False)
        self.decoder_embed = nn.Linear(width, inner)
        self.decoder_blocks = nn.ModuleList(Block(inner, heads) for _ in range(layers))
        self.decoder_norm = nn.LayerNorm(inner, eps=1e-6)
        self.decoder_pred = nn.Linear(inner, 16)

    def encode(self, images, order, kept):
        x = self.patch_embed(images) + self.pos_embed[:, 1:]
        x = torch.gather(x, 1, order[:, :kept, None].expand(-1, -1, x.shape[2]))
        leading = (self.cls_token + self.pos_embed[:, :1]).expand(len(x), -1, -1)
        x = torch.cat([leading, x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def decode(self, latent, rank):
        x = self.decoder_embed(latent)
        hidden = self.mask_token.expand(len(x), rank.shape[1] + 1 - x.shape[1], -1)
        tokens = torch.cat([x[:, 1:], hidden.to(x.dtype)], dim=1)
        tokens = torch.gather(tokens, 1, rank[:, :, None].expand(-1, -1, x.shape[2]))
        x = torch.cat([x[:, :1], tokens], dim=1) + self.decoder_pos_embed
        for block in self.decoder_blocks:
            x = block(x)
        return self.decoder_pred(self.decoder_norm(x))[:, 1:]

    def forward(self, images, noise):
        """Loss of the normalised patches that the noise hides."""
        kept = int(noise.shape[1] * KEPT)
        order = noise.argsort(dim=1)
        rank = order.argsort(dim=1)
        prediction = self.decode(self.encode(images, order, kept), rank)
        batch, channels, height, width = images.shape
        target = images.reshape(batch, channels, height // 2, 2, width // 2, 2)
        target = target.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, 4 * channels)
        deviation = (target.var(dim=-1, keepdim=True) + 1e-6).sqrt()
        target = (target - target.mean(dim=-1, keepdim=True)) / deviation
        mask = (rank >= kept).float()
        return ((prediction - target).square().mean(dim=-1) * mask).sum() / mask.sum()


class Diffusion:
    """DiT's training loss: epsilon error plus the variational bound of learned variances."""

    def __init__(self):
        betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
        kept = torch.cumprod(1 - betas, 0)
        before = torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])
        posterior = betas * (1 - before) / (1 - kept)
        self.tables = {name: value.float() for name, value in {
            "signal": kept.sqrt(), "noise": (1 - kept).sqrt(),
            "log_beta": betas.log(),
            "log_posterior": torch.cat([posterior[1:2], posterior[1:]]).log(),
            "start": betas * before.sqrt() / (1 - kept),
            "current": (1 - before) * (1 - betas).sqrt() / (1 - kept)}.items()}

    def loss(self, model, start, t, y, noise):
        at = {name: table[t][:, None, None, None] for name, table in self.tables.items()}
        x = at["signal"] * start + at["noise"] * noise
        epsilon, variance = model(x, t, y).float().chunk(2, dim=1)
        share = (variance + 1) / 2
        log_variance = share * at["log_beta"] + (1 - share) * at["log_posterior"]
        guess = (x - at["noise"] * epsilon.detach()) / at["signal"]
        true_mean = at["start"] * start + at["current"] * x
        mean = at["start"] * guess + at["current"] * x
        divergence = 0.5 * (-1 + log_variance - at["log_posterior"]
                            + torch.exp(at["log_posterior"] - log_variance)
                            + (true_mean - mean).square() * torch.exp(-log_variance))
        bound = divergence.mean(dim=(1, 2, 3)) / math.log(2)
        return ((noise - epsilon).square().mean(dim=(1, 2, 3)) + bound).mean()
