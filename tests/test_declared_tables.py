"""The tables in the documents say what the declarations of fields, outcomes and costs say."""

from __future__ import annotations

import pytest
from declared_tables import REPOSITORY, TABLES, with_table


@pytest.mark.parametrize("name", sorted(TABLES))
def test_a_table_of_the_documents_is_what_is_declared(name: str) -> None:
    document, make_rows = TABLES[name]
    text = (REPOSITORY / document).read_text()
    assert with_table(text, name, make_rows()) == text, "make schema writes it anew"
