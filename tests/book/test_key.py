from itertools import pairwise

from helpers.book import key, run


def test_a_run_depends_on_what_makes_numbers_and_not_on_what_makes_pages():
    used = key.package_hashes("03")
    assert {"stats/permute.py", "facts/study.py", "book/workshop.py", "book/checks.yaml"} <= set(used)
    assert not {"book/site.py", "cli/main.py"} & set(used)
    assert not [name for name in used if "__pycache__" in name]
    assert used["book/checks.yaml"] != key.package_hashes("04")["book/checks.yaml"]


def parts(project, **values):
    return run.plan(project, project.choose(["01"]), run.Request(values=values))[0]


def test_each_part_changes_the_key_and_is_named_and_prose_does_not(project, monkeypatch):
    kept = [parts(project)]
    source = project.choose(["01"])[0].source
    source.write_text(source.read_text().replace("How many donors", "How many people"))
    assert parts(project, count=3).key == kept[0].key  # a value equal to the default is none either
    source.write_text(source.read_text().replace("5.6, 2", "5.6, 3"))
    kept.append(parts(project))
    (project.root / "requirements.lock").write_text("other")
    kept += [parts(project), parts(project, count=4)]
    real = key.package_hashes("01")
    monkeypatch.setattr(key, "package_hashes", lambda number: {**real, "files.py": "new"})
    kept.append(parts(project, count=4))
    assert len({one.key for one in kept}) == 5
    words = [key.differences(one.parts, after.parts) for one, after in pairwise(kept)]
    assert words == [["code"], ["lock"], ["parameters (count)"], ["helpers (files.py)"]]


def test_the_data_behind_a_path_count_and_not_the_path(tmp_path):
    hashes = []
    for name, content in (("a", b"1234"), ("b", b"1234"), ("c", b"1235")):
        (tmp_path / name).write_bytes(content)
        hashes.append(key.data_of("atlas", str(tmp_path / name)))
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_simulated_atlas_is_named_by_what_makes_it():
    assert key.data_of("atlas", "demo").startswith("demo:")
    assert key.data_of("atlas", "demo") != key.data_of("atlas", "tiny")
    assert key.is_word("demo:7")
    assert not key.is_word("demo.h5ad")
