"""Every number of every options struct and configuration at its extremes: an error or a result.

Structs, fields and functions are those of the generated prototypes, fields of configurations those
that models tell, so that new ones are swept too.
"""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import tempfile

import numpy as np
import pytest

import usp
from usp import _abi

#: models of next to no size
SMALL = {
    "VAE": "base_width=8 groups=8 multipliers=1,2 blocks_per_level=1",
    "MAE": "grid=2x2 width=16 depth=1 heads=2 decoder_width=16 decoder_depth=1 decoder_heads=2",
    "ViT": "grid=2x2 width=16 depth=1 heads=2 classes=3",
    "DiT": "grid=2x2 width=16 depth=1 heads=2 classes=3",
    "SiT": "grid=2x2 width=16 depth=1 heads=2 classes=3",
    "LightningDiT": "grid=2x2 width=16 depth=1 heads=2 classes=3",
}
WHOLE = {
    ctypes.c_int32: [-2**31, -1, 0, 1, 2, 3, 7, 64, 255, 20000, 65535, 65536, 2**24, 2**31 - 1],
    ctypes.c_int: [-1, 0, 1, 2, 3, 4, 77, 2**31 - 1],
    ctypes.c_uint32: [1, 2, 2**31, 2**32 - 1],
    ctypes.c_int64: [
        -2**63, -1, 0, 1, 2, 3, 7, 64, 20000, 65536, 2**31, 2**32 + 1, 2**62, 2**63 - 1],
    ctypes.c_uint64: [1, 2**63, 2**64 - 1],
}
REAL = [0.0, -1.0, 1e-45, 0.5, 1.0, 2.0, 1e38, -1e38, float("inf"), float("-inf"), float("nan")]
#: of one call; and of private memory, so that what is too large is told soon
SECONDS, MEMORY = 20, 3 << 29


def target(argument):
    """What a prototype's argument points to."""
    return getattr(argument, "_type_", None) if hasattr(argument, "contents") else None


def makers():
    """Functions that make something of one options struct: name -> the struct's class."""
    found = {}
    for name, (_, arguments) in _abi.PROTOTYPES.items():
        targets = [target(argument) for argument in arguments]
        structs = [t for t in targets if getattr(t, "_fields_", [("",)])[0][0] == "struct_size"]
        if name.endswith(("_create", "_load")) and len(structs) == 1:
            found[name] = structs[0]
    return found


def changes(struct):
    """(field, index or None, value) to be tried; no field: all whole numbers at once."""
    for name, kind in struct._fields_[1:]:
        count = getattr(kind, "_length_", None)
        kind = kind._type_ if count else kind
        values = REAL if kind in (ctypes.c_float, ctypes.c_double) else WHOLE.get(kind, [])
        for value in values:
            for index in range(count) if count else [None]:
                yield name, index, value
    for value in (2**31 - 1, 65536, -1):
        yield None, None, value


def changed(struct, name, index, value):
    """One of zeros with this change."""
    given = struct(struct_size=ctypes.sizeof(struct))
    for field, kind in struct._fields_[1:]:
        if name is None and kind in (ctypes.c_int32, ctypes.c_int64):
            setattr(given, field, value)
    if index is not None:
        getattr(given, name)[index] = value
    elif name is not None:
        setattr(given, name, value)
    return given


