"""Policies and workloads by name: found, checked, and made from what an experiment file says.

A plug-in is named either by an entry point (groups ``memhp_sim.policies`` and ``memhp_sim.workloads``; any installed
distribution may declare some) or by its place, ``path/to/file.py:Class``, relative to the experiment file. A plug-in
that cannot be imported spoils only the experiments that name it.
"""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sim.faults import Faults, MemhpSimError, let_pass, shown, text_of, unknown_name
from sim.plugins.contained import without_exit
from sim.plugins.parameters import DescriptionError, parameters_of

if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from importlib.metadata import Distribution, EntryPoint

    from sim.plugins.parameters import Parameter


@dataclass(frozen=True, slots=True)
class Kind:
    """A family of plug-ins: its ``word`` in messages, its entry-point ``group``, and where its base class is."""

    word: str
    group: str
    base_module: str
    base_name: str

    @property
    def base(self) -> type:
        """The class that every plug-in of this kind derives from."""
        return getattr(importlib.import_module(self.base_module), self.base_name)  # type: ignore[no-any-return]


POLICY: Final = Kind("policy", "memhp_sim.policies", "policies.contract", "Policy")
WORKLOAD: Final = Kind("workload", "memhp_sim.workloads", "workloads.contract", "Workload")


class PluginError(MemhpSimError):
    """A plug-in cannot be had: unknown name, import that fails, not a class of its kind, mistaken description."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plug-in that was found.

    ``name`` as the experiment writes it, ``cls`` its class, ``origin`` where it comes from in words, ``code`` SHA-256
    of the source that defines it, see :func:`_code` (empty where there is none).
    """

    name: str
    cls: Any
    origin: str
    code: str

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters that the class takes. Raises DescriptionError."""
        return parameters_of(self.cls)

    @property
    def summary(self) -> str:
        """One line that says what it is."""
        return str(self.cls.summary)


@dataclass(frozen=True, slots=True)
class Listed:
    """A line of a listing: the plug-in, or why it cannot be used."""

    name: str
    plugin: Plugin | None
    error: str


def names(kind: Kind) -> list[str]:
    """Return the names of all plug-ins of ``kind`` that are installed, in order. Imports none of them."""
    return sorted({entry.name for entry in _declared(kind.group)})


def listing(kind: Kind) -> list[Listed]:
    """Return all installed plug-ins of ``kind`` by name, those that fail with their error."""
    lines = []
    for name in names(kind):
        try:
            lines.append(Listed(name, find(kind, name), ""))
        except PluginError as error:
            lines.append(Listed(name, None, str(error)))
    return lines


def find(kind: Kind, name: str, folder: Path | None = None) -> Plugin:
    """Return the plug-in ``name`` of ``kind``.

    ``folder`` is what the path in ``path/to/file.py:Class`` is relative to (the working directory where None).
    Raises PluginError with what is wrong; for an unknown name it lists the valid ones.
    """
    file_name, colon, class_name = name.rpartition(":")
    if colon and file_name.endswith(".py"):
        path = (folder or Path()) / file_name
        return _checked(kind, name, _from_file(path, class_name), f"file {path}")
    entries = [entry for entry in _declared(kind.group) if entry.name == name]
    if not entries:
        raise PluginError(f"{unknown_name(kind.word, name, names(kind))}; or path/to/file.py:Class")
    if len({entry.value for entry in entries}) > 1:
        owners = ", ".join(sorted(f"{_distribution(entry)} ({entry.value})" for entry in entries))
        raise PluginError(f"{kind.word} {name!r} is declared more than once: {owners}; uninstall one of them")
    entry = entries[0]
    try:
        with without_exit():
            candidate = entry.load()
    except BaseException as error:  # whatever a third party's module does on import
        let_pass(error)
        raise PluginError(f"{kind.word} {name!r} ({entry.value}) cannot be imported: {_in_words(error)}") from error
    return _checked(kind, name, candidate, _distribution(entry))


def configure(plugin: Plugin, values: Mapping[str, object], faults: Faults) -> dict[str, Any]:
    """Return all parameters of ``plugin`` as plain JSON values: those of ``values`` converted, the others by default.

    What is wrong is added to ``faults``, each under its key. A parameter without default (None) that
    is not given is left out. Paths stay as written.
    """
    parameters = {parameter.name: parameter for parameter in plugin.parameters}
    configured: dict[str, Any] = {}
    for key in values:
        if key not in parameters:
            faults.below(key).add(unknown_name(f"parameter of {plugin.name}", key, parameters))
    for name, parameter in parameters.items():
        if name in values:
            configured[name] = parameter.type.convert(values[name], faults.below(name))
        elif parameter.default is not None:
            configured[name] = parameter.type.convert(parameter.written, faults.below(name))
        elif parameter.required:
            faults.below(name).add(f"is missing; {plugin.name} needs it: {parameter.meaning}")
    return configured


def create(plugin: Plugin, configured: Mapping[str, Any], folder: Path, faults: Faults) -> Any:  # noqa: ANN401
    """Return an instance of ``plugin`` made from ``configured`` values, or None with ``faults`` that say why not.

    Paths among the values are taken relative to ``folder``. An exception of ``__init__`` is one fault; if it carries
    ``faults``, strings such as ``"size: must be ..."``, each of these is one.
    The values are held to what the parameters say of themselves, too: a plug-in need not do it itself.
    """
    parameters = {parameter.name: parameter for parameter in plugin.parameters}
    arguments = {
        name: parameters[name].type.with_paths(value, lambda path: str(folder / path))
        for name, value in configured.items()
    }
    refused = {name: parameters[name].complaints(value) for name, value in arguments.items()}
    before = len(faults)
    instance = None
    try:
        with without_exit():
            instance = plugin.cls(**arguments)
    except ValueError as error:
        sentences = getattr(error, "faults", None)
        for complaint in sentences if isinstance(sentences, (list, tuple)) else (error,):
            refused.pop(_place(str(complaint), parameters, faults), None)
    except BaseException as error:  # noqa: BLE001  whatever a third party's constructor does
        let_pass(error)
        if not any(refused.values()):  # else it may have failed because of what is told below
            faults.add(f"{plugin.name} cannot be made: {_in_words(error)}")
    for name, complaints in refused.items():
        for what in complaints:
            faults.below(name).add(what)
    return None if len(faults) > before else instance


def file_paths(plugin: Plugin, configured: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the paths among the ``configured`` values, as written, each with the name of its parameter."""
    return [
        (parameter.name, path)
        for parameter in plugin.parameters
        for path in parameter.paths(configured.get(parameter.name))
    ]


