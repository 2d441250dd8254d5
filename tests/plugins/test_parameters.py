"""What is read from the annotations of a plug-in's ``__init__``, and how its arguments are judged by them."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath  # noqa: TC003  an annotation that is read
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from policies.udev import Udev
from sim.plugins.parameter_lists import ListOf
from sim.plugins.parameter_types import FilePath, Flag, Number, Seconds, Size, Text, Whole, Word
from sim.plugins.parameters import Checker, DescriptionError, Parameter, ParameterError, checked, parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable

FILE = FilePath()


class Rack:
    """Takes one parameter of each way to describe it."""

    @checked
    def __init__(
        self,
        check: Checker,
        *,
        slots: Annotated[int, Whole(1, 9, unit="slots"), "number of slots"] = 4,
        sizes: Annotated[Sequence[int], ListOf(Size(), "size"), "their sizes"] = (1 << 30,),
        share: Annotated[float, "a share"],
        again: Annotated[bool, "once more"] = False,
        file: Annotated[str | None, FILE, "a file"] = None,
        largest: Annotated[int, Whole(0, 9), "the largest"] = 2,
    ) -> None:
        if check.good("slots", "largest") and largest > slots:
            check.fault("largest", f"must be at most {slots}, but is {largest}")
        self.checked_before_done = list(check.faults)
        check.done()
        self.given = (slots, sizes, share, again, file, largest)


def test_parameters_are_what_the_signature_says() -> None:
    slots, sizes, share, again, file, largest = parameters_of(Rack)

    assert slots == Parameter("slots", Whole(1, 9, unit="slots"), "number of slots", 4, required=False)
    assert (sizes.type, sizes.default, sizes.written) == (ListOf(Size(), "size"), (1 << 30,), ("1GiB",))
    assert share == Parameter("share", Number(), "a share", None, required=True)
    assert share.written is None
    assert again == Parameter("again", Flag(), "once more", default=False, required=False)
    assert (file.type, file.default, file.required) == (FILE, None, False)
    assert (file.paths("a.csv"), file.paths(None), sizes.paths([1])) == (["a.csv"], [], [])
    assert largest.name == "largest"
    assert list(inspect.signature(Rack).parameters) == ["slots", "sizes", "share", "again", "file", "largest"]


def test_good_arguments_arrive_as_they_are() -> None:
    assert Rack(share=0.5).given == (4, (1 << 30,), 0.5, False, None, 2)
    assert Rack(share=1, slots=9, sizes=[5], again=True, file="f", largest=9).given == (9, [5], 1, True, "f", 9)


def test_everything_wrong_is_told_at_once_in_the_order_of_the_signature() -> None:
    with pytest.raises(ParameterError) as caught:
        Rack(largest=5, slots=3, sizes=[0, -1], share="x", again=1)  # type: ignore[arg-type]  # that is what is tried

    assert caught.value.faults == (
        "sizes: must be more than 0 bytes, but is 0",
        "sizes: must be more than 0 bytes, but is -1",
        "share: must be a number, but is 'x'",
        "again: must be true or false, but is 1",
        "largest: must be at most 3, but is 5",
    )
    assert str(caught.value) == "\n".join(caught.value.faults)
    again: ParameterError = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  made here
    assert again.faults == caught.value.faults


def test_parameters_that_are_wrong_by_themselves_are_not_judged_together() -> None:
    with pytest.raises(ParameterError) as caught:
        Rack(share=1, slots=0, largest=5)

    assert caught.value.faults == ("slots: must be from 1 to 9, but is 0",)


def test_a_parameter_that_is_missing_or_unknown_is_pythons_error() -> None:
    with pytest.raises(TypeError, match="missing 1 required keyword-only argument: 'share'"):
        Rack()  # type: ignore[call-arg]  # that is what is tried
    with pytest.raises(TypeError, match="unexpected keyword argument 'shar'"):
        Rack(share=1, shar=2)  # type: ignore[call-arg]  # that is what is tried


def test_faults_that_an_init_forgets_to_raise_are_raised_after_it() -> None:
    class Forgetful:
        @checked
        def __init__(self, check: Checker, *, slots: Annotated[int, Whole(1, 9), "slots"] = 4) -> None:
            self.slots = slots

    assert Forgetful(slots=1).slots == 1
    with pytest.raises(ParameterError, match=r"^slots: must be from 1 to 9, but is 0$"):
        Forgetful(slots=0)


def test_an_inherited_parameter_is_described_once() -> None:
    state, delay, after, movable_node = parameters_of(Udev)

    assert state.type == Word(("online", "online_kernel", "online_movable"))
    assert (delay.type, delay.default) == (Seconds(zero=True), 0.01)
    assert (after.type, after.default) == (Seconds(zero=True), 0.0)
    assert (movable_node.type, movable_node.meaning) == (Flag(), "the kernel was booted with movable_node")


def test_a_dataclass_has_its_fields_as_parameters() -> None:
    @dataclass(kw_only=True)
    class Fields:
        reserve: Annotated[int, Size(zero=True), "what to keep"] = 0
        word: Annotated[str, "a word"] = "x"

    assert [(each.name, each.type) for each in parameters_of(Fields)] == [
        ("reserve", Size(zero=True)),
        ("word", Text()),
    ]


def test_without_parameters_there_are_none() -> None:
    class Nothing:
        pass

    assert parameters_of(Nothing) == ()


def _bare(self: object, *, slots: int = 1) -> None: ...
def _nothing(self: object, *, slots=1) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001
def _wordless(self: object, *, slots: Annotated[int, Whole()] = 1) -> None: ...
def _two_lines(self: object, *, slots: Annotated[int, Whole(), "a", "b"] = 1) -> None: ...
def _long(self: object, *, slots: Annotated[int, Whole(), "a\nb"] = 1) -> None: ...
def _two_types(self: object, *, slots: Annotated[int, Whole(), Size(), "a"] = 1) -> None: ...
def _class(self: object, *, slots: Annotated[int, Whole, "a"] = 1) -> None: ...
def _other(self: object, *, slots: Annotated[PurePath, "a"]) -> None: ...
def _mismatch(self: object, *, slots: Annotated[float, Size(), "a"] = 1.0) -> None: ...
def _list(self: object, *, slots: Annotated[int, ListOf(Whole()), "a"] = 1) -> None: ...
def _default(self: object, *, slots: Annotated[int, Whole(1, 9), "a"] = 0) -> None: ...
def _hidden(self: object, *, slots: Annotated[Callable[[], int], "a"]) -> None: ...
def _any_number(self: object, *slots: Annotated[int, "a"]) -> None: ...
def _keywords(self: object, **slots: Annotated[int, "a"]) -> None: ...


@pytest.mark.parametrize(
    ("init", "said"),
    [
        (_bare, """parameter 'slots' needs a line on what it means: Annotated[..., "what it means"]"""),
        (_nothing, """parameter 'slots' has no annotation, such as Annotated[int, "what it means"]"""),
        (_wordless, "parameter 'slots' needs one line on what it means, but has 0"),
        (_two_lines, "parameter 'slots' needs one line on what it means, but has 2"),
        (_long, "parameter 'slots' needs one line on what it means, but has 'a\\nb'"),
        (
            _two_types,
            "parameter 'slots' needs one description of its values, such as Size(), Seconds(), Word(...), ListOf(...)",
        ),
        (_class, "parameter 'slots' is described by a class: write Whole()"),
        (
            _other,
            "parameter 'slots' needs one description of its values, such as Size(), Seconds(), Word(...), ListOf(...)",
        ),
        (_mismatch, "parameter 'slots' is annotated as float, but Size is for int"),
        (_list, "parameter 'slots' is annotated as int, but ListOf is for Sequence"),
        (_default, "the default of parameter 'slots' must be from 1 to 9, but is 0"),
        (
            _hidden,
            (
                "the annotation of parameter 'slots' cannot be read: name 'Callable' is not defined;"
                " import it outside of TYPE_CHECKING"
            ),
        ),
        (_keywords, "takes **slots; each parameter needs a name of its own"),
        (_any_number, "takes *slots; each parameter needs a name of its own"),
    ],
)
def test_a_mistaken_annotation_is_told_with_what_would_be_right(init: Any, said: str) -> None:  # noqa: ANN401
    plugin = type("Plugin", (), {"__init__": init})

    with pytest.raises(DescriptionError) as caught:
        parameters_of(plugin)

    assert str(caught.value) == said
