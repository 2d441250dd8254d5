"""How each kind of device plugs and unplugs, in time: DIMM, virtio-mem, dax/kmem, as Linux's drivers do it.

It must not know policies by name, workloads, scores.
"""
