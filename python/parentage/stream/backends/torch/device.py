"""Devices by name, what they lack, and the memory that they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parentage.support import DeviceError

if TYPE_CHECKING:
    import torch

KINDS = ("cpu", "cuda", "mps", "xpu")

SHARE = 0.5
"""Of the memory of a device that is free, what is used unless something else is said."""

HOST_MEMORY = 1 << 30
"""Bytes that are used where the device is the CPU."""

LEAST_MEMORY = 1 << 24
"""Bytes that hold one chunk of ten columns, about."""


def parse(name: str) -> tuple[str, list[int]]:
    """Return the kind of a device and the numbers of those that are meant, none for all or one.

    >>> parse("cuda:0,2"), parse("cpu")
    (('cuda', [0, 2]), ('cpu', []))

    Raises
    ------
    DeviceError
        If the name is none.
    """
    kind, colon, numbers = name.partition(":")
    known = ", ".join(KINDS)
    try:
        found = [int(each) for each in numbers.split(",")] if colon else []
    except ValueError:
        found = [-1]
    if kind not in KINDS or any(each < 0 for each in found) or len(set(found)) < len(found):
        raise DeviceError(
            f"{name!r} is no device; devices are {known}, and cuda:1 or cuda:0,1 where there are "
            "several"
        )
    if found and kind in ("cpu", "mps"):
        raise DeviceError(f"{name!r} is no device: there is one {kind}, called {kind}")
    return kind, found


def load() -> None:
    """Import torch.

    Raises
    ------
    DeviceError
        If it is not installed, or is no release that this was written for.
    """
    try:
        import torch
    except ImportError as error:
        raise DeviceError(
            "a device is computed on with torch, which is not installed or can not be loaded "
            f"({error}): pip install 'parentage[torch]'"
        ) from error
    if not hasattr(torch, "float8_e4m3fn") or tuple(
        int(each) for each in torch.__version__.split(".")[:2]
    ) < (2, 4):
        raise DeviceError(f"torch {torch.__version__} is too old: 2.4 or later is needed")


def find(name: str) -> tuple[list[torch.device], str | None]:
    """Return the devices that a name means, and what is to be said of them.

    Raises
    ------
    DeviceError
        If there is none, or it is too old.
    """
    kind, numbers = parse(name)
    load()
    import torch

    if kind == "cpu":
        return [torch.device("cpu")], None
    if kind == "mps":
        if not torch.backends.mps.is_available():
            raise DeviceError("no device is called mps here: this is no Mac with a GPU of Apple")
        return [torch.device("cpu")], "mps has no float64; what is computed is computed on the CPU"
    module = torch.cuda if kind == "cuda" else torch.xpu
    count = module.device_count() if module.is_available() else 0
    if count == 0:
        built = torch.version.cuda if kind == "cuda" else getattr(torch.version, "xpu", None)
        why = (
            f"torch sees no {kind} device (is there one, and its driver?)"
            if built
            else f"torch {torch.__version__} was built without {kind}"
        )
        raise DeviceError(f"{name}: {why}")
    if missing := [each for each in numbers if each >= count]:
        raise DeviceError(f"{name}: there is no {kind}:{missing[0]}; there are {count}")
    found = [torch.device(kind, each) for each in (numbers or range(count))]
    for device in found if kind == "cuda" else ():
        major, minor = torch.cuda.get_device_capability(device)
        named = f"{torch.cuda.get_device_name(device)} (compute capability {major}.{minor})"
        have = [int(arch[3:]) for arch in torch.cuda.get_arch_list() if arch[3:].isdigit()]
        if have and 10 * major + minor < min(have):
            raise DeviceError(f"{name}: {named} is too old for torch {torch.__version__}")
    return found, None


def budget(device: torch.device, asked: int | None) -> int:
    """Return the bytes that may be used of a device's memory.

    Raises
    ------
    DeviceError
        If fewer were asked for than a chunk takes.
    """
    if asked is not None:
        if asked < LEAST_MEMORY:
            raise DeviceError(
                f"device memory must be {LEAST_MEMORY:,} bytes at least, not {asked:,}"
            )
        return asked
    if device.type == "cpu":
        return HOST_MEMORY
    import torch

    module = torch.cuda if device.type == "cuda" else torch.xpu
    free: int = module.mem_get_info(device)[0]
    return max(LEAST_MEMORY, int(free * SHARE))


def describe(device: torch.device) -> dict[str, str]:
    """Return what tells a device and what computes on it from others."""
    import torch

    told = {"backend": "torch", "torch": torch.__version__, "device": str(device)}
    if device.type == "cpu":
        told["level"] = torch.backends.cpu.get_cpu_capability()
    elif device.type == "cuda":
        told["name"] = torch.cuda.get_device_name(device)
        told["cuda"] = str(torch.version.cuda)
    else:
        told["name"] = torch.xpu.get_device_name(device)
    return told


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception of torch says that memory was not enough."""
    import torch

    kinds = tuple(
        each
        for each in (
            getattr(torch, "OutOfMemoryError", None),
            getattr(torch.cuda, "OutOfMemoryError", None),
        )
        if each is not None
    )
    if isinstance(error, (MemoryError, *kinds)):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
