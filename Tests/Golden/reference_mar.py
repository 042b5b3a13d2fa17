"""Our own masked autoregressive model and its sampler as functions of named parameters.

Written from a description of MAR (arXiv 2406.11838) over the names that its checkpoints use; the
process is Nichol and Dhariwal's. `p` is always a dict name -> tensor; works in float32, float64 and
under autocast.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F

from reference_params import block_shapes
from reference_vit import encoder_block, linear, norm

HEAD = "diffloss.net"


@dataclass(frozen=True)
class Autoregressive:
    """Sizes of a masked autoregressive model."""
    channels: int = 4
    image: int = 4
    patch: int = 1
    width: int = 32
    heads: int = 4
    depth: int = 2
    decoder_width: int = 24
    decoder_heads: int = 3
    decoder_depth: int = 2
    buffer: int = 3
    classes: int = 5
    head_width: int = 20
    head_depth: int = 2

    @property
    def tokens(self):
        return (self.image // self.patch) ** 2

    @property
    def values(self):
        return self.channels * self.patch ** 2

    def describe(self):
        return asdict(self)


def shapes(sizes):
    """Name -> shape in the order of the original's state dictionary."""
    width, inner, rows = sizes.width, sizes.decoder_width, sizes.buffer + sizes.tokens
    found = {
        "fake_latent": (1, width), "encoder_pos_embed_learned": (1, rows, width),
        "mask_token": (1, 1, inner), "decoder_pos_embed_learned": (1, rows, inner),
        "diffusion_pos_embed_learned": (1, sizes.tokens, inner),
        "class_emb.weight": (sizes.classes, width),
    }

    def add_linear(name, outputs, inputs):
        found[f"{name}.weight"], found[f"{name}.bias"] = (outputs, inputs), (outputs,)

    def add_norm(name, extent):
        found[f"{name}.weight"], found[f"{name}.bias"] = (extent,), (extent,)

    add_linear("z_proj", width, sizes.values)
    add_norm("z_proj_ln", width)
    for i in range(sizes.depth):
        found.update(block_shapes(f"encoder_blocks.{i}", width))
    add_norm("encoder_norm", width)
    add_linear("decoder_embed", inner, width)
    for i in range(sizes.decoder_depth):
        found.update(block_shapes(f"decoder_blocks.{i}", inner))
    add_norm("decoder_norm", inner)
    hidden = sizes.head_width
    add_linear(f"{HEAD}.time_embed.mlp.0", hidden, 256)
    add_linear(f"{HEAD}.time_embed.mlp.2", hidden, hidden)
    add_linear(f"{HEAD}.cond_embed", hidden, inner)
    add_linear(f"{HEAD}.input_proj", hidden, sizes.values)
    for i in range(sizes.head_depth):
        add_norm(f"{HEAD}.res_blocks.{i}.in_ln", hidden)
        add_linear(f"{HEAD}.res_blocks.{i}.mlp.0", hidden, hidden)
        add_linear(f"{HEAD}.res_blocks.{i}.mlp.2", hidden, hidden)
        add_linear(f"{HEAD}.res_blocks.{i}.adaLN_modulation.1", 3 * hidden, hidden)
    add_linear(f"{HEAD}.final_layer.linear", 2 * sizes.values, hidden)
    add_linear(f"{HEAD}.final_layer.adaLN_modulation.1", 2 * hidden, hidden)
    return found


def to_tokens(images, patch):
    """[.., C, H, W] -> [.., T, C * patch * patch] with the channel running slowest."""
    lead, (channels, height, width) = images.shape[:-3], images.shape[-3:]
    cut = images.reshape(-1, channels, height // patch, patch, width // patch, patch)
    cut = cut.permute(0, 2, 4, 1, 3, 5)
    return cut.reshape(*lead, height * width // patch ** 2, channels * patch ** 2)


def from_tokens(tokens, sizes):
    side, patch = sizes.image // sizes.patch, sizes.patch
    cut = tokens.reshape(-1, side, side, sizes.channels, patch, patch).permute(0, 3, 1, 4, 2, 5)
    return cut.reshape(-1, sizes.channels, sizes.image, sizes.image)


def condition(p, sizes, tokens, labels, mask):
    """The decoder's output with the head's positions, [B, T, D]; labels K are no label."""
    table = torch.cat([p["class_emb.weight"], p["fake_latent"]])
    rows = table[labels][:, None].expand(-1, sizes.buffer, -1)
    x = torch.cat([rows, linear(p, "z_proj", tokens).to(rows.dtype)], 1)
    x = norm(p, "z_proj_ln", x + p["encoder_pos_embed_learned"])
    seen = torch.cat([torch.ones(len(mask), sizes.buffer), 1 - mask], 1).bool()
    x = torch.stack([row[keep] for row, keep in zip(x, seen)])
    for i in range(sizes.depth):
        x = encoder_block(p, f"encoder_blocks.{i}", x, sizes.heads)
    x = linear(p, "decoder_embed", norm(p, "encoder_norm", x))
    places = (seen.cumsum(1) - 1).clamp(min=0)[..., None].expand(-1, -1, x.shape[-1])
    whole = torch.where(seen[..., None], x.gather(1, places), p["mask_token"].to(x.dtype))
    x = whole + p["decoder_pos_embed_learned"]
    for i in range(sizes.decoder_depth):
        x = encoder_block(p, f"decoder_blocks.{i}", x, sizes.decoder_heads)
    return norm(p, "decoder_norm", x)[:, sizes.buffer:] + p["diffusion_pos_embed_learned"]


def waves(t, width, dtype):
    half = width // 2
    rates = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half)
    angles = t.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], 1).to(dtype)


