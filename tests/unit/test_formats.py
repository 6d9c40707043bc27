"""The official annotation formats, line by line: what is read, and what is refused with which words."""

import pytest

from harness.core.errors import HarnessError
from harness.datasets.formats import hmdb, kinetics, ucf

CLASSES = ("ApplyEyeMakeup", "Archery", "HandstandPushups")


def test_ucf_class_index_is_read_with_windows_line_ends():
    text = "1 ApplyEyeMakeup\r\n2 Archery\r\n3 HandstandPushups\r\n\r\n"
    assert ucf.class_index(text, name="classInd.txt") == CLASSES


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("0 ApplyEyeMakeup\n", "expected '1 ClassName'"),
        ("1 A\n3 B\n", "line 2: expected '2 ClassName'"),
        ("1 A\n2 A\n", "listed twice"),
        ("1 A b\n", "expected '1 ClassName'"),
        ("\r\n", "names no class"),
    ],
)
def test_ucf_class_index_that_is_damaged_is_refused(text, says):
    with pytest.raises(HarnessError, match=says):
        ucf.class_index(text, name="classInd.txt")


def test_ucf_train_and_test_lines_give_the_same_labels():
    train = ucf.video_list("Archery/v_Archery_g08_c01.avi 2\r\n", CLASSES, subset="train", name="trainlist01.txt")
    test = ucf.video_list("Archery/v_Archery_g01_c01.avi\r\n", CLASSES, subset="test", name="testlist01.txt")
    assert [(line.path, line.label, line.subset) for line in train + test] == [
        ("Archery/v_Archery_g08_c01.avi", 1, "train"),
        ("Archery/v_Archery_g01_c01.avi", 1, "test"),
    ]


def test_ucf_label_is_the_folders_where_file_names_are_spelt_otherwise():
    (line,) = ucf.video_list(
        "HandstandPushups/v_HandStandPushups_g01_c01.avi", CLASSES, subset="test", name="testlist01.txt"
    )
    assert line.label == 2
    assert ucf.group_of(line.path) == "HandstandPushups/g01"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Archery/a.avi 1", "has label 1, but its folder is class 2"),
        ("Archry/a.avi 2", "no class 'Archry'.*did you mean 'Archery'"),
        ("../Archery/a.avi 2", "leaves the data set's folder"),
        ("/etc/passwd", "leaves the data set's folder"),
        ("C:/Archery/a.avi", "leaves the data set's folder"),
        ("Archery/..\\..\\a.avi 2", "leaves the data set's folder"),
        ("a.avi 2", "expected 'Class/file.avi'"),
        ("Archery/a.avi two", "expected 'Class/file.avi'"),
        ("Archery/a.avi 2\nArchery/a.avi 2", "listed twice"),
    ],
)
def test_ucf_lines_that_cannot_be_trusted_are_refused(text, says):
    with pytest.raises(HarnessError, match=says):
        ucf.video_list(text, CLASSES, subset="train", name="trainlist01.txt")


def test_hmdb_flags_stand_before_a_trailing_space_and_after_any_name():
    text = "a_[b]_(c);#1&2.avi 1 \nd!@~+.avi 2 \ne.f.avi 0 \n"
    assert [(line.path, line.subset) for line in hmdb.flagged(text, name="x")] == [
        ("a_[b]_(c);#1&2.avi", "train"),
        ("d!@~+.avi", "test"),
        ("e.f.avi", "unused"),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.avi 3", "line 1: expected 'file.avi 0', 1"),
        ("a.avi", "expected 'file.avi 0'"),
        ("a.avi 1\na.avi 2", "listed twice"),
        ("../a.avi 1", "leaves the data set's folder"),
        ("b/a.avi 1", "without a folder"),
    ],
)
def test_hmdb_lines_that_cannot_be_trusted_are_refused(text, says):
    with pytest.raises(HarnessError, match=says):
        hmdb.flagged(text, name="turn_test_split1.txt")


