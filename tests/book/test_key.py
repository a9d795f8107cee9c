import pytest

from helpers.book import key, run


def test_a_run_depends_on_what_makes_numbers_and_not_on_what_makes_pages():
    used = key.package_hashes("03")
    assert {"stats/permute.py", "facts/study.py", "book/workshop.py", "book/checks.yaml"} <= set(used)
    assert not {"book/site.py", "cli/main.py"} & set(used)
    assert not [name for name in used if "__pycache__" in name]
    assert used["book/checks.yaml"] != key.package_hashes("04")["book/checks.yaml"]
    assert {"book/site.py", "book/checks.yaml", "cli/main.py"} <= set(key.package_hashes())


def parts(project, **values):
    return run.plan(project, project.choose(["01"]), run.Request(values=values))[0]


def test_prose_does_not_change_the_key(project):
    before = parts(project).key
    book = project.choose(["01"])[0]
    book.source.write_text(book.source.read_text().replace("How many donors", "How many people"))
    assert parts(project, count=3).key == before  # a value equal to the default is none either


@pytest.mark.parametrize("what", ["code", "lock", "parameters"])
def test_each_part_changes_the_key_and_is_named(project, what):
    before = parts(project)
    book = project.choose(["01"])[0]
    if what == "code":
        book.source.write_text(book.source.read_text().replace("5.6, 2", "5.6, 3"))
    if what == "lock":
        (project.root / "requirements.lock").write_text("other")
    after = parts(project, **({"count": 4} if what == "parameters" else {}))
    assert after.key != before.key
    words = key.differences(before.parts, after.parts)
    assert words == ["parameters (count)"] if what == "parameters" else words == [what]


def test_the_data_behind_a_path_count_and_not_the_path(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.parquet").write_bytes(b"1234")
    first, second = (key.data_of("atlas", str(tmp_path / name)) for name in ("a", "b"))
    assert first == second
    (tmp_path / "b" / "x.parquet").write_bytes(b"1235")
    assert key.data_of("atlas", str(tmp_path / "b")) != first


def test_a_simulated_atlas_is_named_by_what_makes_it():
    assert key.data_of("atlas", "demo").startswith("demo:")
    assert key.data_of("atlas", "demo") != key.data_of("atlas", "tiny")
    assert key.data_of("gene", "MYH7") is None
    assert key.is_word("demo:7")
    assert not key.is_word("demo.h5ad")
