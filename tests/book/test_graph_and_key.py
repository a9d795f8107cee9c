import pytest

from helpers import parameters
from helpers.book import graph, key, run


@pytest.fixture
def package(tmp_path):
    """A package of a few modules that import each other in all the ways Python knows."""
    folder = tmp_path / "helpers"
    texts = {
        "__init__.py": "",
        "errors.py": "",
        "names.py": "",
        "room/__init__.py": "",
        "room/one.py": "from helpers import names\nfrom helpers.room.two import work",
        "room/two.py": "def work():\n    from helpers.facts import study\n",
        "room/alone.py": "import helpers.errors as e",
        "room/late.py": "import importlib\nimportlib.import_module('helpers.room.two')",
        "facts/__init__.py": "",
        "facts/study.py": "",
        "facts/tables/donors.csv": "a\n1\n",
        "book/__init__.py": "",
        "book/checks/__init__.py": "",
        "book/checks/ch03.py": "",
    }
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def used(code, package):
    return set(graph.modules_used(code, folder=package))


def test_imports_are_followed_also_those_inside_functions_with_the_tables_of_the_room(package):
    assert used("from helpers.room import one", package) == {
        "helpers",
        "helpers.room",
        "helpers.room.one",
        "helpers.names",
        "helpers.room.two",
        "helpers.facts",
        "helpers.facts.study",
        "helpers/facts/tables/donors.csv",
    }


def test_what_numba_and_editors_leave_beside_the_sources_counts_for_nothing(package):
    before = graph.hashes_of(graph.modules_used("from helpers.room import one", folder=package))
    for name in (
        "room/__pycache__/one.work-3.py311.1.nbc",
        "facts/__pycache__/x.nbi",
        "facts/.donors.csv.swp",
    ):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_bytes(b"compiled")
    after = graph.hashes_of(graph.modules_used("from helpers.room import one", folder=package))
    assert after == before
    assert not [name for name in graph.files_below(package) if "__pycache__" in name]


def test_a_module_that_nobody_imports_is_not_used(package):
    assert "helpers.room.alone" not in used("import helpers.room.one", package)


def test_imports_by_name_and_under_another_name_are_followed(package):
    assert "helpers.facts.study" in used("from helpers.room import late", package)
    assert "helpers.errors" in used("from helpers.room import alone as x", package)


def test_only_the_checkers_that_a_notebook_names_count(package):
    assert "helpers.book.checks.ch03" in used("check('03.shrink', answer)", package)
    assert "helpers.book.checks.ch03" not in used("check('04.shrink', answer)", package)


def test_magics_do_not_stop_the_reading(package):
    code = "%matplotlib inline\nif True:\n    !ls\n    ?names\nfrom helpers import names"
    assert "helpers.names" in used(code, package)


def test_a_circle_of_imports_ends(package):
    (package / "room/two.py").write_text("from helpers.room import one")
    assert "helpers.room.two" in used("from helpers.room import one", package)


def test_the_real_notebooks_import_what_their_first_cell_says():
    assert "helpers.figures.style" in graph.modules_used("from helpers.figures import style")


def parts(project, **values):
    return run.plan(project, project.choose(["01"]), run.Request(values=values))[0].parts


def test_the_key_stays_when_nothing_changes(project):
    assert parts(project).key == parts(project).key


def test_prose_does_not_change_the_key(project):
    before = parts(project).key
    book = project.choose(["01"])[0]
    book.source.write_text(book.source.read_text().replace("How many donors", "How many people"))
    assert parts(project).key == before


@pytest.mark.parametrize("what", ["code", "lock", "parameters"])
def test_each_part_changes_the_key_and_is_named(project, what):
    before = parts(project)
    book = project.choose(["01"])[0]
    if what == "code":
        book.source.write_text(book.source.read_text().replace("height=2", "height=3"))
    if what == "lock":
        (project.root / "requirements.lock").write_text("other")
    after = parts(project, **({"count": 4} if what == "parameters" else {}))
    assert after.key != before.key
    words = key.differences(before.__dict__, after)
    assert words == ["parameters (count)"] if what == "parameters" else words == [what]


def test_a_value_equal_to_the_default_is_no_change(project):
    assert parts(project, count=3).key == parts(project).key


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
    assert key.is_word("demo:7")
    assert not key.is_word("demo.h5ad")


def test_other_parameters_name_no_data():
    assert key.data_of("gene", "MYH7") is None
    assert isinstance(parameters.ATLAS, str)
