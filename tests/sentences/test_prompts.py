import json

import polars as pl
import pytest

from helpers.errors import SentenceError
from helpers.sentences import encode, prompts, write
from helpers.sentences.write import Options


@pytest.fixture
def written(file, tmp_path):
    write.write(file, tmp_path / "out", options=Options(test_fraction=0.2))
    return tmp_path / "out"


@pytest.fixture
def ask(tmp_path):
    """Return a function that writes prompts from sentences, or from a table of them, and gives counts and lines."""

    def asked(sentences, **options):
        if isinstance(sentences, dict):
            pl.DataFrame(sentences).write_parquet(tmp_path / "x.parquet")
            sentences = tmp_path / "x.parquet"
        made = prompts.write(sentences, tmp_path / "p.jsonl", **{"task": "age", **options})
        text = (tmp_path / "p.jsonl").read_text(encoding="utf-8")
        return made, [json.loads(line) for line in text.splitlines()]

    return asked


@pytest.mark.parametrize(("task", "answer"), [("age", " years"), ("cell_type", "type"), ("tissue", "muscle")])
def test_each_task_asks_with_the_true_number_of_genes(cells, written, ask, task, answer):
    made, rows = ask(written, task=task, n_genes=15, side="train")
    assert made.lines == len(rows) > 40
    texts = dict(zip(cells.obs_names, encode.encode(cells).sentences, strict=True))
    for row in rows:
        words = texts[row["barcode"]].split()[:15]
        before, after = row["prompt"].split(" ".join(words))
        assert str(len(words)) in before + after
        assert answer in row["response"]
        assert (row["n_genes"], row["side"]) == (len(words), "train")


def test_the_template_depends_on_barcode_and_seed_only(written, ask):
    turned = sorted(written.rglob("*.parquet"))[::-1]
    first, again, other = (
        {row["barcode"]: row["prompt"] for row in ask(paths, n_genes=5, seed=seed)[1]}
        for paths, seed in ((written, 0), (turned, 0), (written, 1))
    )
    assert first == again != other


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("age: {templates: ['{n} {sentence} {age}']}", "must not tell the answer 'age'"),
        ("age: {templates: ['{sentence}']}", r"needs \{n\} and \{sentence\}"),
        ("age: {response: '{years}', templates: ['{n} {sentence}']}", "'age' cannot be used.*'{years}'"),
        *((text, "") for text in ("[1, 2]", "age: x", "age: {templates: 3}", "a: [", None)),
        ("age: {templates: ['{n} {sentence} {']}", ""),
    ],
)
def test_templates_that_cannot_be_used_are_refused_with_their_file(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(
        SentenceError, match=message or r"(?s)mine.yaml .*cannot be read as tasks.*Give a YAML file"
    ):
        prompts.read_tasks(path)


def test_an_unknown_task_or_a_missing_answer_is_refused(ask):
    for task, message in (
        ("sex", "choose one of age, cell_type, tissue"),
        ("cell_type", "'cell_type'; they"),
    ):
        with pytest.raises(SentenceError, match=message):
            ask({"cell_sentence": ["A"]}, task=task)
    assert ask({"cell_sentence": ["A"]}, task="tissue", tissue="muscle")[0].lines == 1


@pytest.mark.parametrize("task", ["cell_type", "tissue", "organism"])
def test_a_fact_that_is_not_given_is_neither_asked_nor_told(ask, tmp_path, task):
    own = tmp_path / "own.yaml"
    own.write_text("organism:\n  templates: ['{n} {sentence}']\n")
    facts = [*("unknown", "Unknown ", "na", "N/A", "not available", "nan", "<NA>", ""), "fine"]
    table = {"cell_sentence": ["A"] * 9, "cell_type": "a", "tissue": "b", "organism": "c"} | {task: facts}
    made, [row] = ask(table, task=task, templates=own if task == "organism" else None)
    assert (made.lines, made.left_out) == (1, 8)
    assert "fine" in row["response"]


def test_sentences_of_one_length_are_not_called_whole(ask):
    scrambled = {"gene_sentence_4": ["A B C D", "C A D B", "D B A C"], "age": [50.0] * 3}
    for table, trimmed, untold in (
        (scrambled, 0, 3),
        ({**scrambled, "gene_sentence_4": ["A B", "C A D", "D"]}, 0, 0),
        ({**scrambled, "nFeature_RNA": [2, 4, 3]}, 2, 0),
    ):
        made, rows = ask(table)
        assert (made.trimmed, made.untold) == (trimmed, untold)
    assert rows[0]["n_genes"] == 2


@pytest.mark.parametrize("column", ["_index", "observation_joinid", "cell_id"])
def test_cells_of_others_have_names_and_several_templates(ask, column):
    cells = {"gene_sentence_all": ["A B"] * 40, "age": [50.0] * 40, column: [f"c{i}" for i in range(40)]}
    _, rows = ask(cells)
    assert [row["barcode"] for row in rows] == cells[column]
    assert len({row["prompt"] for row in rows}) > 1


def test_cells_of_few_genes_say_so_and_those_without_answer_or_words_are_left_out(ask):
    ages = [50.0, 40.0, None, float("nan"), -3.0, 999.0]  # the last two are no years of a life
    table = {"cell_sentence": ["A B", "", *"BCDE"], "age": ages, "barcode": list("abcdef")}
    made, [row] = ask(table, n_genes=200)
    assert (made.lines, made.left_out) == (1, 5)
    assert (row["n_genes"], row["response"], "200" in row["prompt"]) == (2, "50 years", False)
