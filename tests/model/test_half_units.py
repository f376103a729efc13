"""float16 vectors that a normalising database stored are stored again as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from vectormigrate.model.half_units import stored_as_given


def normalised(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """As Qdrant does it: sums and quotients of 32 bits, vectors near unit length and tiny ones left alone."""
    squares = np.einsum("ij,ij->i", values, values)
    alone = (squares < np.finfo(np.float32).eps) | (np.abs(squares - np.float32(1)) < np.float32(1e-6))
    lengths = np.where(alone, np.float32(1), np.sqrt(squares))
    return (values / lengths[:, None]).astype(np.float32)


def bits(values: NDArray[Any]) -> NDArray[np.uint16]:
    return values.astype(np.float16).view(np.uint16)


@pytest.mark.parametrize("dim", [1, 2, 3, 8, 16, 100, 768])
def test_what_was_stored_once_is_stored_the_same_again(dim: int) -> None:
    given = normalised(np.random.default_rng(dim).standard_normal((3000, dim), np.float32)).astype(np.float16)
    sent, kept = stored_as_given(given)
    assert kept.all()
    assert np.array_equal(bits(normalised(sent)), bits(given))


def test_some_would_change_if_they_were_sent_as_they_are() -> None:
    given = normalised(np.random.default_rng(8).standard_normal((3000, 8), np.float32)).astype(np.float16)
    again = normalised(given.astype(np.float32))
    assert not np.array_equal(bits(again), bits(given))


def test_vectors_of_another_length_are_sent_as_they_are_and_named() -> None:
    given = np.array([[3, 4], [0, 0], [1e-5, 0], [-0.0, 1], [0.6, 0.81]], np.float16)
    sent, kept = stored_as_given(given)
    assert kept.tolist() == [False, True, True, True, False]
    assert np.array_equal(bits(sent), bits(given))
