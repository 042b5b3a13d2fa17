"""usp.torch: library models in torch programs. Skipped where torch is not installed."""

import copy
import io

import numpy as np
import pytest

import usp

torch = pytest.importorskip("torch")


@pytest.fixture
def sit():
    return usp.SiT.create(grid=2, channels=3, patch=2, width=32, depth=2, heads=2, classes=4, seed=1)


def inputs():
    draw = torch.Generator().manual_seed(0)
    return (torch.randn(3, 3, 4, 4, generator=draw), torch.rand(3, generator=draw),
            torch.tensor([0, 3, 4]))


def test_importing_usp_does_not_import_torch():
    import subprocess
    import sys
    code = "import sys, usp; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def stirred(model):
    """Other values than the start's, whose last layer of zeros hides gradients."""
    return usp.torch.with_state(model, {
        name: value + 0.02 * torch.randn(value.shape, generator=torch.Generator().manual_seed(i))
        for i, (name, value) in enumerate(usp.torch.state_dict(model).items())})


def test_outputs_are_the_model_s(sit):
    module = usp.torch.Module(sit)
    x, t, y = inputs()
    assert np.array_equal(module(x, t, y).detach().numpy(), sit.forward(x.numpy(), t, y))
    assert set(dict(module.named_parameters())) == set(sit.parameters) == set(module.state_dict())


def test_gradients_are_ours_and_differences_agree(sit):
    trained = stirred(sit)
    module = usp.torch.Module(trained)
    x, t, y = inputs()
    x.requires_grad_()
    (module(x, t, y) ** 2).mean().backward()
    _loss, ours = trained.gradients(x.detach().numpy(), t, y)
    for name, parameter in module.named_parameters():
        if name in ours:
            np.testing.assert_allclose(parameter.grad.numpy(), ours[name], rtol=1e-4, atol=1e-6)
    direction, step = torch.randn(x.shape, generator=torch.Generator().manual_seed(9)), 1e-2
    with torch.no_grad():
        high = (module(x + step * direction, t, y) ** 2).mean()
        low = (module(x - step * direction, t, y) ** 2).mean()
    assert float((high - low) / (2 * step)) == pytest.approx(
        float((x.grad * direction).sum()), rel=2e-2)


