"""Numbers that are taken once, and identifiers made of names from outside."""

from __future__ import annotations

import re
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.claims import claim_number
from ml.errors import SettingsError
from ml.names import check_pipeline_name, safe_id
from ml.storage import Storage


def test_prior_art_1_an_empty_store_begins_with_1_and_10_follows_9(storage: Storage) -> None:
    assert [claim_number(storage, "spans", by=f"run-{number}") for number in range(1, 13)] == list(range(1, 13))


def test_a_retry_gets_its_number_back(storage: Storage) -> None:
    assert claim_number(storage, "spans", by="one") == 1
    assert claim_number(storage, "spans", by="other") == 2
    assert claim_number(storage, "spans", by="one") == 1


def test_spans_and_models_are_numbered_apart(storage: Storage) -> None:
    assert claim_number(storage, "spans", by="one") == claim_number(storage, "models", by="one") == 1


def test_claims_at_once_never_give_a_number_twice_nor_an_owner_two(storage: Storage) -> None:
    claims: dict[str, set[int]] = {f"run-{number}": set() for number in range(6)}

    def claim(owner: str) -> None:
        claims[owner].add(claim_number(storage, "spans", by=owner))

    threads = [threading.Thread(target=claim, args=(owner,)) for owner in claims for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(len(numbers) == 1 for numbers in claims.values())
    assert len(set.union(*claims.values())) == 6


@given(text=st.text())
def test_an_identifier_is_a_safe_file_name_and_made_again_is_the_same(text: str) -> None:
    made = safe_id(text)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", made)
    assert len(made) <= 57
    assert safe_id(made) == made


@given(one=st.text(), other=st.text())
def test_different_texts_have_different_identifiers(one: str, other: str) -> None:
    assert (safe_id(one) == safe_id(other)) == (one == other) or safe_id(one) in (one, other)


@pytest.mark.parametrize("name", ["", "A", "1a", "a-b", "../a", "a/b", "a b", "ä", "a" * 64, "a\n"])
def test_a_name_that_can_not_name_a_pipeline_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="can't name a pipeline"):
        check_pipeline_name(name)
