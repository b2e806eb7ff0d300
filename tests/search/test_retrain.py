"""Facts about training the best few again: who is chosen, and that it is worth it."""

from __future__ import annotations

import math

import numpy as np
import pytest

from steerage.search.retrain import capped, cautious, due, expected_errors, next_to_retrain, reserved, rounds


def test_nothing_is_reserved_in_a_short_search() -> None:
    assert [reserved(trials) for trials in (0, 20, 59, 60, 100, 200)] == [0, 0, 0, 9, 15, 30]
    assert reserved(100, share=0.0) == 0


def test_the_last_trials_are_those_that_train_again() -> None:
    assert [due(candidates, trials=60) for candidates in (50, 51, 52)] == [False, True, True]
    assert not due(59, trials=59)
    assert due(40, trials=60, used=0.86) and not due(40, trials=60, used=0.84)
    assert not due(60, trials=60, share=0.0)


@pytest.mark.parametrize("trainings", [1, 2, 9, 15, 30, 45])
def test_rounds_halve_the_field_and_spend_what_there_is(trainings: int) -> None:
    sizes = rounds(trainings)
    assert sum(sizes) == trainings
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] <= 10
    assert all(later >= min(2, sizes[-1]) for later in sizes)


def test_rounds_of_nine() -> None:
    assert rounds(9) == [5, 3, 1]


def played(first: list[float], new: dict[int, list[float]], trainings: int) -> list[int]:
    """Who is trained again, one after the other, when candidate ``i`` then shows the errors ``new[i]``."""
    errors, order = [[error] for error in first], []
    while (index := next_to_retrain(errors, np.zeros(len(first)), trainings=trainings)) is not None:
        errors[index].append(new[index][len(errors[index]) - 1])
        order.append(index)
    return order


def test_the_best_are_trained_again_and_the_better_of_them_more_often() -> None:
    first = [0.9, 0.5, 0.1, 0.2, 0.3, 0.8, 0.4]
    new = {index: [error] * 5 for index, error in enumerate(first)}
    assert played(first, new, 9) == [2, 3, 4, 6, 1, 2, 3, 4, 2]


def test_who_was_lucky_gives_way() -> None:
    first = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    new = {0: [0.9] * 5, 1: [0.2] * 5, 2: [0.3] * 5, 3: [0.4] * 5, 4: [0.5] * 5}
    assert played(first, new, 9)[5:] == [1, 2, 3, 1]


def test_what_is_believed_counts_as_much_as_one_training() -> None:
    errors, believed = [[0.10], [0.11], [0.5], [0.6]], np.array([0.3, 0.05, 0.3, 0.3])
    assert next_to_retrain(errors, believed, trainings=2) == 1
    shown, counts = np.array([0.1, 0.1]), np.array([1, 3])
    assert expected_errors(shown, counts, np.full(2, 0.3)) == pytest.approx([0.2, 0.15])


def test_the_plan_goes_on_where_it_was_after_new_candidates() -> None:
    """A search that is continued: who was trained again already is not trained for the same round twice."""
    errors = [[0.1, 0.1], [0.2, 0.2], [0.15], [0.9]]
    assert next_to_retrain(errors, np.zeros(4), trainings=4) == 2


def test_a_failed_training_counts_as_the_worst() -> None:
    errors = [[0.1, math.inf], [0.2, 0.3], [0.7]]
    assert capped(errors) == [[0.1, 0.7], [0.2, 0.3], [0.7]]
    assert np.argmin(cautious(capped(errors))) == 1


def test_without_new_trainings_the_order_is_that_of_the_errors() -> None:
    assert cautious([[0.3], [0.1], [0.2]]) == [0.3, 0.1, 0.2]


def test_a_single_lucky_training_does_not_beat_a_proven_candidate() -> None:
    errors = [[0.105], [0.09, 0.13, 0.11, 0.12], [0.12, 0.16]]
    assert np.argmin(cautious(errors)) == 1


def test_training_again_finds_a_better_candidate_on_average() -> None:
    """85 candidates and 15 trainings of the best against 100 candidates, noise as large as the spread at the top."""
    noise, alone, again = 0.5, [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=100)
        seen = truth + noise * rng.normal(size=100)
        alone.append(truth[np.argmin(seen)])
        errors = [[error] for error in seen[:85]]
        for _ in range(15):
            index = next_to_retrain(errors, np.zeros(85), trainings=15)
            assert index is not None
            errors[index].append(truth[index] + noise * rng.normal())
        again.append(truth[np.argmin(cautious(errors))])
    gains = np.array(alone) - np.array(again)
    assert gains.mean() > 3.0 * gains.std() / math.sqrt(len(gains))


def test_of_a_front_its_members_are_trained_again() -> None:
    errors, costs = [[0.9], [0.5], [0.52], [0.1], [0.11], [0.12]], np.array([0.0, 1.0, 1.5, 3.0, 3.5, 4.0])
    order: list[int] = []
    while (index := next_to_retrain(errors, np.zeros(6), trainings=6, costs=costs)) is not None:
        order.append(index)
        errors[index].append(errors[index][0])
    assert order[:3] == [0, 1, 3]  # without costs it would be 3, 4, 5
    assert len(order) == 6 and order[-1] == 3


def test_of_a_front_with_more_members_than_room_those_are_trained_again_that_carry_it() -> None:
    errors = [[0.9], [0.5], [0.49], [0.48], [0.1]]
    costs = np.array([0.0, 1.0, 2.9, 2.95, 3.0])
    assert next_to_retrain(errors, np.zeros(5), trainings=4, costs=costs) in (0, 1)
    errors[0].append(0.9)
    errors[1].append(0.5)
    assert next_to_retrain(errors, np.zeros(5), trainings=4, costs=costs) == 4
