"""Every function of the library with arguments that nobody should pass: errors, no crashes."""

import ctypes

import numpy as np
import pytest

import usp
from usp import _abi
from usp._call import last_error
from usp._library import lib

TENSOR = ctypes.POINTER(_abi.usp_tensor)
FUNCTIONS = [name for name in _abi.PROTOTYPES if not name.endswith("_free")]
STATUS = {n for n, (result, _) in _abi.PROTOTYPES.items() if result is ctypes.c_int}
STATUS -= {"usp_threads", "usp_ranks_rank", "usp_ranks_count", "usp_stage_note_warns"}


def handles():
    """One live object of each kind, models of every family."""
    sizes = dict(grid=2, width=16, depth=1, heads=2)
    models = [
        usp.VAE.create(base_width=8, multipliers=(1, 1), groups=4, seed=1),
        usp.MaskedAutoencoder.create(
            **sizes, decoder_width=16, decoder_depth=1, decoder_heads=2, seed=1),
        usp.ViT.create(**sizes, classes=3, seed=1),
        usp.DiT.create(**sizes, classes=3, seed=1),
    ]
    others = [usp.Diffusion("10"), usp.Transport(), usp.Trainer(models[2]), models[1].checkpoint]
    return models, {item.kind: item for item in others}


def pointer_kind(argument):
    """The name of the struct that a prototype's argument points to."""
    return getattr(getattr(argument, "_type_", None), "__name__", "")


def nothing(argument):
    return None if hasattr(argument, "contents") or argument is ctypes.c_char_p else argument(0)


def run(name, arguments):
    """Calls the function and gives what it returned; a status must be one of the header's."""
    value = getattr(lib, name)(*arguments)
    if name in STATUS:
        assert value in set(_abi.usp_status), name
    return value


def test_nothing_is_an_error():
    for name in FUNCTIONS:
        value = run(name, [nothing(argument) for argument in _abi.PROTOTYPES[name][1]])
        if name in STATUS - {"usp_set_threads"}:
            assert value == _abi.usp_status.USP_ERROR_ARGUMENT, name
            assert last_error().startswith(f"{name}: ")


def test_dead_and_foreign_handles_are_errors():
    foreign = ctypes.cast(usp.Diffusion("10").handle, ctypes.c_void_p)
    for name, (_, argtypes) in _abi.PROTOTYPES.items():
        kind = pointer_kind(argtypes[0]) if argtypes else ""
        if not hasattr(_abi, kind) or f"{kind}_free" not in _abi.PROTOTYPES:
            continue
        for address in (0xDEAD0, foreign.value):
            if kind == "usp_diffusion" and address == foreign.value:
                continue
            first = ctypes.cast(address, argtypes[0])
            value = run(name, [first] + [nothing(argument) for argument in argtypes[1:]])
            if name in STATUS:
                assert value == _abi.usp_status.USP_ERROR_ARGUMENT, name


def bad_tensors():
    """Tensors of every kind of wrongness, and one that is only small."""
    memory = np.zeros(64, np.float32)
    base = dict(data=memory.ctypes.data, rank=1, dtype=0, shape=[4], strides=[0])
    wrongs = (
        {}, {"data": None}, {"data": memory.ctypes.data + 1}, {"dtype": 77}, {"rank": -1},
        {"rank": 99}, {"shape": [-4]}, {"shape": [2**62]}, {"strides": [-1]}, {"dtype": 4},
        {"rank": 4, "shape": [1, 1, 1, 1], "strides": [0] * 4},
        {"rank": 2, "shape": [4, 4], "strides": [1, 1]},
    )
    for wrong in wrongs:
        tensor = _abi.usp_tensor()
        for field, value in {**base, **wrong}.items():
            if isinstance(value, list):
                for axis, extent in enumerate(value):
                    getattr(tensor, field)[axis] = extent
            else:
                setattr(tensor, field, value)
        tensor.keep = memory
        yield tensor


def test_wrong_tensors_never_crash():
    models, others = handles()
    for name in FUNCTIONS:
        _, argtypes = _abi.PROTOTYPES[name]
        if TENSOR not in argtypes or name == "usp_trainer_step":
            continue
        takes_model = any(pointer_kind(argument) == "usp_model" for argument in argtypes)
        for tensor in bad_tensors():
            for model in models if takes_model else [None]:
                arguments = []
                for argument in argtypes:
                    kind = pointer_kind(argument)
                    owner = model if kind == "usp_model" else others.get(kind)
                    if argument is TENSOR:
                        arguments.append(ctypes.byref(tensor))
                    elif owner is not None:
                        arguments.append(owner.handle)
                    else:
                        arguments.append(nothing(argument))
                run(name, arguments)


def test_misaligned_and_strided_arrays():
    model = usp.ViT.create(grid=2, width=16, depth=1, heads=2, classes=3, seed=1)
    images = usp.random.normal((2, 4, 4, 4), 1)
    expected = model.logits(images)
    strided = np.zeros((4, 4, 4, 8), np.float32)[::2, :, :, ::2]
    strided[...] = images
    assert np.array_equal(model.logits(strided), expected)
    columns_first = images.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2)
    assert np.array_equal(model.logits(columns_first), expected)
    bytes_ = np.zeros(images.nbytes + 1, np.uint8)
    misaligned = bytes_[1:].view(np.float32).reshape(images.shape)
    misaligned[...] = images
    with pytest.raises(usp.ArgumentError, match="not aligned"):
        model.logits(misaligned)
    with pytest.raises(usp.DTypeError, match="float64"):
        model.logits(images.astype(np.float64))
    with pytest.raises(usp.ShapeError):
        model.logits(images[:, :2])