def denoise(p, sizes, x, t, z):
    """[N, 2E] of tokens x [N, E] at steps t [N] under conditions z [N, D]."""
    time = F.silu(linear(p, f"{HEAD}.time_embed.mlp.0", waves(t, 256, x.dtype)))
    y = F.silu(linear(p, f"{HEAD}.time_embed.mlp.2", time) + linear(p, f"{HEAD}.cond_embed", z))
    x = linear(p, f"{HEAD}.input_proj", x)
    for i in range(sizes.head_depth):
        name = f"{HEAD}.res_blocks.{i}"
        shift, scale, gate = linear(p, f"{name}.adaLN_modulation.1", y).chunk(3, -1)
        h = norm(p, f"{name}.in_ln", x) * (1 + scale) + shift
        x = x + gate * linear(p, f"{name}.mlp.2", F.silu(linear(p, f"{name}.mlp.0", h)))
    shift, scale = linear(p, f"{HEAD}.final_layer.adaLN_modulation.1", y).chunk(2, -1)
    return linear(p, f"{HEAD}.final_layer.linear",
                  norm(p, f"{HEAD}.final_layer.norm_final", x) * (1 + scale) + shift)


def guided(p, sizes, x, t, z, scale):
    """Halves with and without labels over the first half's x; noise guided, variances their own."""
    half = len(x) // 2
    out = denoise(p, sizes, torch.cat([x[:half]] * 2), t, z)
    noise, rest = out.chunk(2, 1)
    mixed = noise[half:] + scale * (noise[:half] - noise[half:])
    return torch.cat([torch.cat([mixed, mixed]), rest], 1)


class Process:
    """The cosine process of 1000 steps over some of them, in float64."""

    def __init__(self, respacing=""):
        def bar(x):
            return math.cos((x + 0.008) / 1.008 * math.pi / 2) ** 2
        whole = torch.tensor([min(1 - bar((i + 1) / 1000) / bar(i / 1000), 0.999)
                              for i in range(1000)], dtype=torch.float64)
        cumulative = (1 - whole).cumprod(0)
        self.times = spaced(respacing)
        kept = cumulative[self.times]
        before = torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])
        self.beta = 1 - kept / before
        self.bar = (1 - self.beta).cumprod(0)
        self.before = torch.cat([torch.ones(1, dtype=torch.float64), self.bar[:-1]])
        self.variance = self.beta * (1 - self.before) / (1 - self.bar)
        first = self.variance[1:2] if len(self.beta) > 1 else self.beta
        self.small = torch.cat([first, self.variance[1:]]).log()
        self.large = self.beta.log()

    def at(self, table, t, like):
        return table[t].to(like.dtype)[:, None]

    def noised(self, x, t, noise):
        bar = self.at(self.bar, t, x)
        return bar.sqrt() * x + (1 - bar).sqrt() * noise

    def predicted(self, x, t, out):
        """Mean and log variance of the step before, from noise and learned range."""
        noise, range_ = out.to(x.dtype).chunk(2, 1)
        bar, before, beta = (self.at(v, t, x) for v in (self.bar, self.before, self.beta))
        start = (1 / bar).sqrt() * x - (1 / bar - 1).sqrt() * noise
        part = (range_ + 1) / 2
        log = part * self.at(self.large, t, x) + (1 - part) * self.at(self.small, t, x)
        return self.posterior(start, x, bar, before, beta), log

    @staticmethod
    def posterior(start, x, bar, before, beta):
        return (beta * before.sqrt() / (1 - bar) * start
                + (1 - before) * (1 - beta).sqrt() / (1 - bar) * x)

    def losses(self, out, start, x, t, noise):
        """Squared error plus the bound in bits, its mean detached: [N]."""
        out = out.to(start.dtype)
        predicted, range_ = out.chunk(2, 1)
        mean, log = self.predicted(x, t, torch.cat([predicted.detach(), range_], 1))
        bar, before, beta = (self.at(v, t, x) for v in (self.bar, self.before, self.beta))
        true_mean = self.posterior(start, x, bar, before, beta)
        true_log = self.at(self.small, t, x)
        divergence = 0.5 * (-1 + log - true_log + (true_log - log).exp()
                            + (true_mean - mean) ** 2 * (-log).exp())

        def below(value):
            z = (value - mean) * (-0.5 * log).exp()
            return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z ** 3)))
        upper, lower = below(start + 1 / 255), below(start - 1 / 255)
        mass = torch.where(start < -0.999, upper,
                           torch.where(start > 0.999, 1 - lower, upper - lower))
        likelihood = -mass.clamp(min=1e-12).log()
        bound = torch.where(t[:, None] == 0, likelihood, divergence).mean(1) / math.log(2)
        return ((noise - predicted) ** 2).mean(1) + bound


