"""Weight transfer: from one pretrained transformer to every model that can use it."""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence, Tuple, Union

from . import _abi
from ._arrays import dtype_name
from ._call import call, composed, encoded, options, view_text
from ._config import value_text, widths
from ._handles import Handle
from ._library import lib
from ._model import Grid, Model, Names, grid_sides, joined, model_of
from .checkpoint import Checkpoint

Source = Union[str, "os.PathLike[str]", Checkpoint, Model]


@dataclass(frozen=True)
class TransferEntry:
    """One tensor of the target: where it comes from, and what happens on the way."""

    name: str
    shape: Tuple[int, ...]
    #: names in the source, joined by " + "; "" for a fresh tensor
    source: str
    action: str

    @property
    def transferred(self) -> bool:
        return self.source != ""


@dataclass(frozen=True)
class TransferReport:
    """What became of every tensor of the target and of the source. `str()` is an aligned table."""

    entries: Tuple[TransferEntry, ...]
    #: (name, reason) of the source's tensors that stayed behind
    left: Tuple[Tuple[str, str], ...]
    notes: Tuple[str, ...]
    parameters: int
    transferred_parameters: int
    text: str
    json: str

    @property
    def share(self) -> float:
        """Share of the target's parameters that come from the source."""
        return self.transferred_parameters / self.parameters if self.parameters else 0.0

    def __str__(self) -> str:
        return self.text


class TransferPlan(Handle):
    """A transfer before it is carried out: made from names and shapes only."""

    kind = "usp_transfer_plan"

    @property
    def report(self) -> TransferReport:
        plan = self.handle
        entries = []
        for index in range(lib.usp_transfer_plan_count(plan)):
            tensor = _abi.usp_tensor()
            call(lib.usp_transfer_plan_shape, plan, index, ctypes.byref(tensor))
            entries.append(TransferEntry(
                view_text(lib.usp_transfer_plan_name(plan, index)),
                tuple(tensor.shape[: tensor.rank]),
                view_text(lib.usp_transfer_plan_source(plan, index)),
                view_text(lib.usp_transfer_plan_action(plan, index))))
        left = tuple(
            (view_text(lib.usp_transfer_plan_left_name(plan, index)),
             view_text(lib.usp_transfer_plan_left_reason(plan, index)))
            for index in range(lib.usp_transfer_plan_left_count(plan)))
        notes = tuple(
            view_text(lib.usp_transfer_plan_note(plan, index))
            for index in range(lib.usp_transfer_plan_note_count(plan)))
        return TransferReport(
            tuple(entries), left, notes, int(lib.usp_transfer_plan_parameters(plan)),
            int(lib.usp_transfer_plan_transferred(plan)),
            composed(lib.usp_transfer_plan_report, plan),
            composed(lib.usp_transfer_plan_json, plan))

    def apply(self) -> Checkpoint:
        """Carries the plan out in memory; arrays that are copied stay in the source's file."""
        return Checkpoint._made(lib.usp_transfer_plan_apply, self.handle)

    def save(self, path: "Union[str, os.PathLike[str]]", *, dtype: Any = None) -> None:
        """Carries the plan out into a file, one tensor in memory at a time.

        safetensors, or for names that end in .pt .pth .ckpt .bin PyTorch's training layout
        {"model": ..., "ema": ...}; the file appears complete or not at all.
        """
        call(lib.usp_transfer_plan_write, self.handle, encoded(path),
             encoded(dtype_name(dtype)))


