"""Golden cases of representation alignment, by REPA's code, and of its teachers, by their own."""

import io
import sys
import zipfile
from functools import partial
from types import ModuleType

import timm.layers.pos_embed
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torchvision.transforms import Normalize

from common import HERE, Case, normal, randomise, save_params
from originals import injected, load

DINOV2 = {"dinov2": {"num_register_tokens": 0, "interpolate_offset": 0.1},
          "dinov2_reg": {"num_register_tokens": 4, "interpolate_offset": 0.0,
                         "interpolate_antialias": True, "ffn_layer": "swiglufused"}}
DINOV2_SIZES = {"img_size": 20, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3,
                "block_chunks": 0, "init_values": 1.0}
SIT_SIZES = {"input_size": 8, "patch_size": 2, "in_channels": 4, "hidden_size": 24,
             "decoder_hidden_size": 24, "depth": 3, "num_heads": 3, "num_classes": 1000,
             "encoder_depth": 2, "z_dims": [10, 6], "projector_dim": 20}
BATCH = 3
TIMES = [0.13, 0.5, 0.92]


def make_dinov2(originals):
    """Tokens of images that are wider, higher and as large as the model's own."""
    module = load(originals, "dinov2", "dinov2.models.vision_transformer")
    for name, flags in DINOV2.items():
        model = randomise(module.DinoVisionTransformer(**DINOV2_SIZES, **flags).eval(), name)
        save_params(f"models/{name}_params", model.state_dict(),
                    "seeded values, DINOv2 key names")
        case = Case(f"models/{name}", "DINOv2 DinoVisionTransformer.forward_features",
                    {"heads": DINOV2_SIZES["num_heads"]}, 1e-5, f"models/{name}_params")
        table = model.pos_embed.data
        model = model.double()
        for key, (height, width) in {"own": (20, 20), "wide": (12, 32), "high": (28, 24),
                                     "antialias": (16, 16)}.items():
            images = normal(f"{name}/{key}", 2, 3, height, width)
            model.pos_embed.data = table.double()
            if key == "antialias":
                # REPA resamples the table once, when it loads a teacher.
                model.pos_embed.data = timm.layers.pos_embed.resample_abs_pos_embed(
                    table, [4, 4]).double()
            with torch.no_grad():
                result = model.forward_features(images.double())
            case.put(f"in.{key}", images)
            case.put(f"out.{key}.tokens", result["x_norm_patchtokens"])
            case.put(f"out.{key}.class", result["x_norm_clstoken"])
            case.put(f"out.{key}.prenorm", result["x_prenorm"])
        case.save()


def make_teachers(originals):
    """Tokens where REPA takes them: MAE's before the last norm, I-JEPA's without a class token,
    MoCo v3's from a training file whose names have its slips."""
    norm = partial(torch.nn.LayerNorm, eps=1e-6)
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}
    common = {"mlp_ratio": 4, "qkv_bias": True, "norm_layer": norm}
    mae = load(originals, "REPA", "models.mae_vit").VisionTransformer(
        num_classes=0, **sizes, **common)
    jepa = load(originals, "REPA", "models.jepa").VisionTransformer(
        **{**sizes, "img_size": [16]}, **common)
    moco = load(originals, "REPA", "models.mocov3_vit").VisionTransformerMoCo(
        num_classes=0, **{**sizes, "depth": 15}, **common)
    images = normal("teachers/images", 2, 3, 16, 16)
    for name, model in {"teacher_mae": mae, "teacher_jepa": jepa, "teacher_moco": moco}.items():
        model = randomise(model.eval(), name)
        state = dict(model.state_dict())
        tokens = slice(None) if name != "teacher_moco" else slice(1, None)
        if name == "teacher_jepa":
            state = {f"encoder.module.{key}": value for key, value in state.items()}
        if name == "teacher_moco":
            state = {f"state_dict.module.base_encoder.{slip(key)}": value
                     for key, value in state.items()}
            head = {"head.0.weight": normal("moco/head", 8, 24), "head.1.weight": torch.ones(8),
                    "head.3.weight": normal("moco/last", 8, 8)}
            state |= {f"state_dict.module.base_encoder.{key}": value for key, value in head.items()}
        save_params(f"models/{name}_params", state, "seeded values, the original's names")
        case = Case(f"models/{name}", "REPA models/ (MIT)", {"heads": 3}, 1e-5,
                    f"models/{name}_params")
        double = model.double()
        forward = double if name == "teacher_jepa" else double.forward_features
        with torch.no_grad():
            case.put("in.images", images).put("out.tokens", forward(images.double())[:, tokens])
        case.save()


