"""Golden random streams: PyTorch's CPU generator (mt19937) and the counter-based CUDA stream."""

import numpy as np
import torch

from common import Case

SEEDS = (0, 42, 1234567890123)


def make_cpu():
    case = Case("random/torch_cpu", "torch.Generator().manual_seed(seed), CPU, float32",
                {"seeds": SEEDS}, 1e-6)
    for seed in SEEDS:
        def fresh():
            return torch.Generator().manual_seed(seed)
        for count in (1, 2, 5, 15, 16, 17, 24, 31, 32, 100, 257):
            case.put(f"out.{seed}.randn.{count}", torch.randn(count, generator=fresh()))
        case.put(f"out.{seed}.rand.19", torch.rand(19, generator=fresh()))
        case.put(f"out.{seed}.randint_1000.19", torch.randint(0, 1000, (19,), generator=fresh()))
        case.put(f"out.{seed}.randperm.50", torch.randperm(50, generator=fresh()))
        bits = torch.randint(0, 1 << 32, (9,), generator=fresh(), dtype=torch.int64)
        case.put(f"out.{seed}.bits.9", bits)
        stream = fresh()
        for number, (kind, count) in enumerate((
                ("randn", 5), ("randn", 20), ("rand", 3), ("randn", 3), ("randn", 2),
                ("randn", 16))):
            values = getattr(torch, kind)(count, generator=stream)
            case.put(f"out.{seed}.sequence.{number}.{kind}.{count}", values)
        case.put(f"out.{seed}.randn_f64.17",
                 torch.randn(17, generator=fresh(), dtype=torch.float64))
    case.note("sequence", "calls on one generator in that order; f64 values are rounded to f32")
    case.save()


def philox(counter, key, rounds=10):
    """Philox 4x32 (Salmon et al., SC 2011): counter [4, n] and key [2, n] of uint32."""
    counter = [np.asarray(part, dtype=np.uint64) for part in counter]
    key = [np.asarray(part, dtype=np.uint64) for part in key]
    low = np.uint64(0xFFFFFFFF)
    for _ in range(rounds):
        first, second = counter[0] * np.uint64(0xD2511F53), counter[2] * np.uint64(0xCD9E8D57)
        counter = [(second >> np.uint64(32)) ^ counter[1] ^ key[0], second & low,
                   (first >> np.uint64(32)) ^ counter[3] ^ key[1], first & low]
        key = [(key[0] + np.uint64(0x9E3779B9)) & low, (key[1] + np.uint64(0xBB67AE85)) & low]
    return counter


def cuda_normals(seed, offset, count):
    """What torch.randn gives on CUDA for call number `offset`, one thread an element."""
    zeros = np.zeros(count, dtype=np.uint64)
    counter = (zeros + np.uint64(offset), zeros, np.arange(count, dtype=np.uint64), zeros)
    key = (zeros + np.uint64(seed & 0xFFFFFFFF), zeros + np.uint64(seed >> 32))
    words = philox(counter, key)
    u = words[0] * 2.0 ** -32 + 2.0 ** -33
    v = (words[1] * 2.0 ** -32 + 2.0 ** -33) * 2 * np.pi
    return np.sqrt(-2 * np.log(u)) * np.sin(v)


def check_known_answers():
    """Random123's published vectors and the first CUDA values for seed 0."""
    answers = (
        ((0,) * 4, (0,) * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
         "d16cfe09 94fdcceb 5001e420 24126ea1"))
    for counter, key, wanted in answers:
        words = philox([np.array([c]) for c in counter], [np.array([k]) for k in key])
        assert " ".join(f"{int(word[0]):08x}" for word in words) == wanted
    known = [-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564]
    assert np.abs(cuda_normals(0, 0, 6) - known).max() < 1e-7


def make_cuda():
    check_known_answers()
    case = Case("random/cuda_philox", "Philox4x32-10 and Box-Muller's sine branch, as CUDA torch",
                {"seeds": SEEDS, "counter": "[call, 0, element, 0]", "key": "[low, high] of seed"},
                1e-6)
    for seed in SEEDS:
        for offset in (0, 1, 7):
            case.put(f"out.{seed}.call_{offset}.33",
                     torch.from_numpy(cuda_normals(seed, offset, 33)))
        zeros, index = np.zeros(4, dtype=np.uint64), np.arange(4, dtype=np.uint64)
        words = philox((zeros, zeros, index, zeros),
                       (zeros + np.uint64(seed & 0xFFFFFFFF), zeros + np.uint64(seed >> 32)))
        case.put(f"out.{seed}.words", torch.from_numpy(np.stack(words, 1).astype(np.int64)))
    case.note("words", "[element, 4] of call 0").save()


def make():
    make_cpu()
    make_cuda()


if __name__ == "__main__":
    make()
