"""Memory devices as state machines in simulated time: ACPI DIMM, virtio-mem, dax/kmem."""
