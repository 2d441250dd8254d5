"""Guests that no policy was made for: the README and the policy's own text tell what comes of them."""

from __future__ import annotations

import pytest

from policies.headroom import Headroom
from tests.support.places import ROOT
from tests.support.wide_guests import outcomes


@pytest.mark.slow
def test_the_readme_and_the_policy_tell_how_often_guests_fail_that_it_was_not_made_for() -> None:
    found = outcomes()
    failed = {policy: outcome.failed for policy, outcome in found.items()}
    told = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert f"it failed in {failed['headroom']}, ratio 301 in {failed['ratio 301']}, ratio 100 in" in told
    assert f"ratio 100 in {failed['ratio 100']}, and all kernel memory in {failed['all kernel memory']}." in told
    own = " ".join((Headroom.__doc__ or "").split())
    assert f"it failed in {failed['headroom']};" in own
    assert f"failed in {failed['all kernel memory']}, and auto-movable in {failed['ratio 301']}" in own
    assert f"and in {failed['ratio 100']} with 100" in own
    assert f"{found['headroom'].returned:.0f} % of what was asked back came back" in own
    assert f"{found['ratio 100'].returned:.0f} % under ratio 100" in own