@cache
def _declared(group: str) -> tuple[EntryPoint, ...]:
    """Return what installed distributions declare. Kept, because a look at all of them takes milliseconds."""
    return tuple(entry_points(group=group))


def _from_file(path: Path, class_name: str) -> object:
    try:
        path = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise PluginError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    module_name = f"memhp_sim_file_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    module = sys.modules.get(module_name)
    if module is None:
        spec = importlib.util.spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise PluginError(f"{path} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module  # as an import does it; dataclasses look their module up
        # It may import what lies beside it; last on the path, so that nothing there is taken for what others import.
        beside = [] if str(path.parent) in sys.path else [str(path.parent)]
        sys.path += beside
        try:
            with without_exit():
                spec.loader.exec_module(module)
        except BaseException as error:  # whatever a user's module does on import
            let_pass(error)
            del sys.modules[module_name]
            raise PluginError(f"{path} cannot be imported: {_in_words(error)}") from error
        finally:
            for folder in beside:
                sys.path.remove(folder)
    try:
        return getattr(module, class_name)
    except AttributeError:
        classes = [
            name for name, value in vars(module).items() if inspect.isclass(value) and value.__module__ == module_name
        ]
        raise PluginError(f"{path}: {unknown_name('class', class_name, classes)}") from None


def _checked(kind: Kind, name: str, candidate: object, origin: str) -> Plugin:
    """Return ``candidate`` as a plug-in if it is a usable class of its kind."""
    if not inspect.isclass(candidate) or not issubclass(candidate, kind.base):
        raise PluginError(f"{kind.word} {name!r} ({origin}) is not a subclass of {kind.base_module}.{kind.base_name}")
    if inspect.isabstract(candidate):
        missing = ", ".join(sorted(getattr(candidate, "__abstractmethods__", ())))
        raise PluginError(f"{kind.word} {name!r} ({origin}) does not define {missing}")
    for attribute in ("name", "summary"):
        text = getattr(candidate, attribute, None)
        if not isinstance(text, str) or not text.strip() or not text.isprintable():
            raise PluginError(
                f"{kind.word} {name!r} ({origin}) needs a {attribute}, one line of text, but has {text!r}"
            )
    plugin = Plugin(name, candidate, origin, _code(candidate))
    try:
        described = {parameter.name for parameter in plugin.parameters}
    except DescriptionError as error:
        raise PluginError(f"{kind.word} {name!r} ({origin}) describes its parameters wrongly: {error}") from error
    if reserved := sorted(described & RESERVED_KEYS):
        raise PluginError(f"{kind.word} {name!r} ({origin}) uses a reserved word as parameter: {', '.join(reserved)}")
    return plugin


RESERVED_KEYS: Final = frozenset({"name", "label", "machines", "together"})
"""Keys of a policy's or workload's table that are not parameters."""


def _code(cls: type) -> str:
    """Return what identifies the source of ``cls`` and of the classes of third parties that it is derived from.

    The program's own are known by :func:`sim.results.identity.code_version`.
    """
    own = {"sim", "policies", "workloads"}
    bases = [base for base in cls.__mro__[1:] if base.__module__.partition(".")[0] not in own | sys.stdlib_module_names]
    digests = [_digest(each) for each in (cls, *bases)]
    return digests[0] if not bases else hashlib.sha256("".join(digests).encode()).hexdigest()


def _digest(cls: type) -> str:
    try:
        source = inspect.getsourcefile(cls)
        if not source:
            return ""
        state = Path(source).stat()
        return _digest_of_file(source, state.st_mtime_ns, state.st_size)
    except (OSError, TypeError):
        return ""


@lru_cache(maxsize=256)
def _digest_of_file(path: str, mtime_ns: int, size: int) -> str:  # noqa: ARG001 - of the file as it was then
    """Return the digest of a file. Kept, because every cell asks for those of its policy and workload."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _place(complaint: str, parameters: Container[str], faults: Faults) -> str:
    """Add a plug-in's ``complaint`` as a fault of the parameter whose name it begins with. Return that, or nothing."""
    first = complaint.split(maxsplit=1)[0].strip("`'\":") if complaint.strip() else ""
    if first in parameters:
        what = complaint.split(maxsplit=1)[1] if complaint.startswith(f"{first}: ") else complaint
        faults.below(first).add(what)
        return first
    faults.add(complaint or "is refused without a reason")
    return ""


@cache
def _distribution(entry: EntryPoint) -> str:
    return "an unknown distribution" if entry.dist is None else _name_and_version(entry.dist)


@cache
def _name_and_version(distribution: Distribution) -> str:
    """Return both. Kept, because a distribution's whole description is read for each of them."""
    return f"{distribution.name} {distribution.version}"


def _in_words(error: BaseException) -> str:
    text = " ".join(text_of(error).split())
    return f"{type(error).__name__}: {shown(text)[1:-1] if len(text) > 300 else text}" if text else type(error).__name__  # noqa: PLR2004
