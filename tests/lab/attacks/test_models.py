from __future__ import annotations

import numpy as np
import pytest

from quietwire.lab.attacks import models


def blobs(seed: int, count: int = 600, apart: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.choice(3, count, p=[0.7, 0.2, 0.1])
    features = generator.normal(size=(count, 6))
    features[:, 0] += apart * labels
    features[:, 1] = features[:, 0] * 2
    features[:, 5] = 1.0
    return features, labels.astype(np.int64)


@pytest.mark.parametrize("model", [*models.models(), models.Forest(60)], ids=lambda model: model.name)
def test_every_model_learns_rare_classes_too_and_gives_chances(model: models.Classifier) -> None:
    features, labels = blobs(1)
    model.fit(features, labels, 1)
    unseen, truth = blobs(2)
    chances = model.chances(unseen)
    assert chances.sum(1) == pytest.approx(1.0)
    assert models.accuracy(truth, chances.argmax(1)) > 0.82
    again = model.chances(unseen)
    assert np.array_equal(chances, again)


def test_splits_keep_users_together_and_apart() -> None:
    users = np.repeat(np.arange(20), 5)
    parts = models.split(users, 1)
    sets = [set(users[part].tolist()) for part in parts]
    assert not sets[0] & sets[1]
    assert not sets[0] & sets[2]
    assert not sets[1] & sets[2]
    assert set.union(*sets) == set(range(20))
    assert [len(each) for each in sets] == [10, 4, 6]
    assert not np.array_equal(parts.held_out, models.split(users, 2).held_out)
    with pytest.raises(ValueError, match="three"):
        models.split(np.array([1, 2]), 1)


def test_few_of_a_kind_are_in_all_parts() -> None:
    users = np.arange(31)
    kinds = np.repeat(["a", "b", "c", "d"], [10, 8, 8, 5])
    for seed in range(5):
        parts = models.split(users, seed, strata=kinds)
        assert all(set(kinds[part]) == {"a", "b", "c", "d"} for part in parts)
    assert not np.array_equal(models.split(users, 1, strata=kinds).train, models.split(users, 2, strata=kinds).train)


def test_the_choice_is_made_without_those_held_out() -> None:
    class Wrong:
        name = "wrong"

        def fit(self, features: np.ndarray, labels: np.ndarray, seed: int) -> None:
            self.classes = labels.max() + 1

        def chances(self, features: np.ndarray) -> np.ndarray:
            return np.eye(self.classes)[np.zeros(len(features), int)]

    features, labels = blobs(3)
    users = np.arange(600) % 30
    parts = models.split(users, 1)
    features[parts.held_out] = np.nan  # whoever looks at these falls over
    found = models.chosen(features, labels, parts, 1, [Wrong(), models.Neighbours(trees=20)])
    assert found.model.name == "neighbours"
    assert found.reached["wrong"] == pytest.approx(1 / 3)


def test_a_class_that_was_never_shown_is_never_guessed() -> None:
    features, labels = blobs(4)
    users = labels * 10 + np.arange(600) % 10
    train = labels != 1
    parts = models.Split(train & (users % 10 < 6), train & (users % 10 == 6), users % 10 > 6)
    found = models.chosen(features, labels, parts, 1, [models.Trees(20)])
    chances = found.chances(features[parts.held_out])
    assert chances.shape[1] == 3
    assert (chances[:, 1] == 0).all()


def test_columns_that_tell_the_same_are_important_together() -> None:
    features, labels = blobs(5)
    parts = models.split(np.arange(600) % 30, 1)
    found = models.chosen(features, labels, parts, 1, [models.Trees()])
    lost = models.importance(found, features[parts.held_out], labels[parts.held_out], 1)
    assert lost[0] == lost[1] > 0.3
    assert abs(lost[3]) < 0.1
    assert lost[5] == 0


def test_ranks_map_repeated_and_unheard_of_values() -> None:
    scale = models.Ranks().fit(np.array([[0.0], [0.0], [0.0], [5.0]]))
    low, middle, high = scale(np.array([[-9.0], [0.0], [99.0]]))[:, 0]
    assert low == -1
    assert -1 < middle < 1
    assert high == 1
    assert len(set(models.Ranks().fit(np.full((9, 1), 7.0))(np.full((3, 1), 7.0))[:, 0].tolist())) == 1