def make_clip(originals):
    """Tokens of CLIP's picture half as REPA takes them, and its class token behind the last norm; a file of
    both halves, and the picture half as a TorchScript program, as OpenAI gives its files out."""
    clip = load(originals, "CLIP/clip", "model")
    sys.modules["clip"] = ModuleType("clip")  # REPA's file imports it and takes nothing from it
    teacher = load(originals, "REPA", "models.clip_vit").UpdatedVisionTransformer
    model = clip.CLIP(6, 16, 1, 64, 4, 4, 5, 8, 2, 1)
    model.visual = clip.VisionTransformer(16, 4, 24, 2, 3, 6)
    randomise(model.eval(), "teacher_clip", skip=("logit_scale",))
    save_params("models/teacher_clip_params", model.state_dict(), "seeded values, OpenAI's names")
    case = Case("models/teacher_clip", "CLIP clip/model.py (MIT), REPA models/clip_vit.py (MIT)",
                {"heads": 3}, 1e-5, "models/teacher_clip_params")
    images = normal("teachers/images", 2, 3, 16, 16)
    with torch.no_grad():
        case.put("in.images", images).put("out.tokens", teacher(model.visual)(images))
        # The class token's last norm, without the projection beside texts.
        model.visual.proj, projection = None, model.visual.proj
        case.put("out.class", model.visual(images)).save()
        model.visual.proj = projection
        program = torch.jit.trace(model.visual, images)
    written = io.BytesIO()
    torch.jit.save(program, written)
    with (zipfile.ZipFile(written) as whole,
          zipfile.ZipFile(HERE / "models/teacher_clip_script.pt", "w") as kept):
        for member in whole.infolist():
            if not member.filename.endswith(".debug_pkl"):  # where the program's lines stood
                kept.writestr(member, whole.read(member))


def slip(key):
    """MoCo v3's released files misname two layers."""
    for part in ("13.norm1", "13.mlp.fc1", "14.norm2", "14.mlp.fc2"):
        number = part[:2]
        key = key.replace(f"blocks.{part}.", f"blocks.{part[:-1]}{number}.")
    return key


def network(originals, name, **flags):
    """REPA's SiT with every parameter random, its table of positions as it is."""
    module = load(originals, "REPA", "models.sit")
    # timm since then asks for the norm that it used to take by itself.
    module.Attention = partial(module.Attention, norm_layer=torch.nn.LayerNorm)
    model = randomise(module.SiT(**SIT_SIZES, **flags).eval(), name, skip=("pos_embed",))
    with torch.no_grad():
        # Of a thousand classes a few rows are asked for.
        model.y_embedder.embedding_table.weight[8:-1] = 0
    return model


def make_alignment(originals):
    """Losses of both paths, and gradients of their weighted sum."""
    losses = load(originals, "REPA", "loss")
    data, noise = normal("repa/data", BATCH, 4, 8, 8), normal("repa/noise", BATCH, 4, 8, 8)
    features = [normal(f"repa/features{k}", BATCH, 16, z)
                for k, z in enumerate(SIT_SIZES["z_dims"])]
    labels = torch.tensor([3, 1000, 0])
    for name, flags in {"repa_sit": {"qk_norm": False}, "repa_sit_qk": {"qk_norm": True}}.items():
        model = network(originals, name, **flags)
        save_params(f"models/{name}_params", model.state_dict(), "seeded values, REPA key names")
        case = Case(f"models/{name}", "REPA models/sit.py, loss.py (MIT)",
                    {"heads": SIT_SIZES["num_heads"], "align": 0.5,
                     "encoder_depth": SIT_SIZES["encoder_depth"]}, 1e-5,
                    f"models/{name}_params")
        case.put_all("in", {"data": data, "noise": noise, "t": torch.tensor(TIMES),
                            "labels": labels})
        for k, teacher in enumerate(features):
            case.put(f"in.features{k}", teacher)
        model = model.double()
        output, projections = model(noise.double(), torch.tensor(TIMES).double(), labels)
        case.put("out.velocity", output)
        for k, projection in enumerate(projections):
            case.put(f"out.projection{k}", projection)
        for path, transport in {"linear": "Linear", "cosine": "GVP"}.items():
            model.zero_grad()
            loss = losses.SILoss(path_type=path)
            with injected(rand=[torch.tensor(TIMES).double().view(-1, 1, 1, 1)],
                          randn_like=[noise.double()]):
                denoising, alignment = loss(
                    model, data.double(), {"y": labels}, [z.double() for z in features])
            case.put(f"out.{transport}.loss", denoising)
            case.put(f"out.{transport}.alignment", alignment.reshape(1))
            if path == "linear":
                (denoising.mean() + 0.5 * alignment).backward()
                case.put_gradients(
                    (n, p) for n, p in model.named_parameters() if "y_embedder" not in n)
        case.save()