def transfer_plan(
    source: "Union[Source, Mapping[str, Any]]", to: str, *,
    grid: Grid = None, classes: Optional[int] = None,
    patch: Optional[int] = None, channels: Optional[int] = None, layers: Optional[int] = None,
    seed: Optional[int] = 0, affine: bool = True, keep_activation: bool = False,
    channel_rule: Optional[str] = None, depth_rule: Optional[str] = None,
    pool: Optional[str] = None, head: Optional[str] = None, gate_bias: Optional[float] = None,
    block: Optional[int] = None, timestep: Optional[float] = None, label: Optional[int] = None,
    table: Optional[str] = None, num_heads: Optional[int] = None,
    decoder_num_heads: Optional[int] = None, ignore: Names = None,
    head_channels: Optional[int] = None, relative_positions: bool = False,
    buffer: Optional[int] = None, head_width: Optional[int] = None,
    head_depth: Optional[int] = None, decoder_rule: Optional[str] = None,
    rms_norm: Optional[bool] = None, swiglu: Optional[bool] = None, rope: Optional[bool] = None,
    qk_norm: Optional[bool] = None, shift: Optional[bool] = None,
    norm_rule: Optional[str] = None, fold_norms: bool = False,
    learn_sigma: Optional[bool] = None, projections: "Union[int, Sequence[int], None]" = (),
    projector: Optional[int] = None, encoder_depth: Optional[int] = None,
) -> TransferPlan:
    """Plans a transfer from a file, a checkpoint, a mapping of arrays, or a model.

    `to` is a published name such as "DiT-XL/2", or a family ("DiT", "SiT", "ViT", "MAE", "MAR",
    "Segmenter") whose sizes are the source's. `layers` lets only the first blocks come from the
    source. Where channels differ, `channel_rule` is "fresh", "copy" or "repeat"; where depths
    differ, `depth_rule` is "prefix", "stride" or "repeat". Classifiers take `pool` ("token", "avg")
    and `head` ("fine-tune", "probe"); segmentation networks `head` ("upernet", "linear"),
    `head_channels` and `relative_positions`. A diffusion source becomes a feature extractor after
    `block`, at `timestep` and `label` (None: the null class). `ignore` leaves arrays of the source
    aside, by their names or the start of these. A "MAR" takes a masked autoencoder's decoder too,
    where width, depth and heads fit; `decoder_rule` "continue" takes the source's later blocks,
    "fresh" nothing; `buffer`, `head_width` and `head_depth` are the preset's unless given.

    `rms_norm`, `swiglu`, `rope`, `qk_norm` and `shift` are switches of the target's blocks; None is
    the published name's, LightningDiT's own, or the source's. Where layer norms become RMS norms,
    `norm_rule` "exact" keeps the function, "copy" moves gamma alone; `fold_norms` puts gamma and
    beta into the layers behind norms that have none in the target, exactly.

    `learn_sigma` says whether a diffusion transformer's last layer has a second set of channels (None:
    the published name's, or the source's; REPA's has not). `projections` are the widths of teachers'
    tokens: a fresh projector for each, of hidden layers `projector` wide, reads the tokens behind block
    `encoder_depth`; that is REPA's network, whose t = 1 is noise, and with `fold_norms` and
    learn_sigma=False one that REPA's own code loads.
    """
    height, width = grid_sides(grid)
    teachers = widths("projections", projections)
    given = options(
        _abi.usp_transfer_options, layers=layers, seed=seed, affine=int(affine),
        keep_activation=int(keep_activation), channel_rule=channel_rule, depth_rule=depth_rule,
        pool=pool, head=head, gate_bias=gate_bias, timestep=timestep, block=block, label=label,
        table=table, grid_height=height, grid_width=width, classes=classes, patch=patch,
        channels=channels, heads=num_heads, decoder_heads=decoder_num_heads,
        ignore=joined(ignore), head_channels=head_channels,
        relative_positions=int(relative_positions), buffer=buffer, head_width=head_width,
        head_depth=head_depth, decoder_rule=decoder_rule, rms_norm=chosen(rms_norm),
        swiglu=chosen(swiglu), rope=chosen(rope), qk_norm=chosen(qk_norm), shift=chosen(shift),
        norm_rule=norm_rule, fold_norms=int(fold_norms), learn_sigma=chosen(learn_sigma),
        projections=value_text("projections", teachers) if teachers else None,
        projector=projector, encoder_depth=encoder_depth)
    wanted = encoded(to, "to", "a family or a published name")
    if isinstance(getattr(source, "model", source), Model):
        source = model_of(source, "source", Model).checkpoint
    if isinstance(source, Checkpoint) or isinstance(source, Mapping):
        checkpoint = source if isinstance(source, Checkpoint) else Checkpoint(source)
        return TransferPlan._made(
            lib.usp_transfer_plan_create, checkpoint.handle, wanted, ctypes.byref(given))
    path = encoded(
        source, "source", "a model, a file, a usp.Checkpoint or arrays by name")  # type: ignore[arg-type]
    return TransferPlan._made(lib.usp_transfer_plan_open, path, wanted, ctypes.byref(given))


def chosen(switch: Optional[bool]) -> Optional[int]:
    """A switch as the library takes it; None leaves the choice to it."""
    return None if switch is None else int(switch)


def transfer(
    source: "Union[Source, Mapping[str, Any]]", to: str, **settings: Any
) -> Tuple[Checkpoint, TransferReport]:
    """The target's weights and the report of every tensor; settings as in `transfer_plan`.

    Examples
    --------
    >>> pretrained = usp.MaskedAutoencoder.create(
    ...     grid=4, width=32, depth=2, heads=2, decoder_width=16, decoder_depth=1, decoder_heads=2)
    >>> weights, report = usp.transfer(pretrained.checkpoint, to="SiT", grid=6, classes=10)
    >>> weights["blocks.0.norm1.weight"].shape
    (32,)
    """
    plan = transfer_plan(source, to, **settings)
    return plan.apply(), plan.report
