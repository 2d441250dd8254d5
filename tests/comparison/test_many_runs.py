from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.many_runs import make

if TYPE_CHECKING:
    from pathlib import Path


def test_a_store_of_many_runs_is_as_the_experiment_says_and_every_row_is_another(tmp_path: Path) -> None:
    results = make(tmp_path, 2, 4, 3)
    runs = results.runs()
    assert len(runs) == 2 * 4 * 3
    assert results.experiment is not None
    assert set(zip(runs["machine"], runs["workload"], strict=True)) == set(results.experiment.scenarios)
    assert runs["headroom_mean"].nunique() == len(runs)
    assert results.store.keys() == {identity.key for _, identity in results.experiment.tasks()}
