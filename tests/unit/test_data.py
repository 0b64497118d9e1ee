"""Rich values: what they become, and what is said of those that cannot be logged."""

from __future__ import annotations

import io
import json
import math
import sys
import warnings
import wave
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import runstream
from runstream.data.loggable import Content
from runstream.errors import UsageError
from runstream.runs.values import key_problem


class Collected:
    """An outbox that keeps everything."""

    def __init__(self) -> None:
        self.records: list[tuple[str, dict[str, Any]]] = []
        self.contents: list[Content] = []
        self.points: dict[str, float] = {}

    def point(self, key: str, value: float, step: int) -> None:
        self.points[key] = value

    def record(self, kind: str, value: dict[str, Any], contents: list[Content] | None = None) -> None:
        self.records.append((kind, value))
        self.contents += contents or []


def written(value: Any) -> Collected:
    out = Collected()
    value.write("key", 3, out)
    return out


def picture(out: Collected, place: int = 0) -> Any:
    data = out.contents[place].data
    assert data is not None
    return PIL.Image.open(io.BytesIO(data))


def problem(value: Any) -> str:
    with pytest.raises(UsageError) as caught:
        written(value)
    return str(caught.value)


def test_a_histogram_of_samples_is_numpys() -> None:
    samples = np.random.default_rng(3).normal(size=(20, 50))
    histogram = runstream.Histogram(samples, num_bins=32)
    counts, edges = np.histogram(samples.ravel(), bins=32)
    assert histogram.counts == counts.tolist() and histogram.edges == edges.tolist()
    (kind, value), *_ = written(histogram).records
    assert kind == "histogram" and value["step"] == 3 and len(value["edges"]) == 33


def test_a_histogram_leaves_nan_and_infinities_out_of_its_bins() -> None:
    histogram = runstream.Histogram([1.0, 2.0, math.nan, math.inf, -math.inf, 3.0], num_bins=2)
    assert histogram.counts == [1.0, 2.0] and histogram.edges == [1.0, 2.0, 3.0]
    assert written(histogram).points == {"key.not_finite": 3.0}
    assert written(runstream.Histogram([1.0])).points == {}


def test_a_histogram_of_no_finite_sample_says_how_many_there_are() -> None:
    out = written(runstream.Histogram([math.nan, math.inf]))
    assert out.points == {"key.not_finite": 2.0} and not out.records


def test_what_is_written_beside_a_histogram_has_a_name_that_a_row_takes() -> None:
    for key in ("x" * 1024, "ü" * 512, "x" * 1014):
        out = Collected()
        runstream.Histogram([1.0, math.nan]).write(key, 0, out)
        (name,) = out.points
        assert name.endswith(".not_finite") and not key_problem(name)


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (1.0, math.nextafter(1.0, 2.0)),
        (1e16, 1e16 + 4),
        (-1.7e308, 1.7e308),
        (0.0, 5e-324),
        (1e300, 1e300),
        (7.0, 7.0),
    ],
)
def test_a_histogram_of_very_narrow_or_very_wide_samples_is_kept(
    low: float, high: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    histogram = runstream.Histogram([low, high])
    assert not histogram.problem and sum(histogram.counts) == 2.0
    edges = histogram.edges
    assert edges == sorted(set(edges)) and edges[0] <= low and high <= edges[-1]
    monkeypatch.setitem(sys.modules, "numpy", None)
    without = runstream.Histogram([low, high])
    assert (without.edges, without.counts) == (edges, histogram.counts), "where there is no numpy"


def test_a_histogram_of_counts_is_kept_as_it_is() -> None:
    histogram = runstream.Histogram(np_histogram=np.histogram([1, 2, 2, 5], bins=4))
    assert histogram.counts == [1, 2, 0, 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"sequence": []}, "no sample"),
        ({"sequence": [1], "num_bins": 0}, "1 to 512"),
        ({"sequence": [1], "num_bins": 513}, "1 to 512"),
        ({"np_histogram": ([1, 2], [0, 1])}, "one edge more"),
        ({"np_histogram": ([1], [1, 0])}, "ascend"),
        ({"sequence": ["a", "b"]}, "could not convert"),
        ({}, "made of a sequence"),
    ],
)
def test_a_histogram_says_why_it_is_none(arguments: dict[str, Any], words: str) -> None:
    assert words in problem(runstream.Histogram(**arguments))


