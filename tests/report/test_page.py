"""The page as its readers and their tools meet it."""

import base64
import html
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest
import soundfile
from rich.console import Console

from sibboleth import predictions, progress
from sibboleth.errors import SibbolethError
from sibboleth.report import page
from sibboleth.report.results import load
from sibboleth.runs import RunDirectory, write_table

MakeRun = Callable[..., RunDirectory]
VOID = {"meta", "link", "br", "img", "hr", "input", "source", "wbr"}


MINIMAL = {
    "domains": ("de",),
    "encoders": {"logmel": 1},
    "regimes": ("within",),
    "comparisons": False,
    "slices": False,
    "nan_intervals": True,
    "findings": False,
    "synthetic": False,
    "speakers": 3,
}
SOME = {"logmel": 1, "microsoft/wavlm-base": 2}


class Reader(HTMLParser):
    """Collects what a page consists of and whether its elements are nested properly."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.broken: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        else:
            self.broken.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def words(self) -> str:
        return " ".join("".join(self.text).replace("\N{NO-BREAK SPACE}", " ").split())


def read(run: RunDirectory) -> Reader:
    return Reader((run / "report.html").read_text(encoding="utf-8"))


def test_synthetic_speech_is_said_before_anything_else(reported: RunDirectory) -> None:
    words = read(reported).words
    notice = words.index("The speech is synthetic: spoken by a machine. Nothing here is a result about people.")
    assert notice < words.index("What was asked")
    body = (reported / "report.html").read_text(encoding="utf-8").split("<body>")[1]
    assert body.lstrip().startswith('<aside class="notice"')


def test_recorded_speech_has_no_such_notice(make_run: MakeRun) -> None:
    run = make_run(**MINIMAL)
    page.write(run)
    assert "The speech is synthetic" not in read(run).words


def test_only_the_synthetic_corpora_are_named_where_others_are_recorded(make_run: MakeRun) -> None:
    run = make_run(**{**MINIMAL, "domains": ("de", "nl"), "synthetic": True})
    record = run.read()
    record["corpora"][0]["synthetic"] = False
    run.write(record)
    page.write(run)
    assert "This holds for nl; nothing said about it is a result about people." in read(run).words


def test_page_is_well_formed_and_in_order(reported: RunDirectory) -> None:
    reader = read(reported)
    assert reader.broken == [] and reader.open == []
    levels = [int(tag[1]) for tag, _ in reader.found if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    ids = [attributes["id"] for _, attributes in reader.found if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_page_needs_nothing_else(reported: RunDirectory) -> None:
    reader = read(reported)
    assert reader.all("script") == [] and reader.all("img") == [] and reader.all("iframe") == []
    assert [link["href"] for link in reader.all("link")] == ["data:,"]
    assert "@import" not in (reported / "report.html").read_text(encoding="utf-8")
    targets = [a["href"] for a in reader.all("a")]
    ids = {attributes.get("id") for _, attributes in reader.found}
    for target in targets:
        assert target[1:] in ids if target.startswith("#") else (reported / target).exists(), target


def test_figures_have_words_and_tables_have_heads(reported: RunDirectory) -> None:
    reader = read(reported)
    pictures = [svg for svg in reader.all("svg") if svg.get("role") == "img"]
    assert len(pictures) > 20
    assert all(len(svg["aria-label"]) > 20 for svg in pictures)
    assert len(reader.all("caption")) == len(reader.all("table"))
    assert all(th.get("scope") in ("col", "row") for th in reader.all("th"))
    assert all(audio.get("aria-label") for audio in reader.all("audio"))


def test_drawn_ids_do_not_meet(reported: RunDirectory) -> None:
    text = (reported / "report.html").read_text(encoding="utf-8")
    used = set(re.findall(r"url\(#([^)]+)\)", text))
    defined = re.findall(r'\bid="([^"]+)"', text)
    assert used <= set(defined) and len(defined) == len(set(defined))


def test_every_score_is_there_with_interval_n_and_speakers(reported: RunDirectory) -> None:
    words = read(reported).words
    scores = reported.table("scores").filter(
        (pl.col("metric") == "uar") & (pl.col("slice") == "all") & (pl.col("rater") == "selected")
    )
    for row in scores.to_dicts():
        assert f"{row['estimate']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" in words
    written = pl.read_csv(reported / "tables" / "scores.csv")
    both = written.filter(pl.col("metric") == "uar").sort("run")
    assert both["estimate"].to_list() == pytest.approx(scores.sort("run")["estimate"].to_list())
    assert both["n"].to_list() == scores.sort("run")["n"].to_list() and set(both["clusters"]) == {8}


def test_regimes_are_explained_and_findings_told(reported: RunDirectory) -> None:
    words = read(reported).words
    for regime in ("within", "zero-shot", "target-selected"):
        assert regime in words
    assert "no label of the target is ever used" in words
    assert "scores are too high" in words and "allowed by the study" in words
    assert "cannot be decoded: not a WAV file" in words
    assert words.index("identical-audio") < words.index("constant-column")


def test_everything_leads_back(reported: RunDirectory) -> None:
    words, record = read(reported).words, reported.read()
    assert str(reported.path.resolve()) in words and record["command"] in words
    for corpus in record["corpora"]:
        assert corpus["digest"] in words
    for encoder in record["encoders"]:
        assert encoder["identity"] in words
    text = (reported / "report.html").read_text(encoding="utf-8")
    sourced = text.count('class="source"')
    assert sourced >= text.count("<figure") + text.count('class="table"')


def test_figures_and_tables_are_written_as_files(reported: RunDirectory) -> None:
    drawn = sorted((reported / "figures").glob("*.svg"))
    assert {"layers-within", "layers-zero-shot", "transfer-zero-shot", "confusions-within"} <= {f.stem for f in drawn}
    for file in drawn:
        assert file.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
    assert {f.suffix for f in (reported / "tables").iterdir()} == {".csv", ".tex"}
    assert not list(reported.path.rglob(".*"))


def test_user_text_is_escaped_everywhere(make_run: MakeRun) -> None:
    bad = "</title><script>alert(1)</script>\"'&{{7*7}}"
    run = make_run(
        regimes=("within", "zero-shot"),
        encoders={"a<b": 2},
        domains=(bad, "n%_l"),
        labels=("a<b>", "h&c", "{{x}}", "s\\d"),
        question=bad,
    )
    page.write(run)
    reader = read(run)
    assert reader.broken == [] and reader.all("script") == []
    assert bad in "".join(reader.text)
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "<b>" not in text
    for file in (run / "tables").glob("*.tex"):
        body = file.read_text(encoding="utf-8")
        assert not re.search(r"(?<!\\)[&%_#](?![^\n]*\\\\)", body.replace(" & ", " ").partition("\n")[2]), file.name


def test_least_that_a_run_can_be(make_run: MakeRun) -> None:
    run = make_run(**MINIMAL)
    page.write(run)
    words = read(run).words
    assert "[no interval]" in words and "nan" not in words.lower().split()
    assert "no transfer" in words and "no curve to draw" in words
    assert "The audit found nothing to report." in words and "made no paired comparisons" in words


def test_numbers_as_target_have_no_confusions(make_run: MakeRun) -> None:
    run = make_run(kind="regression")
    page.write(run)
    words = read(run).words
    assert "concordance correlation coefficient" in words and "there are no confusions" in words
    assert "mean absolute error" in words
    assert not list((run / "figures").glob("confusions*"))


def test_tables_that_a_scored_run_lacks_are_not_missed(make_run: MakeRun) -> None:
    run = make_run(**{**MINIMAL, "encoders": {"a/b": 3}})
    for name in ("comparisons.parquet", "selection.parquet", "audit.json", "predictions.parquet"):
        (run / name).unlink()
    page.write(run)
    assert "made no paired comparisons" in read(run).words


def test_layers_that_dev_chose_are_read_in_the_form_that_marks_them(make_run: MakeRun) -> None:
    run = make_run(**{**MINIMAL, "encoders": {"a/b": 3}})
    marked = run.table("selection").with_columns(
        pl.format("layer-{}", pl.col("layer").cast(pl.String).str.zfill(2)).alias("rater"), selected=True
    )
    page.write(run)
    before = read(run).words
    others = marked.with_columns(layer=pl.col("layer") + 90, selected=False)
    write_table(run / "selection.parquet", pl.concat([marked, others], how="vertical_relaxed"))
    page.write(run)
    assert "×" in before
    assert read(run).words == before


def test_same_tables_give_the_same_page(make_run: MakeRun) -> None:
    run = make_run(regimes=("within", "zero-shot"), encoders={"logmel": 1, "a/b": 3})
    page.write(run)
    first = (run / "report.html").read_bytes()
    for name in ("scores", "cells", "predictions", "utterances", "selection"):
        write_table(run / f"{name}.parquet", run.table(name).reverse())
    page.write(run)
    assert (run / "report.html").read_bytes() == first


def test_players_link_embed_or_stay_away(reported: RunDirectory, make_run: MakeRun) -> None:
    linked = read(reported).all("audio")
    assert len(linked) == 12
    assert all(player["src"].startswith("../speech%20%231.wav#t=") for player in linked)
    audio = reported.path.parent / "speech #1.wav"
    run = make_run(**{**MINIMAL, "audio": audio})
    page.write(run, audio="embed", most_examples=3)
    embedded = read(run).all("audio")
    assert len(embedded) == 3
    clip = embedded[0]["src"].removeprefix("data:audio/flac;base64,")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(clip)))
    assert rate == 16_000 and len(samples) == 6400 and np.abs(samples).max() > 0.1
    assert "licence" in read(run).words
    page.write(run, audio="none")
    assert read(run).all("audio") == []


def test_audio_that_is_gone_has_no_player(make_run: MakeRun) -> None:
    run = make_run(**MINIMAL)
    page.write(run, audio="embed")
    assert read(run).all("audio") == []


def test_most_often_wrong_is_what_was_most_often_wrong(make_run: MakeRun) -> None:
    run = make_run(regimes=("within",))
    answers = run.table("predictions").filter(
        (pl.col("source") == "model") & pl.col("run").str.starts_with("microsoft")
    )
    decided = answers.sort("value", descending=True).unique(["run", "utterance"], keep="first")
    truth = run.table("utterances").select("utterance", "emotion")
    wrong = decided.join(truth, on="utterance").group_by("utterance").agg((pl.col("label") != pl.col("emotion")).mean())
    worst = wrong["label"].max()
    page.write(run, most_examples=1)
    text = (run / "report.html").read_text(encoding="utf-8")
    shown = re.search(r'<ol class="examples">\s*<li>\s*<h3><code>([^<]+)', text)
    assert shown is not None
    assert dict(wrong.iter_rows())[html.unescape(shown[1])] == worst


def test_what_cannot_be_reported_says_why(make_run: MakeRun, tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(SibbolethError, match="not a run directory"):
        page.write(tmp_path_factory.mktemp("empty"))
    run = make_run()
    write_table(run / "scores.parquet", run.table("scores").clear())
    with pytest.raises(SibbolethError, match="has no scores"):
        page.write(run)
    (run / "audit.json").write_text("{", encoding="utf-8")
    write_table(run / "scores.parquet", run.table("scores"))
    (run / "scores.parquet").unlink()
    with pytest.raises(SibbolethError, match="run the same command again"):
        page.write(run)
    assert not (run / "report.html").exists()


def test_study_is_shown_as_it_was_resolved(reported: RunDirectory) -> None:
    text = html.unescape((reported / "report.html").read_text(encoding="utf-8"))
    assert json.dumps(reported.read()["study"], indent=2, ensure_ascii=False) in text


def test_what_p_cannot_show_stands_beside_the_comparisons(make_run: MakeRun) -> None:
    run = make_run(speakers=5, regimes=("within", "zero-shot"), encoders={"a/b": 2, "logmel": 1})
    page.write(run)
    words = read(run).words
    said = words.index("What p cannot show here")
    assert words.index("Each line compares two sets of answers") < said < words.index("What the audit found")
    assert "Within - zero-shot: with 5 speakers no p below 0.062 is possible" in words
    assert pl.read_csv(run / "tables" / "comparisons.csv").columns == run.table("comparisons").columns


def test_many_exclusions_of_one_kind_are_one_line(make_run: MakeRun) -> None:
    run = make_run(**MINIMAL)
    labels = [f"label {'bored' if i % 5 else 'shy <b>'} is not asked for" for i in range(500)]
    rows = [{"utterance": f"u{i:03d}", "audio": f"/a/{i}.wav", "reason": reason} for i, reason in enumerate(labels)]
    rows += [{"utterance": f"s{i}", "audio": "", "reason": f"it is {i / 100} s long, under 0.1 s"} for i in range(3)]
    rows += [{"utterance": "broken", "audio": "/a/b.wav", "reason": "cannot be decoded"}] * 2
    run.write({**run.read(), "excluded": rows})
    page.write(run)
    reader = read(run)
    assert reader.broken == [] and reader.all("b") == []
    words = reader.words
    assert "Left out: 504 utterances" in words
    assert "500 utterances: label … is not asked for" in words and "3 utterances: it is … s long, under … s" in words
    assert "1 utterance: cannot be decoded Which broken" in words
    assert "label bored is not asked for (400): u001" in words and "200 of 500 are named here" in words
    assert "label shy <b> is not asked for (100): u000" in words
    text = (run / "report.html").read_text(encoding="utf-8")
    folded = text[text.index("500 utterances: label") :].partition("</details>")[0]
    assert folded.index("<summary>") < folded.index("<code>u001</code>")
    assert pl.read_csv(run / "tables" / "excluded.csv").height == 505


def test_notes_and_fine_tuning_of_encoders_are_shown(make_run: MakeRun) -> None:
    run = make_run(**{**MINIMAL, "encoders": SOME, "fine_tuned": ("microsoft/wavlm-base",)})
    page.write(run)
    words = read(run).words
    made = words.index("How it was made")
    assert "microsoft/wavlm-base: it was trained with labels (ForCTC)" in words[made:]
    assert "checkpoint, fine-tuned" in words[made:]
    assert "wavlm-base (fine-tuned), logmel (control)" in words.split("Score")[0].replace("  ", " ")


def test_domains_with_different_labels_have_no_level_of_guessing(make_run: MakeRun) -> None:
    run = make_run(regimes=("within", "zero-shot"), encoders={"logmel": 1, "a/b": 2})
    run.write({**run.read(), "chance": None})
    page.write(run)
    words = read(run).words
    assert words.count("No chance level is shown") == 1
    assert words.lower().count("chance") == 1
    assert "Darker is better." in words
    drawn = (run / "figures" / "transfer-zero-shot.svg").read_text(encoding="utf-8")
    assert len(set(re.findall(r'fill="(rgb\([^)]*\)|#[0-9a-f]{6})"', drawn))) > 4


def test_source_others_trains_and_is_not_tested(make_run: MakeRun) -> None:
    run = make_run(domains=("de", "en"), regimes=("within", "zero-shot"), encoders={"a/b": 1})
    others = pl.when(pl.col("regime") == "zero-shot").then(pl.lit("others")).otherwise("source")
    write_table(run / "cells.parquet", run.table("cells").with_columns(others.alias("source")))
    page.write(run)
    words = read(run).words
    assert "language: de, en Encoders" in words
    drawn = (run / "figures" / "transfer-zero-shot.svg").read_text(encoding="utf-8")
    assert drawn.count(">others<") == 1  # a row and no column


def test_regime_is_explained_with_what_the_probe_lets_dev_choose(make_run: MakeRun) -> None:
    run = make_run(probe="mlp", encoders={"a/b": 1})
    page.write(run)
    words = read(run).words
    assert "but layer and epoch are selected with labels of the target" in words and "penalty" not in words
    assert "with the number of answers below" in words


def test_transcripts_most_often_wrong_are_shown(make_run: MakeRun) -> None:
    run = make_run(**{**MINIMAL, "encoders": {"a/b": 1}})
    cell = run.table("cells")["run"][0]
    names = run.table("utterances")["utterance"].head(2)
    common = {"utterance": names, "target": "emotion", "value": 1.0}
    said = {"run": cell, "source": "model", "rater": "selected", "label": ["ja nee", "een twee"]}
    true = {"run": "corpus", "source": "reference", "rater": "corpus", "label": ["ja ja", "een twee"]}
    tables = [predictions.table({**common, **one}) for one in (said, true)]
    write_table(run / "predictions.parquet", pl.concat(tables))
    record = run.read()
    run.write({**record, "target": {**record["target"], "kind": "transcription", "labels": []}, "chance": None})
    page.write(run)
    words = read(run).words
    assert "The 1 utterance that answers missed by most" in words
    assert "Reference: ja ja · errors per word: 0.50 over 1 answer" in words
    assert "No chance level" not in words


@pytest.mark.parametrize(
    ("scheme", "parts"),
    [
        ("speaker-folds", "no speaker is in two parts"),
        ("leave-one-speaker-out", "no speaker is in two parts"),
        ("leave-one-session-out", "no recording session is in two parts"),
        ("random-folds", "divided at random: the same voices are in all parts"),
        ("file", "as the study's lists say"),
        ("", "on parts of it that share no utterance"),
    ],
)
def test_within_says_what_keeps_its_parts_apart(make_run: MakeRun, scheme: str, parts: str) -> None:
    run = make_run(**MINIMAL)
    record = run.read()
    run.write({**record, "study": {**record["study"], "splits": {"scheme": scheme}}})
    explained = load(run).explained("within")
    assert parts in explained and ("share no utterance" in explained) == (not scheme)


def test_soft_labels_and_errors_stand_where_scores_are_read(make_run: MakeRun) -> None:
    run = make_run(**{**MINIMAL, "findings": True})
    run.write({**run.read(), "soft": True, "ceiling": 0.731})
    page.write(run)
    words = read(run).words
    asked, answered = words.split("The answer ")[0], words.split("The answer ")[1]
    assert (
        "a hit counts with the weight of the label that was answered, so that no answers can score above 0.73" in asked
    )
    assert answered.index("The study allows identical-audio") < answered.index("Labels are soft")
    assert answered.index("Labels are soft") < answered.index("Read with care")


def test_families_of_comparisons_are_in_order_and_all_open(make_run: MakeRun) -> None:
    run = make_run(domains=("de", "en", "nl"), regimes=("within", "zero-shot"), encoders={"a/b": 2, "logmel": 1})
    table = run.table("comparisons").filter(pl.col("family") == "within - zero-shot")
    families = (
        "target-selected against zero-shot",
        "encoders, within",
        "people against models",
        "zero-shot against within",
        "encoders, zero-shot",
    )
    write_table(run / "comparisons.parquet", pl.concat([table.with_columns(family=pl.lit(f)) for f in families]))
    page.write(run)
    text = (run / "report.html").read_text(encoding="utf-8")
    section = text[text.index('id="table-comparisons"') : text.index('aria-labelledby="audit"')]
    open_ = re.sub("<details>.*?</details>", "", section, flags=re.DOTALL)
    assert re.findall("<caption>(.*?)</caption>", open_) == [
        "Zero-shot against within",
        "Encoders, zero-shot",
        "Encoders, within",
        "People against models",
        "Target-selected against zero-shot",
    ]
    assert open_.count('<tr><th scope="row"') == 5 * 6
    assert section.count('<tr><th scope="row"') == 5 * table.height
    assert section.count('<th scope="col" class="text">Family</th>') == 0
    assert pl.read_csv(run / "tables" / "comparisons.csv")["family"].n_unique() == 5


def test_page_says_what_goes_with_it_when_it_is_sent(reported: RunDirectory) -> None:
    assert "The page stands alone and can be sent as one file; its links to CSV, LaTeX, SVG" in read(reported).words


def test_progress_says_what_is_done(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.StringIO()
    monkeypatch.setattr(progress, "console", Console(file=said, soft_wrap=True))
    page.write(make_run(**MINIMAL))
    assert said.getvalue() == f"Drawing the report: {len(page.STEPS)} sections\n"
