"""Runs one peer (PyTorch, zentorch, ONNX Runtime, OpenVINO) on one work, driven by lines on standard input.

Commands: `run N` (N timed runs), `output PATH` (the first result as f32), `memory`, `quit`.
When the first result is there it says `ready` and the seconds of its last run; a training work's
result is the losses of its first steps.
Started as: peers.py PEER DTYPE WORK_JSON FOLDER
"""

import json
import os
import sys
import time
from pathlib import Path

for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(name, None)

import numpy as np  # noqa: E402

from arrays import feeds, inputs  # noqa: E402
from contender import exported  # noqa: E402
from works import STEPS, Work  # noqa: E402


class Torch:
    """Eager or compiled, f32 or bfloat16 autocast."""

    def __init__(self, work, dtype, folder, backend=None):
        import torch
        from safetensors.torch import load_file

        from peer_network import network

        self.torch, self.work = torch, work
        torch.set_num_threads(work.threads)
        weights = load_file(folder / "weights.safetensors")
        module = network(work, weights)
        self.module = torch.compile(module, backend=backend) if backend else module
        self.autocast = torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bf16")
        self.arrays = {name: torch.from_numpy(array) for name, array in inputs(work).items()}
        if work.task == "train":
            self.prepare_training(module)
        else:
            self.arguments = [self.arrays[name] for name in feeds(work)]

    def prepare_training(self, module):
        torch = self.torch
        from peer_models import Diffusion

        module.train()
        # Weights that are views of the file cannot be updated.
        for value in module.parameters():
            value.data = value.data.clone()
        self.trained = [value for value in module.parameters() if value.requires_grad]
        dit, mar = self.work.family == "dit", self.work.family == "mar"
        if mar:
            decaying, others = [], []
            for name, value in module.named_parameters():
                decays = value.dim() > 1 and not name.startswith("diffloss")
                (decaying if decays else others).append(value)
            groups = [{"params": decaying, "weight_decay": 0.02},
                      {"params": others, "weight_decay": 0}]
            self.optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), fused=True)
            self.average = [value.detach().clone() for value in self.trained]
            self.diffusion = None
            return
        self.optimizer = torch.optim.AdamW(
            self.trained, lr=1e-4, betas=(0.9, 0.999 if dit else 0.95),
            weight_decay=0 if dit else 0.05, fused=True)
        self.average = [value.detach().clone() for value in self.trained] if dit else None
        self.diffusion = Diffusion() if dit else None

    def loss(self):
        a = self.arrays
        with self.autocast:
            if self.diffusion:
                return self.diffusion.loss(self.module, a["x"], a["t"], a["y"], a["noise"])
            if self.work.family == "mar":
                return self.module(*a.values())
            return self.module(a["x"], a["noise"])

    def step(self):
        loss = self.loss()
        loss.backward()
        if self.work.family == "mar":
            self.torch.nn.utils.clip_grad_norm_(self.trained, 3.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.torch._foreach_lerp_(self.average, [v.detach() for v in self.trained], 1 - 0.9999)
        return loss.detach().reshape(1)

    def run(self):
        if self.work.task == "train":
            return self.step()
        with self.torch.inference_mode(), self.autocast:
            return self.module(*self.arguments)

    def array(self, result):
        return result.float().numpy()


def zentorch(work, dtype, folder):
    """AMD's backend of torch.compile."""
    import zentorch as backend  # noqa: F401  registers itself

    return Torch(work, dtype, folder, "zentorch")


class OnnxRuntime:
    def __init__(self, work, dtype, folder):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = work.threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            str(folder / exported("onnxruntime", dtype)), options, providers=["CPUExecutionProvider"])
        self.feeds = feeds(work)

    def run(self):
        return self.session.run(None, self.feeds)[0]

    def array(self, result):
        return result


class OpenVino:
    def __init__(self, work, dtype, folder):
        import openvino

        core = openvino.Core()
        # What an int8 network has in other types is f32, as in ours.
        hint = "f32" if dtype == "int8" else dtype
        self.request = core.compile_model(str(folder / exported("openvino", dtype)), "CPU", {
            "INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": work.threads,
            "PERFORMANCE_HINT": "LATENCY"}).create_infer_request()
        self.feeds = list(feeds(work).values())

    def run(self):
        self.request.infer(self.feeds, share_inputs=True)
        return self.request.get_output_tensor(0).data

    def array(self, result):
        return np.array(result, np.float32)


PEERS = {
    "torch": Torch, "onnxruntime": OnnxRuntime, "openvino": OpenVino,
    "torch.compile": lambda work, dtype, folder: Torch(work, dtype, folder, "inductor"),
    "zentorch": zentorch,
}


def memory():
    """Peak resident memory, MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def serve(runner, task):
    results = []
    for _ in range(STEPS if task == "train" else 1):
        begin = time.perf_counter()
        results.append(np.array(runner.array(runner.run()), np.float32))
        seconds = time.perf_counter() - begin
    print("ready", seconds, flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "run":
            times = []
            for _ in range(int(arguments[0])):
                begin = time.perf_counter()
                runner.run()
                times.append(time.perf_counter() - begin)
            print("ok", *times, flush=True)
        elif command == "output":
            np.concatenate(results, axis=None).tofile(arguments[0])
            print("ok", flush=True)
        elif command == "memory":
            print("ok", memory(), flush=True)
        else:
            break


def main():
    name, dtype, described, folder = sys.argv[1:5]
    work = Work(**json.loads(described))
    serve(PEERS[name](work, dtype, Path(folder)), work.task)


if __name__ == "__main__":
    main()
