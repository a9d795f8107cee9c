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


def lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(("task", "answer"), [("age", " years"), ("cell_type", "type"), ("tissue", "muscle")])
def test_each_task_asks_with_the_true_number_of_genes(cells, written, tmp_path, task, answer):
    made = prompts.write(written, tmp_path / "p.jsonl", task=task, n_genes=15, side="train")
    rows = lines(tmp_path / "p.jsonl")
    assert made.lines == len(rows) > 40
    texts = dict(zip(cells.obs_names, encode.encode(cells).sentences, strict=True))
    for row in rows:
        words = texts[row["barcode"]].split()[:15]
        assert " ".join(words) in row["prompt"]
        assert row["n_genes"] == len(words)
        assert str(len(words)) in row["prompt"].replace(" ".join(words), "")
        assert answer in row["response"]
        assert row["side"] == "train"
    assert len({row["prompt"].split(" ")[0] for row in rows}) > 1  # several templates


def test_the_template_depends_on_barcode_and_seed_only(written, tmp_path):
    prompts.write(written, tmp_path / "a.jsonl", task="age", n_genes=5)
    prompts.write(sorted(written.rglob("*.parquet"))[::-1], tmp_path / "b.jsonl", task="age", n_genes=5)
    by = [
        {row["barcode"]: row["prompt"] for row in lines(tmp_path / name)} for name in ("a.jsonl", "b.jsonl")
    ]
    assert by[0] == by[1]
    prompts.write(written, tmp_path / "c.jsonl", task="age", n_genes=5, seed=1)
    assert {row["barcode"]: row["prompt"] for row in lines(tmp_path / "c.jsonl")} != by[0]


def test_no_prompt_tells_its_answer(written, tmp_path):
    for task in prompts.read_tasks().values():
        assert not [template for template in task["templates"] if "{" + task["answer"] + "}" in template]
    bad = tmp_path / "bad.yaml"
    bad.write_text("age:\n  answer: age\n  templates: ['{n} {sentence} {age}']\n")
    with pytest.raises(SentenceError, match=r"must not tell the answer 'age'"):
        prompts.write(written, tmp_path / "p.jsonl", task="age", templates=bad)
    bad.write_text("age:\n  answer: age\n  templates: ['{sentence}']\n")
    with pytest.raises(SentenceError, match=r"needs \{n\} and \{sentence\}"):
        prompts.read_tasks(bad)


@pytest.mark.parametrize(
    "text",
    ["[1, 2]", "age: x", "age: {templates: 3}", "a: [", "age: {templates: ['{n} {sentence} {']}", None],
)
def test_a_file_of_templates_that_is_none_is_named(tmp_path, text):
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SentenceError, match=r"(?s)mine.yaml cannot be read as tasks .*Give a YAML file"):
        prompts.read_tasks(path)
    path.write_text("age: {response: '{years}', templates: ['{n} {sentence}']}")
    with pytest.raises(SentenceError, match=r"mine.yaml: task 'age' cannot be used.*'{years}'"):
        prompts.read_tasks(path)


def test_an_unknown_task_or_a_missing_answer_is_refused(written, tmp_path):
    with pytest.raises(SentenceError, match=r"no task 'sex'; choose one of age, cell_type, tissue"):
        prompts.write(written, tmp_path / "p.jsonl", task="sex")
    pl.DataFrame({"cell_sentence": ["A"]}).write_parquet(tmp_path / "x.parquet")
    with pytest.raises(SentenceError, match=r"no column for the answer 'cell_type'"):
        prompts.write(tmp_path / "x.parquet", tmp_path / "p.jsonl", task="cell_type")
    made = prompts.write(tmp_path / "x.parquet", tmp_path / "p.jsonl", task="tissue", tissue="muscle")
    assert made.lines == 1


@pytest.mark.parametrize("word", ["unknown", "Unknown ", "na", "N/A", "not available", "nan", "<NA>", ""])
@pytest.mark.parametrize("task", ["cell_type", "tissue", "organism"])
def test_a_fact_that_is_not_given_is_neither_asked_nor_told(tmp_path, word, task):
    own = tmp_path / "own.yaml"
    own.write_text("organism:\n  templates: ['{n} {sentence}']\n")
    facts = {"cell_type": "a", "tissue": "b", "organism": "c"} | {task: [word, "fine", word]}
    pl.DataFrame({"cell_sentence": ["A", "B B", "C C C"], **facts}).write_parquet(tmp_path / "x.parquet")
    templates = own if task == "organism" else None
    made = prompts.write(tmp_path / "x.parquet", tmp_path / "p.jsonl", task=task, templates=templates)
    assert (made.lines, made.left_out) == (1, 2)
    assert "fine" in lines(tmp_path / "p.jsonl")[0]["response"]


def test_sentences_of_one_length_are_not_called_whole(tmp_path):
    scrambled = ["A B C D", "C A D B", "D B A C"]
    for table, said in ((scrambled, (0, 3)), (["A B", "C A D", "D"], (0, 0))):
        pl.DataFrame({"gene_sentence_4": table, "age": [50.0] * 3}).write_parquet(tmp_path / "x.parquet")
        made = prompts.write(tmp_path / "x.parquet", tmp_path / "p.jsonl", task="age")
        assert (made.trimmed, made.untold) == said
    counted = {"gene_sentence_4": scrambled, "age": [50.0] * 3, "nFeature_RNA": [2, 4, 3]}
    pl.DataFrame(counted).write_parquet(tmp_path / "x.parquet")
    made = prompts.write(tmp_path / "x.parquet", tmp_path / "p.jsonl", task="age")
    assert (made.trimmed, made.untold, lines(tmp_path / "p.jsonl")[0]["n_genes"]) == (2, 0, 2)


@pytest.mark.parametrize("column", ["_index", "observation_joinid", "cell_id"])
def test_cells_of_others_have_names_and_several_templates(tmp_path, column):
    cells = {"gene_sentence_all": ["A B"] * 40, "age": [50.0] * 40, column: [f"c{i}" for i in range(40)]}
    pl.DataFrame(cells).write_parquet(tmp_path / "x.parquet")
    prompts.write(tmp_path / "x.parquet", tmp_path / "p.jsonl", task="age")
    rows = lines(tmp_path / "p.jsonl")
    assert [row["barcode"] for row in rows] == cells[column]
    assert len({row["prompt"] for row in rows}) > 1


def test_cells_of_few_genes_say_so_and_those_without_answer_or_words_are_left_out(tmp_path):
    table = {"cell_sentence": ["A B", "", "B"], "age": [50.0, 40.0, None], "barcode": ["a", "b", "c"]}
    pl.DataFrame(table).write_parquet(tmp_path / "x.parquet")
    made = prompts.write(tmp_path / "x.parquet", tmp_path / "p.jsonl", task="age", n_genes=200)
    assert (made.lines, made.left_out) == (1, 2)
    [row] = lines(tmp_path / "p.jsonl")
    assert (row["n_genes"], row["response"], "200" in row["prompt"]) == (2, "50 years", False)