def tiny(**changes):
    return usp.ViT.create(**{**dict(grid=2, width=16, depth=1, heads=2, classes=3), **changes})


@pytest.mark.parametrize("wrong", [1, 10.0, [], ["heun"], {}, True, object()])
def test_only_text_is_an_option_that_is_a_word(wrong):
    model, z = tiny(), usp.random.normal((1, 4, 4, 4), 1)
    dit = usp.DiT.create(grid=2, width=16, depth=1, heads=2, classes=3)
    for name, call in {
        "path": lambda: usp.Transport(path=wrong), "loss": lambda: usp.Diffusion(loss=wrong),
        "head": lambda: tiny(head=wrong),
        "table": lambda: usp.ViT.load(model.checkpoint, table=wrong),
        "method": lambda: usp.Transport().sample_ode(dit, z, method=wrong),
        "generator": lambda: usp.Diffusion("10").p_sample_loop(dit, z, generator=wrong),
        "optimizer": lambda: usp.Trainer(model, optimizer=wrong),
        "pool": lambda: usp.transfer(model.checkpoint, "ViT", pool=wrong),
    }.items():
        with pytest.raises(usp.ArgumentError, match=f"^{name}: .* expected a text"):
            call()
    if wrong is not True and wrong != 1:
        with pytest.raises(usp.ArgumentError, match="^recompute: "):
            usp.Trainer(model, recompute=wrong)
    with pytest.raises(usp.ArgumentError, match="unknown compute"):
        usp.ViT.load(model.checkpoint, dtype=wrong)


def test_numbers_that_do_not_fit_are_told():
    with pytest.raises(usp.ArgumentError, match="classes: 4294967299, expected a whole number"):
        tiny(classes=2**32 + 3)
    with pytest.raises(usp.ArgumentError, match="width: 16.5, expected a whole number"):
        tiny(width=16.5)
    with pytest.raises(usp.ArgumentError, match="grid: "):
        tiny(grid=(2, 2, 2))
    with pytest.raises(usp.ArgumentError, match="character 0"):
        usp.Checkpoint({"a\0b": np.zeros(2, np.float32)})
    assert tiny(grid=np.int64(2), classes=np.int32(3)).input_shape(1) == (1, 4, 4, 4)


@pytest.mark.parametrize("size", ["depth", "heads", "classes", "patch", "grid"])
def test_no_size_is_nothing(size):
    with pytest.raises(usp.ArgumentError, match=f"{size}: 0.*, expected"):
        tiny(**{size: 0})


def test_zero_is_no_default_in_training():
    model, x, labels = tiny(), usp.random.normal((2, 4, 4, 4), 1), [0, 1]
    trainer = usp.Trainer(model, rate=0.0)
    trainer.step(x, labels)
    after = trainer.model().parameters
    assert all(
        np.abs(after[name] - value).max() < 1e-37 for name, value in model.parameters.items())
    vae = usp.VAE.create(base_width=8, multipliers=(1, 1), groups=4, seed=1)
    images = usp.random.normal((1, 3, 4, 4), 2)
    losses = [usp.Trainer(vae, kl_weight=weight).step(images) for weight in (0.0, None, 1.0)]
    assert losses[0] < losses[1] < losses[2]
    with pytest.raises(usp.ArgumentError, match="mask_ratio: has no part"):
        usp.Trainer(model, mask_ratio=0)


def test_arguments_that_do_not_fit_are_told():
    """ctypes would cut the first to 0, which means every processor."""
    with pytest.raises(usp.ArgumentError, match="usp_set_threads: .*1099511627776 is out of range"):
        usp.set_threads(2**40)
    with pytest.raises(usp.ArgumentError, match="usp_set_threads"):
        usp.set_threads(1.5)
    assert usp.random.normal((1, 1), seed=-1) == usp.random.normal((1, 1), seed=2**64 - 1)


def test_numbers_of_samples():
    """One number stands for all samples; what is no number is an error, not a cast."""
    model = usp.DiT.create(grid=2, width=16, depth=1, heads=2, classes=3, seed=1)
    x = usp.random.normal((2, 4, 4, 4))
    assert np.array_equal(model.features(x, 3, 1), model.features(x, [3.0, 3.0], [1, 1]))
    for times in ([1j, 2j], ["1", "2"], [True, False]):
        with pytest.raises(usp.DTypeError, match="t: .*expected real numbers"):
            model(x, times)
    with pytest.raises(usp.DTypeError, match="y: dtype float64, expected whole numbers"):
        model(x, 3, [0.5, 1])
    with pytest.raises(usp.ArgumentError, match="y: 9223372036854775808 is out of range"):
        model(x, 3, np.array([2**63, 1], np.uint64))
    with pytest.raises(usp.ShapeError, match="y: shape .0., expected .2."):
        model(x, 3, [])
