"""Figures and commands of the embedding atlas."""

import json

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from typer.testing import CliRunner

from helpers.cli.scprint import group
from helpers.errors import PartError
from helpers.figures import scprint as draw
from helpers.figures import style
from helpers.scprint import (
    cost,
    coverage,
    evaluation,
    labels,
    layout,
    muscle,
    plausibility,
    probe,
    simulation,
)
from helpers.scprint.cost import Measured
from helpers.scprint.models import Recipe

run = CliRunner().invoke


def bytes_of(figure: Figure) -> int:
    data = style.picture(figure)
    assert data[:4] == b"\x89PNG"
    return len(data)


def test_figures_are_drawn_small(made, surveyed, decoder):
    tables = plausibility.tables_of(lambda *pair: surveyed.count(*pair, decoder=decoder))
    model = probe.train(made, recipe=Recipe(target="sex", block="sex"))
    tested = evaluation.evaluate(model, made)
    chosen = muscle.select(surveyed.count("cell_type", "tissue", decoder=decoder))
    pair = surveyed.count("tissue", "age_group", decoder=decoder)
    probes = pl.DataFrame(
        {"block": ["sex", "other"], "class": ["sex", "sex"], "method": ["linear"] * 2, "balanced_accuracy": [0.9, 0.4],
         "shuffled": [0.5, 0.5], "knows": [True, False]}
    )  # fmt: skip
    figures = [
        draw.draw_coverage(*coverage.grid(pair)),
        draw.draw_missing(coverage.missing(pair, min_cells=1)),
        draw.draw_margins(
            {name: surveyed.histogram(name, of="margins") for name in layout.RANKED}, near=0.15
        ),
        draw.draw_plausibility(plausibility.judge(tables)),
        draw.draw_knowledge(probes),
        draw.draw_model(tested.per_class(), tested.calibration()),
        draw.draw_muscle(muscle.compare(chosen, {})),
        draw.draw_cost(cost.extrapolate([Measured("a", 10, 0.1)])),
    ]
    assert all(bytes_of(figure) < 500_000 for figure in figures)


def test_empty_tables_are_said_in_a_figure(surveyed):
    empty = surveyed.count("tissue", "age_group").head(0)
    judged = plausibility.judge({})
    for figure in (
        draw.draw_coverage(np.zeros((0, 0)), [], []),
        draw.draw_missing(coverage.missing(empty)),
        draw.draw_margins({}, near=0.15),
        draw.draw_plausibility(judged),
        draw.draw_knowledge(pl.DataFrame({"method": []}, schema={"method": pl.String})),
        draw.draw_model(pl.DataFrame({"label": []}), pl.DataFrame()),
        draw.draw_muscle(pl.DataFrame({"group": [], "x": []})),
    ):
        assert figure.axes[0].texts[0].get_text()


def test_labels_with_dollar_signs_draw(surveyed):
    assert bytes_of(draw.draw_coverage(np.array([[1, 0]]), ["$x"], ["a$", "b"])) > 0


def test_check_lists_faults_and_exits_with_one(tmp_path):
    folder = simulation.simulate_parts(tmp_path, n_cells=60, n_parts=3, faults={1: "truncated"})
    told = run(group, ["check", str(folder)])
    assert told.exit_code == 1
    assert simulation.part_name(1).stem in told.stdout
    assert "3 parts, 40 cells, 1 parts with a fault" in told.stdout
    rows = json.loads(run(group, ["check", str(folder), "--json"]).stdout)
    assert [row["status"] for row in rows].count("fault") == 1


def test_check_of_sound_parts_exits_with_zero(made):
    assert run(group, ["check", str(made)]).exit_code == 0


def test_survey_writes_tables(made, tmp_path):
    told = run(
        group,
        [
            "survey",
            str(made),
            str(tmp_path / "t"),
            "--cache",
            str(tmp_path / "c"),
            "--processes",
            "1",
            "--classes",
            "sex,assay",
        ],
    )
    assert told.exit_code == 0, told.output
    assert "3,000 cells of 6 parts (6 read, 0 known)" in told.stdout
    assert pl.read_parquet(tmp_path / "t" / "count_sex-assay.parquet")["cells"].sum() == 3000


def test_simulate_writes_what_was_asked(tmp_path):
    told = run(
        group,
        [
            "simulate",
            str(tmp_path / "p"),
            "--cells",
            "40",
            "--parts",
            "2",
            "--fault",
            "1=sibling",
            "--compressed",
        ],
    )
    assert told.exit_code == 0, told.output
    assert len(list((tmp_path / "p").glob("*.npz"))) == 5
    wrong = run(group, ["simulate", str(tmp_path / "q"), "--fault", "sibling"])
    assert isinstance(wrong.exception, PartError)
    assert "is not NUMBER=KIND" in str(wrong.exception)


def test_judge_prints_counts(tmp_path):
    frame = pl.DataFrame(
        {
            "pred_organism": ["human", "maize"],
            "pred_cell_type": ["x (Mmus)", "y"],
            "pred_tissue": ["lung", "lung"],
        }
    )
    frame.write_parquet(tmp_path / "t.parquet")
    told = run(group, ["judge", str(tmp_path / "t.parquet"), "--json"])
    rows = {row["rule"]: row["implausible"] for row in json.loads(told.stdout)}
    assert rows["human cells with a mouse-only cell type"] == rows["plant cells with an animal tissue"] == 1
    assert "1 of" in run(group, ["judge", str(tmp_path / "t.parquet")]).stdout


def test_train_and_predict(made, tmp_path):
    told = run(group, ["train", str(made), str(tmp_path / "m"), "--target", "sex", "--block", "sex"])
    assert told.exit_code == 0, told.output
    assert "sex from sex: trained on 2,000 cells; on 1 parts held out accuracy" in told.stdout
    told = run(group, ["predict", str(tmp_path / "m"), str(made), str(tmp_path / "out")])
    assert "3,000 cells of 6 parts predicted" in told.stdout
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 6


def test_prepare_takes_a_source_in_even_pieces(monkeypatch, tmp_path):
    from helpers import sources
    from helpers.scprint import embed

    class Source:
        obs = pl.DataFrame({"barcode": [str(i) for i in range(250)]})

        def to_anndata(self, *, cells, counts):
            assert counts
            return int(cells.sum())

    monkeypatch.setattr(sources, "open_atlas", lambda _: Source())
    taken = []
    made = embed.Prepared(tmp_path, ("a", "b", "c"), 250, 29_400)
    monkeypatch.setattr(embed, "prepare", lambda pieces, *_, **__: taken.extend(pieces) or made)
    told = run(group, ["prepare", "demo", str(tmp_path), "--slice-cells", "100"])
    assert told.exit_code == 0, told.output
    assert taken == [84, 83, 83]
    assert "250 cells x 29,400 genes in 3 slices" in told.stdout


def test_names_beside_the_parts_are_used(made, tmp_path):
    assert labels.beside(made).knows("tissue")
    assert not labels.beside(tmp_path).knows("tissue")
