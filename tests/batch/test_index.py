"""The table and the page of a run."""

from __future__ import annotations

import csv
import io

from medsr.batch.index import COLUMNS, summary_tsv, write_index
from medsr.batch.item import Row

HOSTILE = Row(
    '=cmd|"/c calc"!A1', "k1", "failed", code="nifti.not_nifti", fact="<script>alert(1)</script>\tx", remedy="look"
)
DONE = Row(
    "sub/a", "k2", "done", word="review", label="UNVERIFIED", reasons=("uncalibrated",), sentence="Held: no record",
    modality="CT", shape=(4, 5, 6), noise_sigma=12.5, output="scans/sub/a", seconds=1.5,
)  # fmt: skip


def test_the_table_has_a_row_a_scan_and_no_formula():
    rows = list(csv.DictReader(io.StringIO(summary_tsv([HOSTILE, DONE]).decode()), delimiter="\t"))
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["name"].startswith("'=")
    assert rows[1]["noise_sigma"] == "12.5"
    assert rows[1]["shape"] == "4 5 6"


def test_the_page_shows_hostile_text_as_text_and_links_each_report(tmp_path):
    write_index(tmp_path, [HOSTILE, DONE])
    page = (tmp_path / "index.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert 'href="scans/sub/a/report.html"' in page
    assert "review 1" in page
    assert "failed 1" in page


def test_rows_survive_their_record():
    for row in (HOSTILE, DONE):
        assert Row.from_json(row.to_json()) == row
