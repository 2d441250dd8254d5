"""Planted fault: a size that does not suit is told by an error that names no parameter, and no pace can be had."""

from typing import Annotated

from memhp_sim import GIB, Size, VirtioMemSpec, Workload


class Planted(Workload):
    name = "wrong-parameters"
    summary = "a device of so many GiB"

    def __init__(self, *, size: Annotated[int, Size(), "its size"] = 4 * GIB):
        assert size % GIB == 0
        self.size = size

    def duration(self):
        return 60.0

    @classmethod
    def at_pace(cls, parameters, pace):
        return {**parameters, "sizes": 3}

    def run(self, host, streams):
        host.plug(VirtioMemSpec("vmem0", self.size, requested=self.size))
        yield host.env.timeout(30_000_000)