def test_torch_trains_it(sit):
    module = usp.torch.Module(sit)
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3)
    x, t, y = inputs()
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = ((module(x, t, y) - x) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    model = module.model()
    assert isinstance(model, usp.SiT) and model.fingerprint != sit.fingerprint
    assert np.array_equal(model.forward(x.numpy(), t, y), module(x, t, y).detach().numpy())


def test_state_dicts_go_in_and_out(sit):
    state = usp.torch.state_dict(sit)
    assert usp.torch.with_state(sit, state).fingerprint == sit.fingerprint
    module = usp.torch.Module(sit)
    module.load_state_dict({name: torch.zeros_like(value) for name, value in state.items()})
    assert all((value == 0).all() for value in module.model().parameters.values())
    state.pop("blocks.0.attn.qkv.weight")
    with pytest.raises(usp.MissingWeightError, match="blocks.0.attn.qkv.weight"):
        usp.torch.with_state(sit, state)


def test_classifiers_and_autoencoders():
    vit = usp.create("ViT", grid=2, channels=3, patch=2, width=32, depth=1, heads=2, classes=5)
    module = usp.torch.Module(vit)
    x = inputs()[0]
    torch.nn.functional.cross_entropy(module(x), torch.tensor([0, 1, 2])).backward()
    assert module.head.weight.grad is not None
    vae = usp.VAE.create(base_width=8, multipliers=(1, 2), blocks_per_level=1, groups=4)
    again = usp.torch.Module(vae)(x)
    assert again.shape == x.shape
    again.square().mean().backward()
    mae = usp.MaskedAutoencoder.create(grid=2, width=16, depth=1, heads=2, decoder_width=16,
                                       decoder_depth=1, decoder_heads=2)
    with pytest.raises(usp.ArgumentError, match="a pass back through a MAE is not supported"):
        usp.torch.Module(mae)


def test_changes_without_a_trace_are_seen():
    """A fused optimiser and p.data change parameters, and leave their version as it was."""
    for step in ("fused", "data"):
        module = usp.torch.Module(usp.ViT.create(
            grid=2, channels=4, patch=2, width=16, depth=1, heads=2, classes=3, pool="avg", seed=1))
        x = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
        before = module(x)
        before.square().sum().backward()
        if step == "fused":
            torch.optim.AdamW(module.parameters(), lr=0.1, fused=True).step()
        else:
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter.data.sub_(0.1 * torch.ones_like(parameter))
        assert not torch.equal(module(x), before)


def test_modules_are_copied_and_averaged(sit):
    module, (x, t, y) = usp.torch.Module(stirred(sit)), inputs()
    twin = copy.deepcopy(module)
    assert torch.equal(twin(x, t, y), module(x, t, y))
    average = torch.optim.swa_utils.AveragedModel(
        module, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.5))
    average.update_parameters(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 1
    assert not torch.equal(twin(x, t, y), module(x, t, y))
    average.update_parameters(module)
    for name, value in average.module.model().parameters.items():
        np.testing.assert_allclose(value, twin.state_dict()[name].numpy() + 0.5, rtol=1e-6)
    kept = io.BytesIO()
    torch.save(module.state_dict(), kept)
    kept.seek(0)
    twin.load_state_dict(torch.load(kept))
    assert torch.equal(twin(x, t, y), module(x, t, y))
    with pytest.raises(TypeError, match="SiT cannot be pickled; save it to a file"):
        torch.save(module, io.BytesIO())


def test_models_are_copied_as_handles_of_their_own(sit):
    for twin in (copy.copy(sit), copy.deepcopy({"model": sit})["model"]):
        assert type(twin) is usp.SiT and twin is not sit
        fingerprint = sit.fingerprint
        twin.close()
        assert sit.fingerprint == fingerprint


def test_inputs_that_change_before_the_pass_back(sit):
    module, (x, t, y) = usp.torch.Module(stirred(sit)), inputs()

    def gradient(change):
        module.zero_grad()
        given = [value.clone() for value in (x, t, y)]
        output = module(*given).square().sum()
        change(*given)
        output.backward()
        return module.x_embedder.proj.weight.grad.clone()

    right = gradient(lambda *_: None)
    assert right.abs().max() > 0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradient(lambda x, t, y: x.zero_())
    assert torch.equal(gradient(lambda x, t, y: (t.zero_(), y.zero_())), right)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        output = module(x, t, y).sum()
        output.backward()
        output.backward()
    with pytest.raises(usp.ArgumentError, match="t: requires a gradient, which is not computed"):
        module(x, t.clone().requires_grad_(), y)
    with pytest.raises(usp.ArgumentError, match="x: ndarray, expected a torch.Tensor"):
        module(x.numpy(), t, y)


def test_second_derivatives_are_refused(sit):
    module, (x, t, y) = usp.torch.Module(stirred(sit)), inputs()
    x.requires_grad_()
    (slope,) = torch.autograd.grad(module(x, t, y).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiate twice"):
        (slope.square().sum() + x.sum()).backward()


@pytest.mark.parametrize("family, frozen, buffers", [
    ("DiT", {"pos_embed"}, set()), ("SiT", {"pos_embed"}, set()),
    ("LightningDiT", {"pos_embed"}, {"feat_rope.freqs_cos", "feat_rope.freqs_sin"}),
    ("ViT", set(), set())])
def test_tables_stay_as_they_are(family, frozen, buffers):
    """As in the originals: fixed positions are frozen parameters, rotary ones buffers."""
    model = usp.create(
        family, grid=2, channels=3, patch=2, width=32, depth=1, heads=2, classes=4, seed=1)
    module = usp.torch.Module(stirred(model))
    assert set(module.state_dict()) == set(model.parameters)
    assert {name for name, p in module.named_parameters() if not p.requires_grad} == frozen
    assert set(dict(module.named_buffers())) == buffers
    before = {name: value.clone() for name, value in module.state_dict().items()}
    given = inputs()[:1] if family == "ViT" else inputs()
    module(*given).square().sum().backward()
    torch.optim.AdamW(module.parameters(), 0.1, weight_decay=0.1).step()
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]) == (name in frozen | buffers), name