def spaced(respacing):
    """The used steps of 1000, ascending: as many a section as the counts say."""
    if not respacing:
        return list(range(1000))
    counts = [int(count) for count in respacing.split(",")]
    size, extra = divmod(1000, len(counts))
    start, steps = 0, []
    for section, count in enumerate(counts):
        length = size + (1 if section < extra else 0)
        stride = (length - 1) / (count - 1) if count > 1 else 1
        steps += [start + round(stride * i) for i in range(count)]
        start += length
    return sorted(set(steps))


def masked_loss(p, sizes, latents, labels, mask, t, noise, process=None):
    """loss, token_loss [M, B, T] and z of a training pass; t [M, B, T], noise [M, B, C, H, W]."""
    process = process or Process()
    tokens = to_tokens(latents, sizes.patch)
    z = condition(p, sizes, tokens, labels, mask)
    copies, values = len(t), sizes.values
    start = tokens.expand(copies, *tokens.shape).reshape(-1, values)
    each = to_tokens(noise, sizes.patch).reshape(-1, values)
    x, steps = process.noised(start, t.flatten(), each), t.flatten()
    out = denoise(p, sizes, x, steps, z.expand(copies, *z.shape).reshape(len(x), -1))
    losses = process.losses(out, start, x, steps, each).view(t.shape)
    return {"loss": (losses * mask).sum() / (copies * mask.sum()), "token_loss": losses, "z": z}


def sample(p, sizes, labels, orders, iterations, respacing, draw, cfg=1.0, schedule="linear",
           temperature=1.0):
    """Latents of a run; `draw(predicted, step)` gives noise [n, E] of places [B, T], step None first.

    labels K are no label; with cfg other than 1 a second half has no label.
    """
    process, total = Process(respacing), sizes.tokens
    tokens = torch.zeros(len(labels), total, sizes.values, dtype=p["fake_latent"].dtype)
    mask = torch.ones(len(labels), total)
    doubled = cfg != 1
    for k in range(iterations):
        given = (torch.cat([labels, torch.full_like(labels, sizes.classes)]) if doubled else labels)
        times = 2 if doubled else 1
        z = condition(p, sizes, tokens.repeat(times, 1, 1), given, mask.repeat(times, 1))
        left = math.floor(total * math.cos(math.pi / 2 * (k + 1) / iterations))
        left = max(1, min(int(mask[0].sum()) - 1, left))
        after = torch.zeros_like(mask).scatter(1, orders[:, :left], 1)
        now = mask.bool() if k == iterations - 1 else mask.bool() ^ after.bool()
        scale = 1 + (cfg - 1) * (total - left) / total if schedule == "linear" else cfg
        z = z[now.repeat(times, 1)]
        x = draw(now, None).to(tokens.dtype)
        for step in reversed(range(len(process.beta))):
            t = torch.full((len(z),), step)
            model_t = torch.full((len(z),), process.times[step])
            both = x.repeat(times, 1)
            out = (guided(p, sizes, both, model_t, z, scale) if doubled
                   else denoise(p, sizes, both, model_t, z))
            mean, log = process.predicted(x, t[: len(x)], out[: len(x)])
            noise = draw(now, step).to(x.dtype)
            x = mean + (step > 0) * (0.5 * log).exp() * noise * temperature
        tokens = tokens.clone()
        tokens[now] = x
        mask = after
    return from_tokens(tokens, sizes)