def test_hmdb_class_names_that_begin_alike_are_told_apart():
    assert hmdb.class_of("climb_test_split1.txt", 1) == "climb"
    assert hmdb.class_of("climb_stairs_test_split1.txt", 1) == "climb_stairs"
    assert hmdb.class_of("climb_test_split2.txt", 1) is None
    assert hmdb.class_of("README.txt", 1) is None


def test_hmdb_group_is_the_movie_of_the_class():
    assert hmdb.group_of("kick", "The_Matrix_3_kick_f_cm_np1_fr_med_5.avi") == "kick/The_Matrix_3"
    assert hmdb.group_of("turn", "x/Movie09_turn_the_page_turn_f_cm_np1_fr_goo_0.avi") == "turn/Movie09_turn_the_page"
    assert hmdb.group_of("turn", "plain.avi") == "turn/plain"


KINETICS = (
    'label,youtube_id,time_start,time_end,split\n"playing cricket",-abc_DEF123,5,15,train\nhugging,_x,0,10,train\n'
)


def test_kinetics_rows_have_quoted_labels_and_ids_that_begin_oddly():
    rows = kinetics.rows_of_csv(KINETICS, name="train.csv")
    assert [(row.label, row.stem, row.split) for row in rows] == [
        ("playing cricket", "-abc_DEF123_000005_000015", "train"),
        ("hugging", "_x_000000_000010", "train"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        KINETICS.replace("split", "split,is_cc").replace(",train", ",train,0"),
        "\ufeff" + KINETICS.replace("\n", "\r\n"),
        KINETICS.split("\n", 1)[1],
        KINETICS.replace("5,15", "5.0,15.0"),
        "split,label,time_end,time_start,youtube_id\ntrain,playing cricket,15,5,-abc_DEF123\ntrain,hugging,10,0,_x\n",
    ],
    ids=["is_cc", "byte order mark and CRLF", "no header", "float times", "other order"],
)
def test_kinetics_variants_mean_the_same(text):
    assert kinetics.rows_of_csv(text, name="train.csv") == kinetics.rows_of_csv(KINETICS, name="train.csv")


def test_kinetics_test_list_without_labels_and_the_other_name_of_val():
    (row,) = kinetics.rows_of_csv("youtube_id,time_start,time_end,split\nabc,1,11,test\n", name="test.csv")
    assert row.label is None
    assert row.split == "test"
    (row,) = kinetics.rows_of_csv("abc,1,11,test\n", name="test.csv")
    assert (row.label, row.youtube_id) == (None, "abc")
    (row,) = kinetics.rows_of_csv("label,youtube_id,time_start,time_end,split\nx,abc,1,11,validate\n", name="v")
    assert row.split == "val"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("label,youtube_id,time_start\n", "no column time_end"),
        ("label,youtube_id,time_start,time_end,split\nx,abc,one,2,train\n", "line 2: expected the columns"),
        ("label,youtube_id,time_start,time_end,split\nx,abc\n", "line 2: expected the columns"),
        ("label,youtube_id,time_start,time_end,split\nx,../abc,1,2,train\n", "expected a YouTube id"),
        ("label,youtube_id,time_start,time_end,split\nx,abc,5,2,train\n", "time_start <= time_end"),
        ("label,youtube_id,time_start,time_end,split\n../x,abc,1,2,train\n", "leaves the data set's folder"),
        ("label,youtube_id,time_start,time_end,split\nx,abc,1,2,train\ny,abc,1,2,train\n", "is on line 2 already"),
        ("label,youtube_id,time_start,time_end,split\n", "lists no video"),
        ("x,abc\n", "expected the columns"),
    ],
)
def test_kinetics_lines_that_cannot_be_trusted_are_refused(text, says):
    with pytest.raises(HarnessError, match=says):
        kinetics.rows_of_csv(text, name="train.csv")
