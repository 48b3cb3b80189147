"""Reading tables: exact values, and one clear line for everything that cannot be right."""

import pytest

from emlc.data.human import KINDS
from emlc.judging.cells import HUMAN, PUBLISHED_COLUMNS, Cell, column_name, noise_name, read_cells, read_published
from emlc.records.errors import SuiteError

HEADER = "method,dataset,noise_type,noise_rate,mean,std,n_seeds"


def write(folder, text):
    path = folder / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_values_of_every_column(tmp_path):
    rows = ["MLC,Digits,sym,0.5,84.25,0.5,3", "MLC,Digits,sym,0.9,,,0", '"EMLC (k=1)",Clothing1M,,,79.35,,', ""]
    cells = read_cells(write(tmp_path, "\n".join([HEADER, *rows])))
    assert cells == [
        Cell("MLC", "Digits", "sym", 0.5, 84.25, 0.5, 3),
        Cell("MLC", "Digits", "sym", 0.9, n_seeds=0),
        Cell("EMLC (k=1)", "Clothing1M", mean=79.35),
    ]


def test_what_spreadsheets_and_pandas_add_is_harmless(tmp_path):
    header = "status,n_seeds,std,mean,noise_rate,noise_type,dataset,method,best"
    text = f"{header}\r\nfailed,3.0, 0.5,84.0,0.50,sym,Digits,MLC,1\r\n"
    (cell,) = read_cells(write(tmp_path, b"\xef\xbb\xbf" + text.encode()))
    assert cell == Cell("MLC", "Digits", "sym", 0.5, 84.0, 0.5, 3, status="failed")


@pytest.mark.parametrize(
    ("noise", "name", "column"),
    [
        (("sym", 0.5), "Sym. 50%", "50%"),
        (("asym", 0.4), "Asym. 40%", "Asym. 40%"),
        (("sym-exclusive", 0.125), "Sym-exclusive. 12.5%", "Sym-exclusive. 12.5%"),
        (("human-worst", 0.4021), "Worst 40.21%", "Worst 40.21%"),
        (("idn-part-dependent", 0.385), "Instance-dep. 38.5%", "Instance-dep. 38.5%"),
        (("pmd-type2", 0.35), "PMD type 2 35%", "PMD type 2 35%"),
        (("matrix", 0.25), "Matrix 25%", "Matrix 25%"),
        (("", None), "", "Accuracy"),
    ],
)
def test_one_name_for_a_noise_setting_and_the_papers_for_a_column(noise, name, column):
    assert (noise_name(*noise), column_name(*noise)) == (name, column)


def test_labels_that_people_gave_are_known_by_their_prefix():
    assert all(kind.startswith(HUMAN) for kind in KINDS)
    assert [noise_name(kind, None) for kind in KINDS][:2] == ["Aggre", "Random1"]


def test_names_match_without_case_and_spaces():
    assert Cell("EMLC (k = 1)", "cifar-10", "Sym", 0.2).key == Cell("EMLC (k=1)", "CIFAR-10", "sym", 0.2).key
    assert Cell("MLC", "CIFAR-10 (JPEG)", "sym", 0.2).key != Cell("MLC", "CIFAR-10", "sym", 0.2).key


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column"),
        ("method,dataset,mean\nMLC,Digits,80", "noise_type, noise_rate, std, n_seeds"),
        (f"{HEADER},mean\n", "column twice"),
        (f"{HEADER}\nMLC,Digits,sym,0.5,80,1", "line 2: 6 values for 7 columns"),
        (f"{HEADER}\nMLC,Digits,sym,0.5,80,1,3,4", "line 2: 8 values for 7 columns"),
        (f"{HEADER}\nMLC,Digits,sym,0.5,high,1,3", "line 2: mean is 'high', not a number"),
        (f"{HEADER}\nMLC,Digits,sym,0.5,nan,1,3", "mean is nan; it must be finite and between 0 and 100"),
        (f"{HEADER}\nMLC,Digits,sym,0.5,101,1,3", "mean is 101"),
        (f"{HEADER}\nMLC,Digits,sym,0.5,-1,1,3", "mean is -1"),
        (f"{HEADER}\nMLC,Digits,sym,20,80,1,3", "noise_rate is 20; it must be finite and between 0 and 1"),
        (f"{HEADER}\nMLC,Digits,sym,-0.1,80,1,3", "noise_rate is -0.1"),
        (f"{HEADER}\nMLC,Digits,sym,0.5,80,-1,3", "std is -1"),
        (f"{HEADER}\nMLC,Digits,sym,0.5,80,1,2.5", "n_seeds is '2.5'; write a whole number"),
        (f"{HEADER}\nMLC,Digits,sym,0.5,80,1,-3", "n_seeds is -3; it must be finite and at least 0"),
        (f"{HEADER}\nMLC,Digits,sym,0.5,80,1,inf", "n_seeds is inf"),
        (f"{HEADER}\nMLC,Digits,sym,0.5,80,1,0", "a mean over 0 seeds"),
        (f"{HEADER}\n,Digits,sym,0.5,80,1,3", "method is empty"),
        (f"{HEADER}\nMLC,,sym,0.5,80,1,3", "dataset is empty"),
        (
            f"{HEADER}\nMLC,Digits,sym,0.5,80,1,3\nmlc,Digits,sym,0.50,81,1,3",
            "line 3: mlc Digits sym 0.50 is there twice",
        ),
        (f'{HEADER}\n"MLC,Digits,sym,0.5,80,1,3', "not a CSV file"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "not a CSV file in UTF-8"),
    ],
)
def test_what_cannot_be_right_is_named_in_one_line(tmp_path, text, message):
    with pytest.raises(SuiteError) as caught:
        read_cells(write(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(SuiteError, match=r"cannot read .*absent\.csv"):
        read_cells(tmp_path / "absent.csv")
    with pytest.raises(SuiteError, match="cannot read"):
        read_cells(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\nMLC,Digits,sym,0.5,80,1,3", "lacks the column.s. source, note"),
        (",".join(PUBLISHED_COLUMNS), "holds no cell"),
        (f"{','.join(PUBLISHED_COLUMNS)}\nMLC,Digits,sym,0.5,,,,there,none", "has no mean"),
    ],
)
def test_a_published_table_must_be_complete(tmp_path, text, message):
    with pytest.raises(SuiteError, match=message):
        read_published(write(tmp_path, text))