def make_samplers(originals):
    """REPA's samplers, unguided and guided in an interval, of the network without query norms."""
    samplers = load(originals, "REPA", "samplers")
    model = network(originals, "repa_sit", qk_norm=False)
    case = Case("transport/repa_samplers", "REPA samplers.py (MIT)",
                {"heads": SIT_SIZES["num_heads"], "encoder_depth": SIT_SIZES["encoder_depth"],
                 "steps": 6, "scale": 1.8, "interval": [0.3, 0.7]}, 1e-5, "models/repa_sit_params")
    start, noise = normal("repa/z", 2, 4, 8, 8), normal("repa/steps", 5, 2, 4, 8, 8)
    labels = torch.tensor([3, 5])
    case.put_all("in", {"z": start, "noise": noise, "labels": labels})
    for guided, options in {"plain": {}, "guided": {
            "cfg_scale": 1.8, "guidance_low": 0.3, "guidance_high": 0.7}}.items():
        for name, heun in {"euler": False, "heun": True}.items():
            value = samplers.euler_sampler(model, start, labels, 6, heun=heun, **options)
            case.put(f"out.{guided}.{name}", value)
        for path, transport in {"linear": "Linear", "cosine": "GVP"}.items():
            with injected(randn_like=list(noise.double())):
                value = samplers.euler_maruyama_sampler(
                    model, start, labels, 6, path_type=path, **options)
            case.put(f"out.{guided}.sde.{transport}", value)
    case.save()


def preprocessing(originals):
    """REPA's preprocess_raw_image alone: its module imports what a training needs."""
    source = (originals / "REPA" / "train.py").read_text()
    start = source.index("CLIP_DEFAULT_MEAN")
    text = source[start:source.index("def array2grid")]
    names = {"torch": torch, "Normalize": Normalize,
             "IMAGENET_DEFAULT_MEAN": IMAGENET_DEFAULT_MEAN,
             "IMAGENET_DEFAULT_STD": IMAGENET_DEFAULT_STD}
    exec(compile(text, "train.py", "exec"), names)
    return names["preprocess_raw_image"]


def hashed_pixels(side):
    """Two images that any language can make again."""
    b, c, y, x = torch.meshgrid(*(torch.arange(n) for n in (2, 3, side, side)), indexing="ij")
    return ((7 * x + 3 * y * y + x * y + 85 * c + 31 * b) % 256).float()


def make_images(originals):
    """What each teacher is shown, every 61st value."""
    preprocess = preprocessing(originals)
    images = hashed_pixels(256)
    case = Case("images/teachers", "REPA train.py preprocess_raw_image (MIT)",
                {"pixels": "(7 x + 3 y y + x y + 85 c + 31 b) mod 256"}, 1e-5)
    for encoder in ("dinov2", "jepa", "clip", "mae", "mocov3", "dinov1"):
        value = preprocess(images, f"{encoder}-vit-b")
        case.put_sampled("out", encoder, value, 0, 61)
    case.put_sampled("out", "large", preprocess(hashed_pixels(512)[:1], "dinov2-vit-b"), 0, 61)
    case.save()


def make(originals):
    make_dinov2(originals)
    make_teachers(originals)
    make_clip(originals)
    make_images(originals)
    make_alignment(originals)
    make_samplers(originals)