@pytest.mark.parametrize(
    ("array", "size", "pixel"),
    [
        (np.full((4, 6), 0.5), (6, 4), 128),
        (np.full((4, 6, 1), 1.0, np.float32), (6, 4), 255),
        (np.full((4, 6, 3), 7, np.uint8), (6, 4), (7, 7, 7)),
        (np.full((4, 6, 4), 9, np.int64), (6, 4), (9, 9, 9, 9)),
        (np.ones((2, 2), bool), (2, 2), 255),
        (np.array([[-1.0, 1.0]]), (2, 1), 0),
        (np.array([[10.0, 1000.0]]), (2, 1), 0),
        (np.array([[math.nan, 1.0]]), (2, 1), 0),
        (np.array([[300, 400, 500]], np.uint16), (3, 1), 0),
        (np.array([[400, 300, 500]], np.int32), (3, 1), 128),
        (np.array([[65535, 0]], np.uint16), (2, 1), 255),
        (PIL.Image.fromarray(np.array([[70000, 0]], np.int32)), (2, 1), 255),
        (PIL.Image.fromarray(np.array([[0.25, 0.0]], np.float32)), (2, 1), 64),
    ],
)
def test_arrays_become_pictures(array: Any, size: tuple[int, int], pixel: Any) -> None:
    shown = picture(written(runstream.Image(array)))
    assert shown.size == size and shown.getpixel((0, 0)) == pixel


def test_the_range_of_a_picture_that_was_stretched_is_kept() -> None:
    assert runstream.Image(np.array([[300, 500]], np.uint16)).metadata["value_range"] == [300.0, 500.0]
    assert "value_range" not in runstream.Image(np.array([[3, 5]], np.uint16)).metadata


def test_a_picture_of_16_bits_keeps_them_as_png() -> None:
    deep = PIL.Image.fromarray(np.array([[65000, 3]], np.uint16))
    assert picture(written(runstream.Image(deep))).getpixel((0, 0)) == 65000
    assert picture(written(runstream.Image(deep, file_type="jpg"))).mode == "L"


def test_an_array_may_change_after_its_image_was_made() -> None:
    array = np.zeros((2, 2), np.uint8)
    image = runstream.Image(array)
    array[:] = 255
    assert picture(written(image)).getpixel((0, 0)) == 0


