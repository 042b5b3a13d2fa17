"""Plain PyTorch modules of the measured models, and their training steps; what one would write."""

import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from arrays import (
    ALIGNED, AUTOREGRESSIVE, BUFFER, CELLS, CLASSES, DECODER, GUIDANCE, KEPT, LABELS, LATENT, LEVELS,
    MAPS, SQUARE, TRANSFORMERS, reverse_steps)

sys.path.append(str(Path(__file__).resolve().parent.parent / "Tests" / "Golden"))


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


class Unit(nn.Module):
    def __init__(self, inputs, outputs, kernel):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)))


def resized(x, like):
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


class Pyramid(nn.Module):
    """Four maps of one size to maps of 4, 2, 1 and half of it."""

    def __init__(self, width):
        super().__init__()
        self.upsample_4x = nn.Sequential(
            nn.ConvTranspose2d(width, width, 2, 2), nn.BatchNorm2d(width), nn.GELU(),
            nn.ConvTranspose2d(width, width, 2, 2))
        self.upsample_2x = nn.Sequential(nn.ConvTranspose2d(width, width, 2, 2))

    def forward(self, maps):
        return [self.upsample_4x(maps[0]), self.upsample_2x(maps[1]), maps[2],
                F.max_pool2d(maps[3], 2)]


class UperNet(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(cells), Unit(width, MAPS, 1)) for cells in CELLS)
        self.bottleneck = Unit(width + len(CELLS) * MAPS, MAPS, 3)
        self.lateral_convs = nn.ModuleList(Unit(width, MAPS, 1) for _ in range(3))
        self.fpn_convs = nn.ModuleList(Unit(MAPS, MAPS, 3) for _ in range(3))
        self.fpn_bottleneck = Unit(4 * MAPS, MAPS, 3)
        self.conv_seg = nn.Conv2d(MAPS, LABELS, 1)

    def forward(self, levels):
        coarse = levels[3]
        pools = [resized(pool(coarse), coarse) for pool in self.psp_modules]
        sums = [lateral(x) for lateral, x in zip(self.lateral_convs, levels)]
        sums.append(self.bottleneck(torch.cat([coarse] + pools, dim=1)))
        for level in (2, 1, 0):
            sums[level] = sums[level] + resized(sums[level + 1], sums[level])
        maps = [conv(x) for conv, x in zip(self.fpn_convs, sums)] + [sums[3]]
        return self.conv_seg(self.fpn_bottleneck(
            torch.cat([maps[0]] + [resized(x, maps[0]) for x in maps[1:]], dim=1)))


class Segmenter(nn.Module):
    def __init__(self, model, tokens):
        super().__init__()
        width, depth, _ = TRANSFORMERS[model]
        self.backbone = ViT(model, tokens, head=False)
        self.backbone.norm = None
        self.neck, self.decode_head = Pyramid(width), UperNet(width)
        self.read = [depth // 3 - 1, depth // 2 - 1, 2 * depth // 3 - 1, depth - 1]
        self.side = math.isqrt(tokens)

    def forward(self, x):
        encoder, maps = self.backbone, []
        x = encoder.patch_embed(x)
        x = torch.cat([encoder.cls_token.expand(len(x), -1, -1), x], dim=1) + encoder.pos_embed
        for index, block in enumerate(encoder.blocks):
            x = block(x)
            if index in self.read:
                maps.append(x[:, 1:].transpose(1, 2).unflatten(2, (self.side, self.side)))
        return self.decode_head(self.neck(maps))


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


def build(work, weights):
    """The module of a work with its weights, in evaluation mode; none is copied."""
    if work.family == "vae":
        from environment import allow_torchvision

        allow_torchvision()
        from diffusers import AutoencoderKL

        names = ["DownEncoderBlock2D"] * len(LEVELS), ["UpDecoderBlock2D"] * len(LEVELS)
        make = lambda: AutoencoderKL(  # noqa: E731
            down_block_types=names[0], up_block_types=names[1], block_out_channels=LEVELS,
            layers_per_block=2, latent_channels=LATENT, sample_size=256)
    else:
        kind = {"dit": DiT, "vit": ViT, "mae": MaskedAutoencoder, "lightning": LightningDiT,
                "dinov2": DINOv2, "segmenter": Segmenter}.get(work.family)
        make = lambda: kind(work.model, work.tokens) if kind else MAR(work)  # noqa: E731
    with torch.device("meta"):
        module = make()
    left = module.load_state_dict(weights, strict=False, assign=True)
    counts = [key for key in left.missing_keys if key.endswith("num_batches_tracked")]
    assert counts == left.missing_keys and not left.unexpected_keys, left
    for key in counts:  # of batch norms; nothing reads them
        module.get_submodule(key.rpartition(".")[0]).num_batches_tracked = None
    for name in ("pos_embed", "decoder_pos_embed"):
        if hasattr(module, name):
            getattr(module, name).requires_grad_(False)
    return module.eval()


class Half(nn.Module):
    """One direction of an autoencoder, as a module for exporting."""

    def __init__(self, module, task):
        super().__init__()
        self.module, self.task = module, task

    def forward(self, x):
        if self.task == "encode":
            return self.module.quant_conv(self.module.encoder(x))[:, :LATENT]  # the mean
        return self.module.decoder(self.module.post_quant_conv(x))


def network(work, weights):
    """A module whose positional arguments are the work's inputs."""
    module = build(work, weights)
    return Half(module, work.task).eval() if work.family == "vae" else module
