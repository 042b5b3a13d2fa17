"""Processes that train one model together."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from . import _abi
from ._callbacks import Callbacks
from ._handles import Handle
from ._library import lib


class Ranks(Handle):
    """This process among those that train together. Immutable.

    Data, trainers and runs take it: each rank gets its own share of every batch, gradients are
    summed over all of them, and rank 0 writes the files.

    Parameters
    ----------
    rank : 0 to count - 1
    allreduce : function(array) that sums a flat float32 array over all ranks, in place
    """

    kind = "usp_ranks"

    def __init__(self, rank: int, count: int, allreduce: "Callable[[np.ndarray], Any]"):
        self.callbacks = Callbacks()
        self.rank, self.count = rank, count
        reduce = self.callbacks.wrap(_abi.usp_allreduce_fn, flat(allreduce))
        self._adopt(lib.usp_ranks_create, rank, count, reduce, None)


def flat(function: "Callable[[np.ndarray], Any]") -> Callable[..., None]:
    """The C form of an all-reduce."""

    def reduce(data: Any, count: int, _user: Any) -> None:
        function(np.ctypeslib.as_array(data, (count,)))

    return reduce