def test_pictures_figures_and_files_are_images(tmp_path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots()
    axes.plot([1, 2])
    assert picture(written(runstream.Image(figure))).width > 100
    plt.close(figure)
    path = tmp_path / "a.jpg"
    PIL.Image.new("RGB", (5, 6)).save(path)
    out = written(runstream.Image(path, caption="hello"))
    assert out.records[0][1]["media_type"] == "image/jpeg" and out.records[0][1]["caption"] == "hello"
    assert out.contents[0].path == path
    assert picture(written(runstream.Image(PIL.Image.new("CMYK", (5, 6))))).size == (5, 6)
    assert written(runstream.Image(np.zeros((3, 3)), file_type="jpg")).records[0][1]["media_type"] == "image/jpeg"


def test_boxes_and_masks_travel_with_their_image() -> None:
    image = runstream.Image(
        np.zeros((4, 6)),
        boxes={"truth": {"box_data": [{"position": {"middle": [1, 1], "width": 1, "height": 1}, "class_id": 2}]}},
        masks={"guess": {"mask_data": np.eye(4, 6, dtype=int), "class_labels": {1: "cat"}}},
    )
    out = written(image)
    metadata = json.loads(out.records[0][1]["metadata_json"])
    assert metadata["masks"]["guess"] == {"sha256": out.contents[1].sha256, "class_labels": {"1": "cat"}}
    assert picture(out, 1).getpixel((1, 1)) == 1
    assert metadata["boxes"]["truth"]["box_data"][0]["class_id"] == 2


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (lambda: runstream.Image(np.zeros((2, 2, 7))), "shape (2, 2, 7)"),
        (lambda: runstream.Image(np.zeros(5)), "shape (5,)"),
        (lambda: runstream.Image(np.zeros((0, 4))), "shape (0, 4)"),
        (lambda: runstream.Image(np.zeros((2, 2), complex)), "complex128"),
        (lambda: runstream.Image("nowhere.png"), "cannot be read"),
        (lambda: runstream.Image("nowhere.bmp"), "none of"),
        (lambda: runstream.Image(np.zeros((2, 2)), masks={"m": {"mask_data": np.zeros((3, 3))}}), "(height, width)"),
        (lambda: runstream.Image(np.zeros((2, 2)), masks={"m": {"mask_data": np.full((2, 2), 256)}}), "0 to 255"),
        (lambda: runstream.Image(np.zeros((2, 2)), masks={"m": 3}), "mask_data"),
        (lambda: runstream.Image(np.zeros((2, 2)), boxes={"b": {"box_data": [{"position": {"x": 1}}]}}), "minX"),
        (lambda: runstream.Image(np.zeros((2, 2)), file_type="tiff"), "file_type"),
        (lambda: runstream.Image(object()), "shape ()"),
        (lambda: runstream.Audio(np.zeros(10)), "sample_rate"),
        (lambda: runstream.Audio(np.zeros((2, 2, 2)), 8000), "shape (2, 2, 2)"),
        (lambda: runstream.Audio(np.zeros(4, np.int32), 8000), "int32"),
        (lambda: runstream.Audio("a.txt"), "audio"),
        (lambda: runstream.Video(np.zeros((2, 2, 2))), "(frames, channels, height, width)"),
        (lambda: runstream.Video(np.zeros((1, 3, 2, 2))), "uint8"),
        (lambda: runstream.Video(np.zeros((1, 3, 2, 2), np.uint8), format="mp4"), "gif or webp"),
        (lambda: runstream.Html(3), "int"),
        (lambda: runstream.Table(columns=["a"], data=[[1, 2]]), "row 0"),
        (lambda: runstream.Table(columns=["a"], data=[[runstream.Image(np.zeros(3))]]), "shape (3,)"),
        (lambda: runstream.Table(columns=["a"], data=[[runstream.Histogram([1])]]), "cell"),
        (lambda: runstream.plot.line(runstream.Table(["a"], [[1]]), "a", "b"), "columns are a"),
        (lambda: runstream.plot.line([1], "a", "b"), "Table"),
        (lambda: runstream.plot.confusion_matrix(y_true=[0], preds=[0, 1]), "1 true and 2 predicted"),
        (lambda: runstream.plot.confusion_matrix(y_true=[0, 5], preds=[0, 1], class_names=["a", "b"]), "beyond"),
        (lambda: runstream.plot.roc_curve([0], np.zeros(3)), "shape (N, classes)"),
        (lambda: runstream.plot.line_series([1, 2], [[1]], ["a"]), "2 xs and 1 ys"),
    ],
)
def test_what_cannot_be_shown_says_why(image: Any, words: str) -> None:
    assert words in problem(image())


def test_sound_is_16_bit_pcm() -> None:
    out = written(runstream.Audio(np.array([0.0, 1.0, -2.0, math.nan]), sample_rate=8000))
    data = out.contents[0].data
    assert data is not None
    with wave.open(io.BytesIO(data)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert np.frombuffer(file.readframes(4), "<i2").tolist() == [0, 32767, -32767, 0]


def test_a_video_has_all_its_frames() -> None:
    frames = np.zeros((3, 3, 8, 10), np.uint8)
    frames[1], frames[2] = 120, 250
    shown = picture(written(runstream.Video(frames, fps=10)))
    assert shown.n_frames == 3 and shown.size == (10, 8)


def test_html_is_text_a_path_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("<b>file</b>")
    assert written(runstream.Html("<i>text</i>")).contents[0].data == b"<i>text</i>"
    assert written(runstream.Html(str(path))).contents[0].path == path
    with path.open() as file:
        assert written(runstream.Html(file)).contents[0].data == b"<b>file</b>"


def test_tables_grow_by_rows_and_columns_and_hold_media() -> None:
    table = runstream.Table(columns=["step", "loss"])
    table.add_data(1, 0.5)
    table.add_data(2, math.inf)
    table.add_column("image", [runstream.Image(np.zeros((2, 2))), None])
    out = written(table)
    value = out.records[0][1]
    rows = json.loads(value["rows_json"])
    assert value["columns"] == ["step", "loss", "image"] and value["rows"] == 2
    assert rows[1] == [2, "Infinity", None]
    assert rows[0][2]["_type"] == "media" and rows[0][2]["sha256"] == out.contents[0].sha256
    assert table.get_column("step") == [1, 2]


def test_a_frame_of_pandas_is_a_table() -> None:
    pandas = pytest.importorskip("pandas")
    table = runstream.Table(dataframe=pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}))
    assert table.columns == ["a", "b"] and table.data == [[1, "x"], [2, "y"]]


