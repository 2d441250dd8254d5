"""The figure tradeoff, read back: where each policy's mark stands, which it is, and what is written beside it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.markers import MarkerStyle

from sim.plots.colours import PALETTE
from sim.plots.saving import styled
from sim.plots.tradeoff import plot_tradeoff
from sim.plots.tradeoff_names import _overlap
from sim.results.store import ResultStore
from sim.units import GIB, MIB
from tests.plots.by_hand import coloured, dot_place, dots, finding, legend, panels, points, score_scenario, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    Values = Mapping[str, Mapping[str, Sequence[float]]]

BLUE, ORANGE, BLACK = PALETTE[0], PALETTE[1], "#222222"
FAILED = "failed"
FRONT = "beaten in both by a policy that never fails; at its edge, the front"
RATIOS = {"auto-movable 301": 301, "auto-movable 90": 90, "auto-movable 200": 200, "auto-movable 2000": 2000}


def drawn(values: Values, ratios: Mapping[str, float] | None = None, bound: str | None = None) -> Figure:
    with styled():
        return plot_tradeoff(ResultStore("nowhere"), score_scenario(values, ratios, bound))


def scores(x: float, y: float, *, ooms: int = 0, adds: int = 0) -> dict[str, list[float]]:
    """Return the scores of a policy with ``x`` MiB of headroom and ``y`` GiB given back."""
    return {"headroom_min": [x * MIB], "returned": [y * GIB], "kernel_ooms": [ooms], "failed_adds": [adds]}


# The order of the ratios is neither that of the experiment nor that of the names.
VALUES = {
    "zeta": scores(900, 2),
    "auto-movable 301": scores(400, 7),
    "auto-movable 90": scores(800, 3),
    "starved": scores(0, 9, ooms=2),
    "auto-movable 2000": scores(20, 5, adds=1),
    "auto-movable 200": scores(600, 5),
    "alpha": scores(100, 1),
}


@pytest.fixture
def figure() -> Figure:
    """Each test draws its own, or only the first would be known to run through the code that draws."""
    return drawn(VALUES, RATIOS)


def places(axis: Axes) -> dict[tuple[float, float], str]:
    """Return the colour of each mark by its place."""
    return {dot_place(dot): coloured(dot) for dot in dots(axis)}


def corners(axis: Axes) -> dict[tuple[float, float], int]:
    """Return of each mark how many points its outline has, which tells circles, diamonds and crosses apart."""
    return {dot_place(dot): len(np.asarray(dot.get_paths()[0].vertices)) for dot in dots(axis)}


def near(*places: tuple[float, float]) -> list[Any]:
    return [pytest.approx(place) for place in places]


def test_every_policy_stands_at_its_headroom_in_mib_and_what_came_back_in_gib(figure: Figure) -> None:
    (axis,) = panels(figure)
    assert places(axis) == {
        (900, 2): ORANGE, (100, 1): ORANGE,
        (800, 3): BLUE, (600, 5): BLUE, (400, 7): BLUE,
        (0, 9): BLACK, (20, 5): BLACK,
    }  # fmt: skip
    assert axis.get_xlabel().startswith("least kernel headroom [MiB]")
    assert axis.get_ylabel() == "memory given back [GiB]"


def test_starved_policies_have_a_mark_of_their_own_and_each_kind_that_of_the_legend(figure: Figure) -> None:
    handles: dict[str, Any] = dict(legend(figure))
    curve, other, cross = (
        len(np.asarray(MarkerStyle(handles[label].get_marker()).get_path().vertices))
        for label in ("auto-movable, by ratio", "other policies", FAILED)
    )
    assert len({curve, other, cross}) == 3
    assert corners(panels(figure)[0]) == {
        (900, 2): other, (100, 1): other,
        (800, 3): curve, (600, 5): curve, (400, 7): curve,
        (0, 9): cross, (20, 5): cross,
    }  # fmt: skip


def test_ratios_are_joined_in_their_order_and_the_curve_is_broken_where_the_kernel_starves(figure: Figure) -> None:
    whole, broken = curves(panels(figure)[0])
    assert (points(whole), whole.is_dashed()) == ([(800, 3), (600, 5), (400, 7)], False)
    assert (points(broken), broken.is_dashed()) == ([(400, 7), (20, 5)], True)
    assert coloured(whole) == coloured(broken) == BLUE


def curves(axis: Axes) -> list[Line2D]:
    """Return the lines that join ratios, without the front and what leads to names."""
    return [line for line in axis.lines if line.get_gid() is None]


def labels(figure: Figure) -> dict[tuple[float, float], str]:
    """Return what is written nearest to each mark; every text stands beside a mark, and on no mark or other text."""
    (axis,) = panels(figure)
    figure.draw_without_rendering()
    found: dict[tuple[float, float], str] = {}
    boxes: list[Any] = []
    for text in axis.texts:
        if text.get_text() == "better":
            continue
        box = text.get_window_extent()

        def away(place: tuple[float, float], box: Any = box) -> float:  # noqa: ANN401  a box of matplotlib
            """Return how far a mark is from the text, in dots of the screen."""
            x, y = axis.transData.transform(place)
            return math.hypot(max(box.x0 - x, 0, x - box.x1), max(box.y0 - y, 0, y - box.y1))

        nearest = min(places(axis), key=away)
        assert 0 < away(nearest) < 25
        assert nearest not in found
        found[nearest] = text.get_text()
        assert not any(box.overlaps(other) for other in boxes)
        assert all(away(place) > 0 for place in places(axis))
        boxes.append(box)
        assert axis.bbox.x0 <= box.x0 < box.x1 <= axis.bbox.x1 + 1
        assert axis.bbox.y0 <= box.y0 < box.y1 <= axis.bbox.y1 + 1
    return found


def test_beside_every_mark_stands_the_name_of_its_policy_or_its_ratio(figure: Figure) -> None:
    assert labels(figure) == {
        (900, 2): "zeta", (100, 1): "alpha", (0, 9): "✗ starved",
        (800, 3): "90 %", (600, 5): "200 %", (400, 7): "301 %", (20, 5): "✗ 2000 %",
    }  # fmt: skip


def test_a_name_gives_way_to_marks_and_other_names() -> None:
    # To the right of the first is the second, to the right of the last the end of the axes.
    values = {"0": scores(0, 0), "first in a row": scores(300, 5), "second in a row": scores(380, 5)}
    values["the last, with a long name"] = scores(1000, 8)
    assert labels(drawn(values)) == {
        (0, 0): "0", (300, 5): "first in a row", (380, 5): "second in a row", (1000, 8): "the last, with a long name",
    }  # fmt: skip


def test_the_legend_shows_the_marks_that_it_names(figure: Figure) -> None:
    handles: dict[str, Any] = dict(legend(figure))
    assert handles.pop(FRONT)
    assert {label: (coloured(handle), handle.get_marker()) for label, handle in handles.items()} == {
        "auto-movable, by ratio": (BLUE, "o"), "other policies": (ORANGE, "D"), FAILED: (BLACK, "X"),
    }  # fmt: skip
    assert handles["auto-movable, by ratio"].get_linestyle() == "-"


def test_policies_that_are_called_by_their_ratios_alone_have_a_word_in_the_legend() -> None:
    figure = drawn({"ratio 301": scores(100, 9), "ratio 401": scores(90, 10)}, {"ratio 301": 301, "ratio 401": 401})
    assert next(iter(legend(figure))) == "policies, by ratio"


def test_the_legend_leaves_out_what_is_not_there() -> None:
    assert list(legend(drawn({"b": scores(900, 2), "a": scores(100, 1)}))) == ["other policies"]
    assert list(legend(drawn({"b": scores(900, 2, ooms=1), "a": scores(10, 1, adds=1)}))) == [FAILED]


@pytest.mark.parametrize(("ooms", "adds"), [([0, 0, 1], [0, 0, 0]), ([0, 0, 0], [1, 0, 0])])
def test_one_failure_in_one_replication_marks_the_policy(ooms: list[float], adds: list[float]) -> None:
    values: dict[str, dict[str, Sequence[float]]] = {
        "b": {"headroom_min": [10 * MIB, 20 * MIB, 60 * MIB], "returned": [GIB, 2 * GIB, 6 * GIB]},
        "a": {"headroom_min": [90 * MIB] * 3, "returned": [9 * GIB] * 3},
    }
    values["b"] |= {"kernel_ooms": ooms, "failed_adds": adds}
    figure = drawn(values)
    # A mark stands at the means.
    assert places(panels(figure)[0]) == {(30, 3): BLACK, (90, 9): ORANGE}
    found = words(figure)
    assert "means of 3 replications, those that failed included" in found
    assert "✗: failed in so many of the replications" in found
    assert labels(figure) == {(30, 3): "✗ b (1 of 3)", (90, 9): "a"}


def test_at_a_ratio_that_fails_stands_how_often() -> None:
    def rows(x: float, y: float, *ooms: int) -> dict[str, list[float]]:
        return {name: list(values) * 3 for name, values in scores(x, y).items()} | {"kernel_ooms": list(ooms)}

    values = {
        "a 300": rows(0, 1, 1, 0, 1), "a 600": rows(0, 1, 1, 1, 1), "a 900": rows(0, 1, 1, 1, 1),
        "b": rows(0, 1, 0, 0, 1), "a 200": rows(400, 5, 0, 2, 0), "a 100": rows(900, 3, 0, 0, 0),
    }  # fmt: skip
    figure = drawn(values, {"a 100": 100, "a 200": 200, "a 300": 300, "a 600": 600, "a 900": 900})
    assert labels(figure) == {
        (900, 3): "100 %", (400, 5): "✗ 200 % (1 of 3)",
        (0, 1): "✗ 300 % (2 of 3)\n✗ 600 to 900 % (3 of 3)\n✗ b (1 of 3)",
    }  # fmt: skip
    all_fail = drawn({"a": rows(0, 1, 1, 2, 1), "b": rows(500, 4, 0, 0, 0)})
    assert "those that failed" not in words(all_fail)


@pytest.mark.parametrize(("largest", "unit", "shown"), [(4 * GIB - MIB, "MiB", (4095, 1024)), (4 * GIB, "GiB", (4, 1))])
def test_headroom_is_in_mib_below_four_gib_and_in_gib_from_there_on(
    largest: float, unit: str, shown: tuple[float, float]
) -> None:
    figure = drawn({"b": scores(largest / MIB, 2), "a": scores(1024, 1)})
    (axis,) = panels(figure)
    assert sorted(places(axis)) == [(shown[1], 1), (shown[0], 2)]
    assert axis.get_xlabel().startswith(f"least kernel headroom [{unit}]")


def test_where_nothing_came_back_the_share_in_movable_is_shown_in_percent() -> None:
    values: dict[str, dict[str, Sequence[float]]] = {
        "b": {"headroom_min": [100 * MIB], "movable_share_mean": [100.0]},
        "a": {"headroom_min": [900 * MIB], "movable_share_mean": [25.0]},
    }
    (axis,) = panels(drawn(values))
    assert places(axis) == {(100, 100): ORANGE, (900, 25): ORANGE}
    assert axis.get_ylabel() == "Hotplugged memory in MOVABLE, mean [%]"


def test_where_one_gave_something_back_that_is_shown_of_all() -> None:
    (axis,) = panels(drawn({"b": scores(100, 0), "a": scores(900, 1)}))
    assert places(axis) == {(100, 0): ORANGE, (900, 1): ORANGE}
    assert axis.get_ylabel() == "memory given back [GiB]"


def test_a_policy_without_a_guest_or_a_share_is_left_out() -> None:
    values: dict[str, dict[str, Sequence[float]]] = {
        "b": {"headroom_min": [100 * MIB], "movable_share_mean": [100.0]},
        "no guest": {"headroom_min": [math.nan], "movable_share_mean": [50.0]},
        "no share": {"headroom_min": [500 * MIB], "movable_share_mean": [math.nan]},
    }
    assert places(panels(drawn({"no guest": values["no guest"]}))[0]) == {}
    values["a"] = {"headroom_min": [200 * MIB], "movable_share_mean": [80.0]}
    assert places(panels(drawn(values))[0]) == {(100, 100): ORANGE, (200, 80): ORANGE}


def test_one_ratio_makes_no_curve() -> None:
    values = {"auto-movable": scores(900, 2), "contig-zones 100": scores(100, 1)}
    figure = drawn(values, {"auto-movable": 301, "contig-zones 100": 100})
    assert places(panels(figure)[0]) == {(900, 2): ORANGE, (100, 1): ORANGE}
    assert not curves(panels(figure)[0])
    assert labels(figure) == {(900, 2): "auto-movable", (100, 1): "contig-zones 100"}


def test_beside_a_curve_one_ratio_of_another_policy_is_written_by_its_name() -> None:
    values = {"one 100": scores(900, 2), "other 100": scores(400, 9), "one 300": scores(100, 5)}
    figure = drawn(values, {"one 100": 100, "other 100": 100, "one 300": 300})
    assert places(panels(figure)[0]) == {(900, 2): BLUE, (100, 5): BLUE, (400, 9): ORANGE}
    assert labels(figure) == {(900, 2): "100 %", (100, 5): "300 %", (400, 9): "other 100"}
    assert list(legend(figure)) == ["one, by ratio", "other policies", FRONT]


def test_two_families_have_a_curve_each() -> None:
    values = {
        "one, ratio 300": scores(100, 9), "one, ratio 100": scores(900, 6),
        "two 50 %": scores(800, 2), "two 70 %": scores(300, 4),
    }  # fmt: skip
    figure = drawn(values, {"one, ratio 300": 300, "one, ratio 100": 100, "two 50 %": 50, "two 70 %": 70})
    found = [points(line) for line in curves(panels(figure)[0]) if len(points(line)) > 1]
    assert found == [[(900, 6), (100, 9)], [(800, 2), (300, 4)]]
    assert list(legend(figure)) == ["one and two, by ratio", FRONT]


def test_what_lies_on_each_other_is_one_mark_with_a_common_label() -> None:
    values = {
        "zeta": scores(1000, 10),
        "a 300": scores(109, 2), "a 100": scores(100, 2), "a 200": scores(100, 2.06),
        "beside": scores(100, 2.04), "lacks": scores(100, 2, ooms=1), "corner": scores(0, 0),
    }  # fmt: skip
    figure = drawn(values, {"a 300": 300, "a 100": 100, "a 200": 200})
    common = [place for place, colour in places(panels(figure)[0]).items() if colour == BLUE]
    assert common == near(((109 + 100 + 100 + 100) / 4, (2 + 2 + 2.06 + 2.04) / 4))
    # One that lacks memory stays apart, however near.
    assert places(panels(figure)[0])[100, 2] == BLACK
    found = {text.get_text() for text in panels(figure)[0].texts}
    assert found == {"better", "zeta", "100 to 300 %\nbeside", "✗ lacks", "corner"}


@pytest.mark.parametrize(("x", "y"), [(130, 200), (100, 230), (122, 200), (100, 222)])
def test_what_is_apart_on_one_axis_has_marks_of_its_own(x: float, y: float) -> None:
    """2.2 % of what lies between the outermost are apart."""
    figure = drawn({"far": scores(1000, 1000), "b": scores(100, 200), "a": scores(x, y), "corner": scores(0, 0)})
    assert set(places(panels(figure)[0])) == {(1000, 1000), (100, 200), (x, y), (0, 0)}


def test_how_near_is_the_same_is_a_share_of_what_lies_between_the_outermost() -> None:
    """Of half a GiB here, on both axes: not of how far they are from 0, nor of a GiB."""
    apart = [(8.0, 8.0), (8.5, 8.5), (8.25, 8.25), (8.265, 8.25), (8.25, 8.265)]
    axis = panels(drawn({f"{x} and {y}": scores(1024 * x, y) for x, y in apart}))[0]
    assert sorted(places(axis)) == near(*sorted(apart))


def test_axes_begin_at_zero_unless_that_would_press_all_into_a_corner(figure: Figure) -> None:
    (axis,) = panels(figure)
    # Marks at 0 or near it keep the room that they need; above, 12 and 20 % of what lies between the outermost.
    assert axis.get_xlim() == pytest.approx((-0.04 * 1.12 * 900, 1.12 * 900))
    assert axis.get_ylim() == pytest.approx((-0.04 * 10.6, 9 + 0.2 * 8))
    (wide,) = panels(drawn({"b": scores(900, 9), "a": scores(500, 5)}))
    assert (wide.get_xlim()[0], wide.get_ylim()[0]) == (0, 0)
    # A quarter of the largest is not enough.
    (quarter,) = panels(drawn({"b": scores(1000, 8), "a": scores(750, 6)}))
    assert 0 < quarter.get_xlim()[0] < 750
    assert 0 < quarter.get_ylim()[0] < 6
    (narrow,) = panels(drawn({"b": scores(1000, 10), "a": scores(980, 9.8)}))
    # A fiftieth is not all that there is to see.
    assert 780 < narrow.get_xlim()[0] < 850
    assert 7.8 < narrow.get_ylim()[0] < 8.5


def test_the_front_are_those_that_never_fail_and_that_no_other_beats(figure: Figure) -> None:
    (front,) = [line for line in panels(figure)[0].lines if line.get_gid() == "front"]
    # Neither the starved with 9 GiB at no headroom, nor who has less of both than another.
    assert points(front)[1:-1] == [(400, 7), (600, 5), (800, 3), (900, 2)]
    assert FRONT in legend(figure)
    beaten = drawn({"b": scores(900, 2), "a": scores(100, 1)})
    assert not [line for line in panels(beaten)[0].lines if line.get_gid() == "front"]
    assert finding(beaten) == "b gives most back and leaves most headroom; may be chance (1 replication)"


def test_names_that_find_no_room_beside_their_marks_stand_farther_off_at_a_line() -> None:
    crowd = {
        f"policy number {number} of a crowd": scores(500 + 25 * (number % 4), 5 + 0.3 * (number // 4))
        for number in range(12)
    }
    figure = drawn(crowd | {"corner": scores(0, 0), "far": scores(1000, 10)})
    (axis,) = panels(figure)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axis.texts]
    assert {text.get_text() for text in axis.texts} >= set(crowd)
    assert not any(one.overlaps(other) for number, one in enumerate(boxes) for other in boxes[:number])
    assert [line for line in axis.lines if line.get_gid() == "to a name"]


def test_better_points_to_the_upper_right(figure: Figure) -> None:
    (arrow,) = [text for text in panels(figure)[0].texts if text.get_text() == "better"]
    found: Any = arrow
    assert found.xy[0] > found.xyann[0]
    assert found.xy[1] > found.xyann[1]


def test_the_heading_explains_the_bound_where_there_is_one() -> None:
    without = words(drawn({"b": scores(900, 2), "a": scores(100, 1)}))
    assert without == (
        "Trade-off: w on m each point is a policy: further up, more memory comes back; further right, more was left "
        "to the kernel"
    )
    known = words(drawn({"b": scores(900, 2), "oracle": scores(100, 1)}, bound="oracle"))
    assert known == f"{without} oracle knows the future: the best of the plans that it tried, by MOVABLE over time"
    called_so = words(drawn({"b": scores(900, 2), "clairvoyant": scores(100, 1)}))
    assert called_so == without, "a label says nothing of the policy"
    assert words(drawn({"b": scores(900, 2), "a": scores(100, 1)}, bound="oracle")) == without, "it has no point"


def test_the_heading_leaves_no_policy_out_however_many_there_are() -> None:
    many = words(drawn({f"p{number}": scores(10 * number, number) for number in range(13)}))
    assert many == words(drawn({"b": scores(900, 2), "a": scores(100, 1)}))


def test_boxes_overlap_where_they_share_some_room() -> None:
    """By points on a fine grid that lie inside of both."""
    boxes = [(x, y, x + w, y + h) for x in (0, 2, 5) for y in (1, 3, 6) for w in (1, 3) for h in (2, 4)]
    for one in boxes:
        for other in boxes:
            shared = any(
                all(box[0] < x / 2 < box[2] and box[1] < y / 2 < box[3] for box in (one, other))
                for x in range(1, 20)
                for y in range(1, 24)
            )
            assert _overlap(one, other) == shared, (one, other)
