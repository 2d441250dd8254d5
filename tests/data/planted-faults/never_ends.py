"""Planted fault: it waits for the guest without letting time pass."""

from memhp_sim import GIB, VirtioMemSpec, Workload


class Planted(Workload):
    name = "never-ends"
    summary = "waits until the guest is done"

    def duration(self):
        return 60.0

    def run(self, host, streams):
        host.plug(VirtioMemSpec("vmem0", 8 * GIB, requested=8 * GIB))
        while host.busy("vmem0") or True:
            yield host.env.timeout(0)