def test_a_large_table_goes_to_object_storage() -> None:
    out = written(runstream.Table(columns=["text"], data=[["x" * 1000]] * 2000))
    reference = json.loads(out.records[0][1]["rows_json"])
    assert reference["sha256"] == out.contents[-1].sha256
    assert json.loads(out.contents[-1].data or b"")[1999] == ["x" * 1000]


def test_a_confusion_matrix_counts_pairs() -> None:
    table = runstream.plot.confusion_matrix(y_true=[0, 0, 1, 1, 1], preds=[0, 1, 1, 1, 0], class_names=["cat", "dog"])
    assert table.data == [["cat", "cat", 1], ["cat", "dog", 1], ["dog", "cat", 1], ["dog", "dog", 2]]
    assert table.plot["type"] == "confusion_matrix"
    by_probability = runstream.plot.confusion_matrix(probs=np.array([[0.9, 0.1], [0.2, 0.8]]), y_true=[0, 1])
    assert [row[2] for row in by_probability.data] == [1, 0, 0, 1]


def test_roc_and_pr_curves_are_scikit_learns() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(5)
    truth = generator.integers(0, 2, 400)
    scores = generator.random((400, 2))
    false_rate, true_rate, _ = metrics.roc_curve(truth == 1, scores[:, 1])
    rows = [row for row in runstream.plot.roc_curve(truth, scores, labels=["a", "b"]).data if row[0] == "b"]
    assert [row[1] for row in rows] == [round(float(x), 6) for x in false_rate]
    assert [row[2] for row in rows] == [round(float(y), 6) for y in true_rate]
    precision, recall, _ = metrics.precision_recall_curve(truth == 0, scores[:, 0])
    rows = list(runstream.plot.pr_curve(truth, scores, classes_to_plot=[0]).data)
    assert [row[1:] for row in rows] == [
        [round(float(r), 6), round(float(p), 6)] for r, p in zip(recall, precision, strict=True)
    ]


def test_series_share_or_have_their_own_x() -> None:
    shared = runstream.plot.line_series([1, 2], [[3, 4], [5, 6]], ["a", "b"])
    assert shared.data == [[1, 3, "a"], [2, 4, "a"], [1, 5, "b"], [2, 6, "b"]]
    own = runstream.plot.line_series([[1], [2]], [[3], [4]])
    assert own.data == [[1, 3, "line 1"], [2, 4, "line 2"]]


def test_log_keeps_the_rest_when_one_rich_value_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("DIR", str(tmp_path)), ("MODE", "offline"), ("SILENT", "true"), ("SYSTEM_METRICS", "false")):
        monkeypatch.setenv(f"RUNSTREAM_{name}", value)
    monkeypatch.setenv("RUNSTREAM_CONSOLE", "off")
    run = runstream.init(project="p", reinit="create_new")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for _ in range(3):
            run.log({"bad": runstream.Image(np.zeros(3)), "arr": np.array(["a", "b"]), "loss": 1.5})
    sentences = [str(one.message) for one in said]
    assert len(sentences) == 2, "each once"
    assert "'bad'" in sentences[0] + sentences[1] and "could not convert string" in sentences[0] + sentences[1]
    assert run.points_logged == 3
    run.finish()
    strict = runstream.init(project="p", reinit="create_new", settings={"strict": True})
    with pytest.raises(UsageError, match="'bad'"):
        strict.log({"bad": runstream.Image(np.zeros(3))})
    strict.finish()
    monkeypatch.setattr(runstream, "run", None)
