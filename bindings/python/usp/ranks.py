"""Processes that train one model together."""

from __future__ import annotations

import ctypes
from importlib import import_module
from typing import Any, Callable, Tuple

import numpy as np

from . import _abi
from ._callbacks import Callbacks
from ._errors import ArgumentError
from ._handles import Handle
from ._library import lib

#: Sends the second array to the rank that is the first argument, and receives its into the third.
Exchange = Callable[[int, np.ndarray, np.ndarray], Any]


class Ranks(Handle):
    """This process among those that train together. Immutable.

    Data, trainers and runs take it: each rank gets its own share of every batch, gradients are
    summed over all of them, and rank 0 writes the files.

    `Ranks.mpi`, `Ranks.from_mpi4py` and `Ranks.from_torch` make ranks whose number changes no bit: a
    batch is cut into parts (`Trainer(parts=)`), whose gradients are summed in pairs within a rank and
    across 1, 2, 4, 8, ... ranks. An error on one rank is an error of all, and ranks that differ in
    version, model, data or options are told. All ranks make what takes them, and call it, in the same
    order.

    Called directly, with a function that sums, it makes the simplest case: nothing is compared, and
    bits depend on the number of ranks.

    Parameters
    ----------
    rank : 0 to count - 1
    count : how many there are
    allreduce : function(array) that sums a flat float32 array over all ranks, in place
    """

    kind = "usp_ranks"

    def __init__(self, rank: int, count: int, allreduce: "Callable[[np.ndarray], Any]"):
        self.callbacks = Callbacks()
        reduce = self.callbacks.wrap(_abi.usp_allreduce_fn, flat(allreduce))
        self._adopt(lib.usp_ranks_create, rank, count, reduce, None)

    @property
    def rank(self) -> int:
        """This process's place, 0 to count - 1."""
        return int(lib.usp_ranks_rank(self.handle))

    @property
    def count(self) -> int:
        """How many ranks there are."""
        return int(lib.usp_ranks_count(self.handle))

    @classmethod
    def mpi(cls) -> "Ranks":
        """The ranks of the MPI job that this process belongs to; one rank outside of a job.

        MPI is reached through libusp-mpi.so, which `make mpi` builds: what the environment's USP_MPI
        names, else beside the library, in ../lib, or in the loader's path. MPI is begun unless
        somebody has (mpi4py does when it is imported), and then ended when the process exits.
        """
        self = cls.__new__(cls)
        self.callbacks = Callbacks()
        self._adopt(lib.usp_ranks_from_mpi)
        return self

    @classmethod
    def from_mpi4py(cls, comm: Any) -> "Ranks":
        """The processes of a communicator of mpi4py.

        Parameters
        ----------
        comm : an mpi4py.MPI.Intracomm; it is duplicated, so that messages never meet the host's. MPI
            was begun for several threads, as mpi4py does by itself; else trainers need overlap=False
        """
        own = comm.Dup()

        def exchange(peer: int, sent: np.ndarray, received: np.ndarray) -> None:
            own.Sendrecv(sent, dest=peer, recvbuf=received, source=peer)

        return cls._with(
            own.Get_rank(), own.Get_size(), exchange,
            all_gather=lambda data, everything: own.Allgather(data, everything),
            broadcast=lambda data, root: own.Bcast(data, root=root),
            barrier=own.Barrier)

    @classmethod
    def from_torch(cls, group: Any = None) -> "Ranks":
        """The processes of a group of torch.distributed with tensors in memory, such as gloo.

        Parameters
        ----------
        group : a process group; None is the default one, which init_process_group has made
        """
        torch: Any = import_module("torch")
        distributed: Any = import_module("torch.distributed")
        rank, count = distributed.get_rank(group), distributed.get_world_size(group)
        if rank < 0:
            raise ArgumentError("group: this process is none of its ranks")

        def place(member: int) -> int:
            return member if group is None else distributed.get_global_rank(group, member)

        def exchange(peer: int, sent: np.ndarray, received: np.ndarray) -> None:
            waiting = distributed.irecv(torch.from_numpy(received), src=place(peer), group=group)
            distributed.send(torch.from_numpy(sent), dst=place(peer), group=group)
            if waiting is not None:
                waiting.wait()

        def all_gather(data: np.ndarray, everything: np.ndarray) -> None:
            rows = list(torch.from_numpy(everything.reshape(count, -1)).unbind(0))
            distributed.all_gather(rows, torch.from_numpy(data), group=group)

        def broadcast(data: np.ndarray, root: int) -> None:
            distributed.broadcast(torch.from_numpy(data), src=place(root), group=group)

        return cls._with(
            rank, count, exchange, all_gather, broadcast, lambda: distributed.barrier(group))

    @classmethod
    def _with(
        cls, rank: int, count: int, exchange: Exchange,
        all_gather: "Callable[[np.ndarray, np.ndarray], Any]",
        broadcast: "Callable[[np.ndarray, int], Any]", barrier: "Callable[[], Any]",
    ) -> "Ranks":
        self = cls.__new__(cls)
        self.callbacks = Callbacks()

        def scatter(data: Any, sums: Any, size: int, _user: Any) -> None:
            reduce_scatter(
                rank, count, exchange, np.ctypeslib.as_array(data, (count, size)),
                np.ctypeslib.as_array(sums, (size,)))

        def gather(data: Any, everything: Any, size: int, _user: Any) -> None:
            all_gather(bytes_at(data, size), bytes_at(everything, size * count))

        self._adopt(
            lib.usp_ranks_from_functions, rank, count,
            self.callbacks.wrap(_abi.usp_reduce_scatter_fn, scatter),
            self.callbacks.wrap(_abi.usp_all_gather_fn, gather),
            self.callbacks.wrap(
                _abi.usp_broadcast_fn,
                lambda data, size, root, _user: broadcast(bytes_at(data, size), root)),
            self.callbacks.wrap(_abi.usp_barrier_fn, lambda _user: barrier()), None,
            through=self.callbacks)
        return self


def flat(function: "Callable[[np.ndarray], Any]") -> Callable[..., None]:
    """The C form of an all-reduce."""

    def reduce(data: Any, count: int, _user: Any) -> None:
        function(np.ctypeslib.as_array(data, (count,)))

    return reduce


def bytes_at(address: int, size: int) -> np.ndarray:
    """Memory as an array of bytes."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


def reduce_scatter(
    rank: int, count: int, exchange: Exchange, data: np.ndarray, sums: np.ndarray
) -> None:
    """Recursive halving whose first exchange is with the neighbour: sums (0 + 1) + (2 + 3), ...

    Parameters
    ----------
    data : [count, n] f32, a row for each rank; count is a power of two
    sums : [n] f32, where this rank's row ends, summed over all
    """
    bits = count.bit_length() - 1
    kept = data[[sum((row >> b & 1) << bits - 1 - b for b in range(bits)) for row in range(count)]]
    distance = 1
    while distance < count:
        half = len(kept) // 2
        sent, kept = halves(kept, half, bool(rank & distance))
        received = np.empty_like(kept)
        exchange(rank ^ distance, sent, received)
        kept += received
        distance *= 2
    sums[:] = kept[0]


def halves(values: np.ndarray, half: int, keeps_second: bool) -> Tuple[np.ndarray, np.ndarray]:
    """What is sent, and what is kept."""
    first, second = values[:half], values[half:]
    return (first, second) if keeps_second else (second, first)
