"""One or more folders of results gathered, so that policies of all of them stand side by side.

Two runs are a pair where they met the same wishes: machine, workload, guest, times, seed and replication are the same,
whatever they are called. The same label may stand for other things in another folder; then it gets the folder's name.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pandas as pd

from sim.analysis.compare import CONDITIONS, named_conditions, named_workload, policies_in_order
from sim.analysis.regret import BOUND
from sim.analysis.wording import some_of
from sim.experiment.load import load_stored
from sim.faults import Fault, InputError, set_off, unknown_name
from sim.results.failure import Status
from sim.results.identity import canonical_json, code_version, sha256
from sim.results.manifest import read_manifest
from sim.results.store import ResultStore
from sim.units import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sim.experiment.plan import Combination, Experiment

Pair = tuple[str, str]
"""A machine's and a workload's label."""

_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Source:
    """A folder of results: its short ``name`` among those given, and what its manifest says, None where it has none.

    ``code`` is the version of the program that wrote it and ``seeds`` are the master seeds of its runs. ``policies``
    and ``scenarios`` say under which labels the policies, and pairs of machine and workload, of the folder stand in
    what was gathered.
    """

    folder: Path
    name: str
    experiment: Experiment | None
    code: str | None
    seeds: tuple[int, ...]
    policies: Mapping[str, str] = field(default_factory=dict)
    scenarios: Mapping[Pair, Pair] = field(default_factory=dict)

    @property
    def store(self) -> ResultStore:
        """The store in the folder."""
        return ResultStore(self.folder)


@dataclass(frozen=True, slots=True)
class Gathered:
    """The runs of all ``sources``: rows as :meth:`sim.results.store.ResultStore.runs` gives them, and ``source``.

    That column is the number of the folder. Labels are unambiguous, swept values of guest and times stand in the
    workload's. ``policies`` are their labels in order, ``bounds`` those of them that know the future, ``scenarios`` the
    pairs of machine and workload in order, and ``baseline`` is the policy that others are held against. ``notes`` say
    what a reader has to know: other versions, what is not paired, what was renamed, runs that did not complete.
    """

    sources: tuple[Source, ...]
    runs: pd.DataFrame
    policies: tuple[str, ...]
    baseline: str
    bounds: tuple[str, ...]
    scenarios: tuple[Pair, ...]
    notes: tuple[str, ...]

    @property
    def bound(self) -> str | None:
        """The first policy that knows the future; None where there is none."""
        return next(iter(self.bounds), None)

    def origin(self, policy: str) -> Source:
        """Return where ``policy`` comes from. Raises KeyError for a label that there is not."""
        for source in self.sources:
            if policy in source.policies.values():
                return source
        raise KeyError(policy)

    def only(
        self, policies: Sequence[str] = (), machines: Sequence[str] = (), workloads: Sequence[str] = ()
    ) -> Gathered:
        """Return the runs of these labels alone, of all where there are none; the baseline stays.

        Raises InputError with what is not there.
        """
        faults = []
        runs = self.runs
        scenarios = self.scenarios
        for place, (name, wanted) in enumerate((("machine", machines), ("workload", workloads), ("policy", policies))):
            there = list(dict.fromkeys(self.runs[name]))
            faults += [Fault("", unknown_name(name, label, there)) for label in wanted if label not in there]
            if wanted:
                kept = {*wanted, self.baseline} if name == "policy" else set(wanted)
                runs = runs[runs[name].isin(kept)]
                scenarios = scenarios if name == "policy" else tuple(pair for pair in scenarios if pair[place] in kept)
        if faults:
            raise InputError(", ".join(source.name for source in self.sources), faults)
        left = set(runs["policy"])
        pairs = set(zip(runs["machine"], runs["workload"], strict=True))
        return replace(
            self,
            runs=runs.reset_index(drop=True),
            policies=tuple(policy for policy in self.policies if policy in left),
            bounds=tuple(policy for policy in self.bounds if policy in left),
            scenarios=tuple(pair for pair in scenarios if pair in pairs),
        )


def gather(folders: Sequence[Path | str], baseline: str | None = None) -> Gathered:
    """Return what is in the result ``folders``, the first of which says what others are held against.

    ``baseline`` is the label of another policy for that. Raises InputError where a folder holds no runs, where what
    its manifest describes is gone, or where no policy is called as ``baseline``.
    """
    paths = list(dict.fromkeys(Path(folder).resolve() for folder in folders))
    shown = [next(Path(each) for each in folders if Path(each).resolve() == path) for path in paths]
    notes = [] if len(paths) == len(folders) else ["A folder that was given twice is taken once."]
    sources, frames = [], []
    for path, name in zip(shown, short_names(shown), strict=True):
        source, frame, told = _read(path, name)
        sources.append(source)
        frames.append(frame)
        notes += told
    sources, told = _in_one(sources, frames)
    notes += told
    runs = pd.concat([_relabelled(*each, number) for number, each in enumerate(zip(sources, frames, strict=True))])
    runs = runs.reset_index(drop=True)
    named = [source.policies[label] for source in sources for label in _policies(source)]
    policies = policies_in_order(runs, named)
    baseline = _baseline(sources[0], policies) if baseline is None else baseline
    if baseline not in policies:
        raise InputError(", ".join(map(str, shown)), [Fault("baseline", unknown_name("policy", baseline, policies))])
    return Gathered(
        sources=tuple(sources),
        runs=runs,
        policies=tuple(policies),
        baseline=baseline,
        bounds=tuple(policy for policy in policies if policy in _bounds(sources)),
        scenarios=_scenarios(sources, runs),
        notes=tuple(dict.fromkeys([*notes, *_incomplete(runs)])),
    )


def short_names(folders: Sequence[Path]) -> list[str]:
    """Return what tells ``folders`` apart: the last part of their paths, and as many before it as that takes."""
    parts = [folder.resolve().parts for folder in folders]
    depth = 1
    while len({part[-depth:] for part in parts}) < len(set(parts)):
        depth += 1
    return ["/".join(part[-depth:]) for part in parts]


def _read(folder: Path, name: str) -> tuple[Source, pd.DataFrame, list[str]]:
    """Return a folder with its runs, and what is to be told of it."""
    runs = ResultStore(folder).runs()
    if runs.empty:
        raise InputError(str(folder), [Fault("", "holds no runs")])
    notes, experiment, code = [], None, None
    try:
        experiment = load_stored(folder)
        if experiment is None:
            notes.append(f"{name} has no manifest, as its run did not come to an end or is under way.")
        else:
            code = str(read_manifest(folder)["program"]["code"])
    except InputError as error:
        notes.append(f"{name}: what its manifest describes cannot be had any more ({error}).")
    except (ValueError, KeyError, TypeError) as error:
        notes.append(f"{name}: its manifest cannot be read ({error}).")
    if code not in (None, code_version()):
        notes.append(f"{name} was computed by version {code} of the program, this is {code_version()}.")
    seeds = tuple(sorted({int(seed) for seed in runs["seed"].dropna()}))
    return Source(folder, name, experiment, code, seeds), runs, notes


def _traffic(combination: Combination) -> str:
    """Return what the wishes in a scenario follow from, whatever machine and workload are called."""
    identity = {name: part for name, part in combination.identity().items() if name not in {"policy", "rivals"}}
    for name in ("machine", "workload"):
        identity[name] = {key: value for key, value in identity[name].items() if key != "label"}
    return sha256(canonical_json(identity))


def _named(combination: Combination) -> Pair:
    """Return the labels of machine and workload as :func:`sim.analysis.compare.named_conditions` has them."""
    machine = combination.machine.label
    return machine, named_workload(combination.workload.label, machine, combination.factors)


def _traffics(source: Source, runs: pd.DataFrame) -> dict[Pair, str]:
    """Return what stands for the traffic of each scenario of ``source``: one of its own where that is not known."""
    pairs = dict.fromkeys(zip(runs["machine"], runs["workload"], strict=True))
    known: dict[Pair, str] = {}
    for each in source.experiment.combinations if source.experiment is not None else ():
        if (pair := _named(each)) in pairs and pair not in known:
            known[pair] = _traffic(each)
    return {pair: known.get(pair, f"{_UNKNOWN} {source.name} {pair}") for pair in pairs}


def _paired(source: Source, traffics: Mapping[Pair, str], called: dict[str, list[Pair]]) -> dict[Pair, Pair]:
    """Return what the scenarios of ``source`` are called among all, and put it down in ``called``, by traffic.

    Machines, or workloads, of one folder that are alike but for their label stay apart: each takes the place of one of
    another folder, that of its own name before others.
    """
    before = {traffic: list(pairs) for traffic, pairs in called.items()}
    taken = {pair for pairs in before.values() for pair in pairs}
    found: dict[Pair, Pair] = {}
    for pair, traffic in traffics.items():
        if pair in before.get(traffic, ()):
            before[traffic].remove(pair)
            found[pair] = pair
    for pair, traffic in traffics.items():
        if pair in found:
            continue
        if free := before.get(traffic):
            found[pair] = free.pop(0)
        else:
            found[pair] = (pair[0], f"{pair[1]} [{source.name}]") if pair in taken else pair
            called.setdefault(traffic, []).append(found[pair])
    return {pair: found[pair] for pair in traffics}


def _in_one(sources: Sequence[Source], frames: list[pd.DataFrame]) -> tuple[list[Source], list[str]]:
    """Return ``sources`` with the labels that their policies and scenarios get among all, and what to tell of them.

    Swept values of guest and times go into the labels of ``frames``.
    """
    for number, frame in enumerate(frames):
        swept = [name for name in frame.columns if str(name).startswith(CONDITIONS)]
        frames[number] = named_conditions(frame).drop(columns=swept)
    called: dict[str, list[Pair]] = {}
    folders = Counter(label for frame in frames for label in set(frame["policy"]))
    gathered, notes = [], []
    for source, frame in zip(sources, frames, strict=True):
        labels = dict.fromkeys(frame["policy"])
        policies = {label: f"{label} [{source.name}]" if folders[label] > 1 else label for label in labels}
        scenarios = _paired(source, _traffics(source, frame), called)
        own = f" [{source.name}]"
        other = [_in_words(pair) for pair, (_, workload) in scenarios.items() if workload == f"{pair[1]}{own}"]
        alike = [
            f"{_in_words(pair)} is {_in_words(name)}"
            for pair, name in scenarios.items()
            if name != pair and name[1] != f"{pair[1]}{own}"
        ]
        if other:
            notes.append(
                f"{source.name}: {some_of(other)}: called as in another folder, but not known to be the same machine, "
                "workload, guest and times, so not paired."
            )
        if alike:
            notes.append(f"{source.name}: the same traffic under another name: {some_of(alike)}.")
        gathered.append(replace(source, policies=policies, scenarios=scenarios))
    if twice := sorted(label for label, count in folders.items() if count > 1):
        notes.append(f"Policies of the same name carry the name of their folder: {some_of(twice)}.")
    return gathered, [*notes, *_other_seeds(gathered)]


def _other_seeds(sources: Sequence[Source]) -> list[str]:
    """Return a sentence where folders share scenarios, but not the seed."""
    first, *others = sources
    shared = set(first.scenarios.values())
    return [
        f"{source.name} has other random numbers (seed {', '.join(map(str, source.seeds))}, not "
        f"{', '.join(map(str, first.seeds))}): its runs are not paired with those of {first.name}, but where nothing "
        "is random."
        for source in others
        if shared & set(source.scenarios.values()) and not set(source.seeds) & set(first.seeds)
    ]


def _in_words(pair: Pair) -> str:
    return f"{pair[1]} on {pair[0]}"


def _relabelled(source: Source, frame: pd.DataFrame, number: int) -> pd.DataFrame:
    pairs = [source.scenarios[pair] for pair in zip(frame["machine"], frame["workload"], strict=True)]
    return frame.assign(
        machine=[machine for machine, _ in pairs],
        workload=[workload for _, workload in pairs],
        policy=frame["policy"].map(dict(source.policies)),
        source=number,
    )


def _policies(source: Source) -> list[str]:
    """Return the folder's own labels of its policies that have runs, in the experiment's order."""
    known = source.experiment.policies if source.experiment is not None else ()
    return [*(label for label in known if label in source.policies), *sorted(set(source.policies) - set(known))]


def _baseline(source: Source, policies: Sequence[str]) -> str:
    wanted = source.experiment.baseline if source.experiment is not None else None
    return source.policies.get(str(wanted), policies[0])


def _bounds(sources: Sequence[Source]) -> set[str]:
    """Return the labels of the policies that know the future."""
    return {
        source.policies[each.policy.label]
        for source in sources
        if source.experiment is not None
        for each in source.experiment.combinations
        if each.policy.plugin == BOUND and each.policy.label in source.policies
    }


def _scenarios(sources: Sequence[Source], runs: pd.DataFrame) -> tuple[Pair, ...]:
    """Return all scenarios: in the experiments' order, then by name."""
    there = dict.fromkeys(sorted(set(zip(runs["machine"], runs["workload"], strict=True))))
    ordered = [
        source.scenarios[pair]
        for source in sources
        if source.experiment is not None
        for pair in dict.fromkeys(map(_named, source.experiment.combinations))
        if pair in source.scenarios
    ]
    return tuple(dict.fromkeys([*ordered, *there]))


def _incomplete(runs: pd.DataFrame) -> list[str]:
    """Return a sentence for each policy of which runs did not complete."""
    counts = runs[runs["status"] != Status.COMPLETED]["policy"].value_counts(sort=False)
    return [
        f"{set_off(str(policy))}: {counted(int(count), 'run')} did not complete and are left out."
        for policy, count in counts.items()
    ]
