"""What a policy's answers must look like, and what is said where they do not.

Nothing that a plug-in returns is believed unseen.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, TypeGuard

from policies.contract import Explanation, UserSpaceRule, UserSpaceRules
from sim.faults import MemhpSimError, let_pass, text_of
from sim.memory.zones import LEAVE_OFFLINE, NR_ZONES, ZONE_LABELS, ZONE_NORMAL, OnlineType, ZoneType, zone_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from policies.contract import Policy, ZoneRequest
    from sim.memory.view import MemoryView

_ZONES: Final = ", ".join(f"{number} ({label})" for number, label in enumerate(ZONE_LABELS))


class PolicyError(MemhpSimError):
    """A policy raised, or answered with something that is no zone. Ends the run that it belongs to."""


def flaws_of(policy: Policy) -> Iterator[str]:
    """Yield what is wrong with the attributes of a policy that are read before it is asked anything."""
    word: object = policy.auto_online
    if not isinstance(word, OnlineType):
        yield f"auto_online must be an OnlineType, but is {word!r}"
    program: object = policy.user_space
    if program is not None and not _is_program(program):
        yield f"user_space must be None or UserSpaceRules, but is {program!r}"
    ratio: object = policy.configured_ratio
    if ratio is not None and not (type(ratio) is int and ratio >= 0):
        yield f"configured_ratio must be None or a percentage, but is {ratio!r}"


def _is_program(program: object) -> bool:
    return (
        isinstance(program, UserSpaceRules)
        and _all(_is_rule, program.rules)
        and _is_count(program.begins_us)
        and (program.buffer is None or _is_count(program.buffer, 1))
        and _is_count(program.tries, 1)
        and _is_count(program.try_again_us)
    )


def _is_rule(rule: object) -> bool:
    return (
        isinstance(rule, UserSpaceRule)
        and _is(OnlineType, rule.online_type)
        and _is_count(rule.delay_us)
        and _all(_is_count, rule.nodes)
        and _all(partial(_is, str), rule.devices)
        and _all(partial(_is, str), rule.architectures)
        and (rule.bare_metal is None or _is(bool, rule.bare_metal))
    )


def _is_count(number: object, least: int = 0) -> bool:
    return type(number) is int and number >= least


def _is(cls: type, value: object) -> bool:
    return isinstance(value, cls)


def _all(check: Callable[[object], bool], values: object) -> bool:
    return isinstance(values, tuple) and all(map(check, values))


def check_attributes(policy: Policy) -> None:
    """Raise PolicyError with the first of :func:`flaws_of`, or where reading an attribute fails."""
    try:
        flaw = next(flaws_of(policy), "")
    except BaseException as error:
        let_pass(error)
        raise PolicyError(f"policy {_name(policy)} raised {type(error).__name__}: {text_of(error)}") from error
    if flaw:
        raise PolicyError(f"policy {_name(policy)}: {flaw}")


def is_zone(answer: object) -> TypeGuard[int]:
    """Whether ``answer`` is a plain number from 0 to 3 or a ZoneType; no bool, NumPy number or other enumeration."""
    return (type(answer) is int or isinstance(answer, ZoneType)) and 0 <= answer < NR_ZONES


def checked_zone(
    policy: Policy, answer: object, block: int, request: ZoneRequest, view: MemoryView, count: int = 1
) -> int:
    """Return the zone's number, or LEAVE_OFFLINE's, for ``count`` blocks from ``block``, about which was ``request``.

    Raises PolicyError where the answer is neither, or DMA or DMA32 above the end of its span: Linux gives them to what
    meets the span (``default_kernel_zone_for_pfn``). ``auto-movable`` may ask about another range than the block's, but
    about none below the unit that the block is in.
    """
    if is_zone(answer):
        if answer < ZONE_NORMAL:
            _within_span(policy, int(answer), range(block, block + count), request, view)
        return int(answer)
    if answer is LEAVE_OFFLINE:
        return int(answer)
    raise PolicyError(
        f"policy {_name(policy)} answered {answer!r} for block {block}, which is none of the zones {_ZONES}"
    )


def _within_span(policy: Policy, zone: int, blocks: range, request: ZoneRequest, view: MemoryView) -> None:
    """Raise PolicyError with the first of ``blocks`` that Linux cannot put in ``zone``, which is DMA or DMA32."""
    end, group = view.span(request.node, zone)[1], request.group
    unit = view.block_pages if group is None or not group.is_dynamic else max(view.block_pages, group.unit_pages)
    first_above = -(-end // unit) * unit // view.block_pages
    if blocks[-1] < first_above:
        return
    label, node = ZONE_LABELS[zone], request.node
    has = f"ends at {end * view.page_size:#x}" if end else "has no memory"
    raise PolicyError(
        f"policy {_name(policy)} answered {label} for block {max(blocks[0], first_above)}, where Linux has no {label}:"
        f" that of node {node} {has}; the kernel's zone there is {ZONE_LABELS[ZONE_NORMAL]}"
    )


def checked_runs(
    policy: Policy, answer: object, first: int, count: int, request: ZoneRequest, view: MemoryView
) -> list[tuple[int, int]]:
    """Return runs of (blocks, zone) that cover the ``count`` blocks from ``first``, about which was ``request``.

    Raises PolicyError where the answer is something else, or holds a zone that :func:`checked_zone` does not take.
    """
    runs: list[tuple[int, int]] = []
    covered = 0
    for run in answer if isinstance(answer, (list, tuple)) else (None,):
        match run:
            # The class and not isinstance: True is no number of blocks.
            case (blocks, zone) if type(blocks) is int and blocks > 0:
                runs.append((blocks, checked_zone(policy, zone, first + covered, request, view, blocks)))
                covered += blocks
            case _:
                break
    else:
        if covered == count:
            return runs
    raise PolicyError(
        f"policy {_name(policy)} decided {answer!r} for the {count} blocks from block {first};"
        f" runs of (blocks, zone) that cover them would be right"
    )


def checked_explanation(policy: Policy, answer: object, block: int) -> Explanation:
    """Return the explanation. Raises PolicyError where the answer is none, or names no zone."""
    if isinstance(answer, Explanation) and (is_zone(answer.zone) or answer.zone is LEAVE_OFFLINE):
        return answer
    raise PolicyError(
        f"policy {_name(policy)} explained block {block} by {answer!r}, which is no Explanation of a zone"
    )


def failed(policy: Policy, error: BaseException, block: int, what: str = "") -> PolicyError:
    """Return the error for a policy that raised ``error`` about ``block``, when asked to do ``what``.

    Raises ``error`` again where it only passes through the policy, see :func:`sim.faults.let_pass`.
    """
    let_pass(error)
    return PolicyError(
        f"policy {_name(policy)} raised {type(error).__name__}{what} for block {block}: {text_of(error)}"
    )


def failed_under_pressure(policy: Policy, error: BaseException, node: int) -> PolicyError:
    """Return the error for a policy that raised ``error`` when told that ``node`` runs short of kernel memory.

    Raises ``error`` again where it only passes through the policy, see :func:`sim.faults.let_pass`.
    """
    let_pass(error)
    return PolicyError(
        f"policy {_name(policy)} raised {type(error).__name__} in on_pressure for node {node}: {text_of(error)}"
    )


def contradicts(policy: Policy, zone_type: int, explanation: Explanation, block: int) -> PolicyError:
    """Return the error for a policy that explains another zone than it chose."""
    chosen, explained = (zone_or_none(zone).label for zone in (zone_type, explanation.zone))
    return PolicyError(f"policy {_name(policy)} chose {chosen} for block {block} and explained {explained}")


def _name(policy: Policy) -> str:
    return repr(getattr(policy, "name", type(policy).__name__))
