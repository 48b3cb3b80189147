"""The speed of several processes is measured by as many, which share the batches."""

import pytest

from emlc.records.errors import SuiteError
from pipelines.bench.processes import main

TINY = ["--model", "cnn-small", "--side", "8", "--updates", "2"]


def test_a_row_for_each_number_of_processes(capsys):
    assert main([*TINY, "--batch", "4", "--counts", "2", "1", "2"]) == 0
    about, _, _, _, *rows = capsys.readouterr().out.splitlines()
    assert about == "EMLC k=1, cnn-small, batches of 4 shared, synchronised batch normalisation:"
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[0] for row in cells] == ["1", "2"]
    assert cells[0][2] == "1.00"
    # Both are rounded: to four digits, and to a hundredth.
    assert float(cells[1][1]) / float(cells[0][1]) == pytest.approx(float(cells[1][2]), abs=0.006)
    assert all(row[3].startswith("cpu (") for row in cells)


def test_a_batch_that_cannot_be_shared_is_told(capfd):
    with pytest.raises(SuiteError, match="2 processes ended with status"):
        main([*TINY, "--batch", "5", "--counts", "2"])
    assert "error: 5 samples cannot be shared equally by 2 processes" in capfd.readouterr().err