class Sweep:
    """The calls of one function, in a process of their own."""

    def __init__(self, function):
        from usp._library import lib

        self.lib, self.function, self.struct = lib, function, makers()[function]
        models = [made(family) for family in ("MAE", "ViT", "DiT")]
        checkpoint = ctypes.POINTER(_abi.usp_checkpoint)()
        assert lib.usp_model_checkpoint(models[0], ctypes.byref(checkpoint)) == 0
        self.owners = {_abi.usp_model: models, _abi.usp_checkpoint: [checkpoint]}
        if function == "usp_run_create":
            self.prepare_run()
        self.kinds, self.text = _abi.PROTOTYPES[function][1], b"SiT"

    def prepare_run(self):
        """A trainer and data, of latents as its model takes them; and where a run may write."""
        folder = tempfile.mkdtemp()
        usp.Checkpoint({"latents": np.zeros((64, 4, 4, 4), np.float32)}).save(f"{folder}/latents.npz")
        self.kept = (
            usp.Trainer(usp.MaskedAutoencoder.create(
                grid=2, width=16, depth=1, heads=2, decoder_width=16, decoder_depth=1,
                decoder_heads=2)),
            usp.Data(f"{folder}/latents.npz"))
        self.text = f"{folder}/model.safetensors".encode()
        self.owners[_abi.usp_trainer] = [self.kept[0].handle]
        self.owners[_abi.usp_data] = [self.kept[1].handle]

    def run(self, first):
        targets = [target(kind) for kind in self.kinds]
        owners = next((self.owners[t] for t in targets if t in self.owners), [None])
        for number, change in enumerate(changes(self.struct)):
            if number >= first:
                print(number, *change, flush=True)
                for owner in owners:
                    self.call(changed(self.struct, *change), owner)

    def call(self, given, owner):
        out, arguments = self.kinds[-1]._type_(), []
        for kind in self.kinds[:-1]:
            if target(kind) is self.struct:
                arguments.append(ctypes.byref(given))
            elif target(kind) in self.owners:
                first = self.owners[target(kind)][0]
                arguments.append(owner if isinstance(owner, kind) else first)
            else:
                arguments.append(self.text if kind is ctypes.c_char_p else kind(1))
        signal.alarm(SECONDS)
        status = getattr(self.lib, self.function)(*arguments, ctypes.byref(out))
        if status == 0:
            self.use(out)
        signal.alarm(0)

    def use(self, out):
        """A plan promises tensors only when it is carried out."""
        if isinstance(out, ctypes.POINTER(_abi.usp_transfer_plan)):
            made = ctypes.POINTER(_abi.usp_checkpoint)()
            if self.lib.usp_transfer_plan_apply(out, ctypes.byref(made)) == 0:
                self.lib.usp_checkpoint_free(made)
        getattr(self.lib, f"{out._type_.__name__}_free")(out)


def made(family, text=None):
    """A model of this configuration; None if that is refused."""
    from usp._library import lib

    out = ctypes.POINTER(_abi.usp_model)()
    text = SMALL[family] if text is None else text
    status = lib.usp_model_create(family.encode(), text.encode(), 1, ctypes.byref(out))
    return out if status == 0 else None


def sweep_configuration(family, first):
    """Each number of the configuration that a small model tells, in its place."""
    from usp._call import composed
    from usp._library import lib

    fields = [part.split("=", 1) for part in composed(lib.usp_model_config, made(family)).split()]
    values = [str(value) for value in WHOLE[ctypes.c_int64] + REAL] + ["65536x65536", "2,65536"]
    number = 0
    for name, _ in fields:
        for value in values:
            number += 1
            if number <= first:
                continue
            print(number, name, value, flush=True)
            others = [part for part in SMALL[family].split() if not part.startswith(f"{name}=")]
            signal.alarm(SECONDS)
            model = made(family, " ".join(others + [f"{name}={value}"]))
            signal.alarm(0)
            lib.usp_model_free(model)
    print(number, "swept", flush=True)


@pytest.mark.parametrize("what", sorted(makers()) + sorted(SMALL))
def test_no_number_ends_the_process(what):
    first, ends = 0, []
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    while len(ends) < 20:
        done = subprocess.run(
            [sys.executable, __file__, what, str(first)], capture_output=True, text=True,
            env=environment, check=False)
        lines = done.stdout.splitlines()
        assert lines, done.stderr
        if done.returncode == 0:
            break
        ends.append(f"{lines[-1]}: {done.returncode} {done.stderr[:200]}")
        first = int(lines[-1].split()[0]) + (what not in SMALL)
    assert not ends, "\n".join(ends)


def test_the_sweep_has_what_it_sweeps():
    found = makers()
    assert {"usp_transfer_plan_create", "usp_trainer_create", "usp_model_load"} <= set(found)
    assert sum(len(list(changes(struct))) for struct in found.values()) > 200


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    if sys.argv[1] in SMALL:
        sweep_configuration(sys.argv[1], int(sys.argv[2]))
    else:
        Sweep(sys.argv[1]).run(int(sys.argv[2]))
