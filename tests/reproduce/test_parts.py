"""What is finished is kept in small files: a table goes on from them, and is shown with what is left."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from advtool import locks
from advtool.checkpoints import Header
from advtool.errors import InputError
from advtool.models.noise import PNIL
from advtool.report import FORMATS
from advtool.reproduce import engine
from advtool.reproduce.catalogue import TABLES, Scale
from advtool.reproduce.cells import Cell
from advtool.reproduce.cuts import cuts
from advtool.reproduce.engine import reproduce, reproduce_all, standing
from advtool.reproduce.laboratory import Laboratory
from advtool.reproduce.lines import Gain, Line
from advtool.reproduce.measured import Measured
from advtool.reproduce.notes import of_precision, of_sources
from advtool.reproduce.observer import Observer
from advtool.reproduce.parts import Answer, Layer, Part, Parts, is_of
from advtool.reproduce.registry import every, find
from advtool.reproduce.steps import Asked, Model, Step, Timing
from advtool.results import Figure, Reproduced
from tests.conftest import InProcess
from tests.support.toy_table import FIXED, FOLDED, QUESTION, SOURCE, TOY, Watcher, lines

NIGHT = [(name, dataset) for name in TABLES for dataset in find(name).datasets_at(Scale.night)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Reproduced]:
    folder = tmp_path_factory.mktemp("finished")
    return folder, reproduce(TOY, Scale.smoke, folder=folder, command="advtool reproduce toy")


@pytest.fixture
def clone(finished: tuple[Path, Reproduced], tmp_path: Path) -> Path:
    """What a clone of the repository has: no weights, no evaluations."""
    for name in ("parts", "timings"):
        shutil.copytree(finished[0] / name, tmp_path / "clone" / name)
    return tmp_path / "clone"


def part_of(folder: Path, model: Model) -> Path:
    return folder / "parts" / f"{model.name}.json"


def test_a_table_is_the_same_where_its_weights_are_gone(finished: tuple[Path, Reproduced], clone: Path) -> None:
    watcher = Watcher()
    again = reproduce(TOY, Scale.smoke, folder=clone, observer=watcher)
    assert (again.rows, again.verdict, again.panels) == (finished[1].rows, finished[1].verdict, finished[1].panels)
    assert again.provenance.models == finished[1].provenance.models
    assert not watcher.steps
    assert {each.command for each in again.provenance.reused} == {"advtool reproduce toy"}
    assert {path.name for path in clone.iterdir()} == {"parts", "timings"}


def test_nothing_is_begun_when_the_time_is_up(tmp_path: Path) -> None:
    watcher = Watcher()
    result = reproduce(TOY, Scale.smoke, folder=tmp_path, seconds=0, observer=watcher)
    assert not watcher.steps
    assert not list(tmp_path.iterdir())
    assert result.verdict is None
    for row in result.rows:
        assert row.verdict is None
        assert row.left
        assert all(figure.ours is None for figure in row.figures.values())
    assert result.rows[0].figures["PGD"].paper == 0.99, "what the paper states stays"
    page = FORMATS["markdown"](result)
    assert page.count("**not finished**") == len(result.rows)
    assert "1 of 1 trainings and 1 of 1 evaluations left" in page
    assert Reproduced.model_validate_json(result.model_dump_json(by_alias=True)) == result


def test_a_row_is_judged_when_all_its_evidence_is_there(finished: tuple[Path, Reproduced], clone: Path) -> None:
    part_of(clone, FOLDED).unlink()
    first, folded, claims, timed = reproduce(TOY, Scale.smoke, folder=clone, seconds=0).rows
    whole = finished[1].rows
    assert (first, claims, timed) == (whole[0], whole[2], whole[3])
    assert folded.left == "1 of 1 trainings and 1 of 1 evaluations left"
    part = json.loads(part_of(clone, SOURCE).read_text())
    part_of(clone, SOURCE).write_text(json.dumps(part | {"answers": []}))
    result = reproduce(TOY, Scale.smoke, folder=clone, seconds=0)
    assert result.rows[0].left == "1 of 1 evaluations left"
    claims = result.rows[2]
    assert claims.figures == whole[2].figures, "its own figures are there"
    assert (claims.verdict, claims.evidence) == (None, {})
    assert "another row" in (claims.left or "")
    assert result.verdict is None


def test_who_looks_writes_nothing_even_beside_weights_of_another_training(
    finished: tuple[Path, Reproduced], tmp_path: Path
) -> None:
    folder = tmp_path / "finished"
    shutil.copytree(finished[0], folder)
    part = json.loads(part_of(folder, SOURCE).read_text())
    part_of(folder, SOURCE).write_text(json.dumps(part | {"weights": "0123456789abcdef"}))
    part_of(folder, FOLDED).unlink()
    before = {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    (table,) = standing([TOY], Scale.smoke, folder=folder).tables
    shown = reproduce(TOY, Scale.smoke, folder=folder, seconds=0)
    assert {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()} == before
    assert shown.rows[0] == finished[1].rows[0], "its answers stand"
    assert shown.rows[1].left == "1 of 1 evaluations left", "the weights of the other one are there"
    assert table.rows_done < table.rows


def broken(answers: list[dict[str, Any]], **changes: Any) -> list[dict[str, Any]]:
    return [answer | changes for answer in answers]


@pytest.mark.parametrize(
    "changes",
    [
        {"outcomes": {}},
        {"outcomes": {"clean": "11", "fgsm": "11", "pgd": "11"}},
        {"outcomes": {"clean": "1" * 12, "fgsm": "1" * 12, "pgd": "9" * 12}},
        {"outcomes": {"clean": "1" * 12, "fgsm": "1" * 12, "pgd": "x" * 12}},
        {"outcomes": {"clean": "1" * 12, "fgsm": "1" * 12}},
        {"on_examples": {"fgsm": "2" * 12}},
        {"on_examples": {}},
    ],
)
def test_an_answer_that_is_damaged_counts_as_absent(clone: Path, changes: dict[str, Any]) -> None:
    assert Parts(clone / "parts").get(SOURCE) is not None
    part = json.loads(part_of(clone, SOURCE).read_text())
    part_of(clone, SOURCE).write_text(json.dumps(part | {"answers": broken(part["answers"], **changes)}))
    assert Parts(clone / "parts").get(SOURCE) is None
    assert reproduce(TOY, Scale.smoke, folder=clone, seconds=0).rows[0].left


@pytest.mark.parametrize(
    ("field", "gone"), [("metrics", "clean_accuracy"), ("metrics", "validation_images"), ("recipe", "train_images")]
)
def test_a_card_that_lacks_what_tables_read_is_no_models(clone: Path, field: str, gone: str) -> None:
    part = json.loads(part_of(clone, SOURCE).read_text())
    del part["card"][field][gone]
    part_of(clone, SOURCE).write_text(json.dumps(part))
    assert Parts(clone / "parts").get(SOURCE) is None


def test_a_damaged_layer_or_timing_is_refused(clone: Path) -> None:
    layer = Layer.of(PNIL((1, 2, 2))).model_dump()
    for damaged in ({"W": [[[1.0], [1.0, 1.0]]]}, {"B": [[[1.0]]]}):
        with pytest.raises(ValueError, match=r"expected sequence of length|W and B differ"):
            Layer.model_validate(layer | damaged)
    (path,) = (clone / "timings").iterdir()
    turns = json.loads(path.read_text())
    path.write_text(json.dumps(turns | {"seconds": {name: [0.0] * 2 for name in turns["seconds"]}}))
    assert reproduce(TOY, Scale.smoke, folder=clone, seconds=0).rows[-1].left


def test_a_time_that_was_measured_by_other_threads_stands(clone: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        result = reproduce(TOY, Scale.smoke, folder=clone, seconds=0)
    finally:
        torch.set_num_threads(threads)
    assert result.rows[-1].left is None
    assert any(f" {threads} thread" in note for note in result.notes), "it tells by how many"


def test_a_training_that_diverges_leaves_its_rows_and_the_rest_goes_on(tmp_path: Path) -> None:
    wild = replace(FOLDED, settings=(("arch", "cnn"), ("learning_rate", 1e30)))

    def with_wild(scale: Scale, dataset: str, model: Model = wild) -> Iterator[Line]:
        first, _, claims, timed = lines(scale, dataset)
        yield from (first, replace(first, labels=(dataset, "wild"), models=(model,)), claims, timed)

    table, watcher = replace(TOY, lines=with_wild), Watcher()
    first, diverged, claims, _ = reproduce(table, Scale.smoke, folder=tmp_path, observer=watcher).rows
    assert (diverged.left, first.left, claims.left) == ("a training diverged", None, None)
    assert Asked(wild, QUESTION) not in watcher.steps
    again = Watcher()
    assert reproduce(table, Scale.smoke, folder=tmp_path, observer=again).rows[1] == diverged
    assert not again.steps, "nor is it trained again"
    (note,) = tmp_path.rglob("*.diverged")
    why, noted = note.read_text().splitlines()
    older = json.loads(noted)
    del older["resolved"][next(iter(older["resolved"]))]
    note.write_text(f"{why}\n{json.dumps(older)}\n")
    reproduce(table, Scale.smoke, folder=tmp_path, observer=again)
    assert not again.steps, "a setting that is younger than the note had its default"
    other = replace(wild, eps=wild.eps * (1 + 1e-9))
    assert other.name == wild.name
    reproduce(replace(TOY, lines=partial(with_wild, model=other)), Scale.smoke, folder=tmp_path, observer=again)
    assert again.steps == [other], "nobody has tried it"


def test_two_processes_do_not_work_on_one_data_set_in_a_folder(clone: Path) -> None:
    with locks.alone(clone / "parts" / ".digits.lock"):
        with pytest.raises(InputError, match="another advtool works on digits there"):
            reproduce(TOY, Scale.smoke, folder=clone)
        assert reproduce(TOY, Scale.smoke, folder=clone, seconds=0).rows, "who only looks may"
    assert reproduce(TOY, Scale.smoke, folder=clone).verdict


def test_a_list_needs_no_images(finished: tuple[Path, Reproduced]) -> None:
    def unread(*_: Any) -> Figure:
        raise InputError("cannot download 'digits'")

    def of_images(scale: Scale, dataset: str) -> Iterator[Line]:
        first, *others = lines(scale, dataset)
        yield from (replace(first, cells={**first.cells, "noise": Cell(read=unread)}), *others)

    (table,) = standing([replace(TOY, lines=of_images)], Scale.smoke, folder=finished[0]).tables
    assert table.rows_done == table.rows
    with pytest.raises(InputError, match="download"):
        reproduce(replace(TOY, lines=of_images), Scale.smoke, folder=finished[0])


def test_all_tables_take_those_of_their_own_data_sets_that_were_asked_for(tmp_path: Path) -> None:
    tables = [find("apb-fig2"), find("pnil-madry"), find("pnil-table1")]
    asked = ["cifar10", "mnist"]
    found = standing(tables, Scale.night, folder=tmp_path, datasets=asked).tables
    assert [each.datasets for each in found] == [["mnist"], ["cifar10"], ["mnist", "cifar10"]]
    (alone,) = standing(tables[:1], Scale.night, folder=tmp_path, datasets=["cifar10"]).tables
    assert alone.datasets == ["cifar10"], "one table takes what it is told"


def carried_out(folder: Path, *steps: Step) -> list[Step]:
    """What was begun of the steps."""
    watcher = Watcher()
    Laboratory(folder, torch.device("cpu"), None, watcher).carry_out(steps)
    return watcher.steps


def test_a_model_is_trained_again_where_a_question_is_left(clone: Path) -> None:
    other = Asked(SOURCE, QUESTION._replace(images=7))
    assert carried_out(clone, SOURCE, Asked(SOURCE, QUESTION), other) == [SOURCE, other], (
        "equal weights: one answer holds"
    )
    assert len(json.loads(part_of(clone, SOURCE).read_text())["answers"]) == 2
    shutil.rmtree(clone / "models")
    part = json.loads(part_of(clone, SOURCE).read_text())
    part_of(clone, SOURCE).write_text(
        json.dumps(part | {"weights": "0123456789abcdef", "answers": part["answers"][:1]})
    )
    begun = carried_out(clone, SOURCE, Asked(SOURCE, QUESTION), other)
    assert begun == [SOURCE, Asked(SOURCE, QUESTION), other], "other weights: everything is asked again"


def test_the_source_of_fixed_examples_is_trained_again_only_for_a_training(clone: Path) -> None:
    steps = [SOURCE, FIXED, Asked(FIXED, QUESTION)]
    assert not carried_out(clone, *steps)
    part = json.loads(part_of(clone, FIXED).read_text())
    part_of(clone, FIXED).write_text(json.dumps(part | {"source": "0123456789abcdef"}))
    assert not carried_out(clone, *steps), "an earlier training of the source does as well"
    part_of(clone, FIXED).write_text(json.dumps(part | {"answers": []}))
    assert carried_out(clone, *steps) == [SOURCE, FIXED, Asked(FIXED, QUESTION)]


def test_a_table_says_which_rows_trained_on_examples_of_which_training() -> None:
    second, elsewhere = replace(FIXED, seed=1), replace(FIXED, examples_of=replace(SOURCE, dataset="mnist"))
    models = {"a": FIXED, "b": second, "c": elsewhere}
    three = [Line(labels=("digits", "", name), cells={}, models=(model,)) for name, model in models.items()]
    same, apart = (Measured(None, sources={FIXED: "12", second: of, elsewhere: "56"}) for of in ("12", "34"))
    assert not list(of_sources(three, same)), "another source is no second training of this one"
    (note,) = of_sources(three, apart)
    assert note.startswith(f"The fixed examples come from 2 trainings of {SOURCE.name}, whose weights differ: ")
    assert note.endswith("one made those of digits, a; and one made those of digits, b")


def test_a_table_says_which_rows_trained_in_less_than_float32() -> None:
    labels = {"a": "float32", "b": "bfloat16", "c": "bfloat16"}
    models = [replace(SOURCE, seed=seed) for seed in range(3)]
    lines = [
        Line(labels=("digits", "", name), cells={}, models=(model,)) for name, model in zip(labels, models, strict=True)
    ]
    cards = {
        model: Header.model_construct(recipe={"precision": precision})
        for model, precision in zip(models, labels.values(), strict=True)
    }
    every, fast, slow = (dict(list(cards.items())[some]) for some in (slice(3), slice(1, 3), slice(1)))
    said = "Trained in bfloat16, since the machine has fast units for it, attacked in float32: "
    assert list(of_precision(lines, Measured(None, cards=every))) == [f"{said}digits, b; digits, c"]
    assert list(of_precision(lines[1:], Measured(None, cards=fast))) == [f"{said}all finished rows"]
    assert not list(of_precision(lines[:1], Measured(None, cards=slow)))


def test_a_part_of_other_settings_counts_as_absent_and_one_of_an_older_version_does_not(clone: Path) -> None:
    part = Part.model_validate_json(part_of(clone, SOURCE).read_bytes())

    def card(**recipe: Any) -> Any:
        return part.card.model_copy(update={"recipe": {**part.card.recipe, **recipe}})

    assert is_of(part.card, SOURCE)
    assert not is_of(card(learning_rate=0.5), SOURCE)
    assert not is_of(card(limit=59), SOURCE)
    assert not is_of(part.card, replace(SOURCE, epochs=2))
    assert not is_of(part.card, replace(SOURCE, settings=(("arch", "lenet"),)))
    older = part.card.model_copy(update={"recipe": {k: v for k, v in part.card.recipe.items() if k != "schedule"}})
    assert is_of(older, SOURCE), "a setting that is younger than the card"
    part_of(clone, SOURCE).write_text("{}")
    assert Parts(clone / "parts").get(SOURCE) is None


def test_an_answer_gives_its_outcomes_back(finished: tuple[Path, Reproduced]) -> None:
    laboratory = Laboratory(finished[0], torch.device("cpu"), None, Observer())
    result = laboratory.carry_out([FOLDED, Asked(FOLDED, QUESTION)]).answers[Asked(FOLDED, QUESTION)]
    answer = Answer.of(QUESTION, result, Part.model_validate_json(part_of(finished[0], FOLDED).read_bytes()).origin)
    read = Answer.model_validate_json(answer.model_dump_json(by_alias=True))
    assert read.answers(QUESTION)
    assert not read.answers(QUESTION._replace(images=11))
    assert not read.answers(QUESTION._replace(settings=replace(QUESTION.settings, pgd_steps=4)))
    outcomes = read.result().outcomes
    assert outcomes == result.outcomes
    assert outcomes.on_examples["fgsm"].tolist() == result.outcomes.on_examples["fgsm"].tolist()
    assert outcomes.worst_case.double().mean().item() == result.worst_case.accuracy


def test_a_noise_layer_is_kept_to_six_decimals() -> None:
    layer = PNIL((1, 4, 4))
    torch.nn.init.normal_(layer.B, -4, 0.3, generator=torch.Generator().manual_seed(0))
    read = Layer.model_validate_json(Layer.of(layer).model_dump_json()).module()
    assert torch.allclose(read.B, layer.B, atol=1e-6)
    assert torch.equal(Layer.of(read).module().B, read.B)


@dataclass(frozen=True, kw_only=True)
class Given(Cell):
    """A share whose outcomes are given, the same for every model."""

    right: torch.Tensor

    def outcomes(self, measured: Measured, models: Sequence[Model]) -> list[torch.Tensor]:
        del measured
        return [self.right] * len(models)


def test_seeds_on_the_same_images_are_no_further_images() -> None:
    """Three equal models tell no more of other images than one."""

    def interval(*models: Model) -> tuple[float, float]:
        ours, theirs = (
            Line(labels=(), cells={"share": Given(right=torch.arange(100) < count)}, models=models)
            for count in (60, 50)
        )
        return Gain([(ours, theirs)], "share").estimate(Measured(None), {}).interval

    seeds = [replace(SOURCE, seed=seed) for seed in range(10)]
    (low, high), *others = interval(seeds[0]), interval(*seeds[:3]), interval(*seeds)
    assert all(wide[0] <= low < high <= wide[1] for wide in others)
    assert others[0][0] < others[1][0] < others[1][1] < others[0][1], "ten tell more of other trainings than three"


@pytest.mark.parametrize(("name", "dataset"), NIGHT)
def test_models_with_all_their_questions_come_one_after_the_other(name: str, dataset: str) -> None:
    tables = [find(name), *every(Scale.night, (dataset,))]
    steps = engine.steps([line for table in tables for line in table.all_lines(Scale.night, [dataset])])
    models = [step for step in steps if isinstance(step, Model)]
    owners = [step if isinstance(step, Model) else step.model for step in steps if not isinstance(step, Timing)]
    assert list(dict.fromkeys(owners)) == models
    runs = [owner for before, owner in zip([None, *owners], owners, strict=False) if owner != before]
    assert runs == models, "a model is left and comes up again"
    free = [model.epochs for model in models if model.examples_of is None and not needed_early(model, models)]
    assert free == sorted(free)


def needed_early(model: Model, models: list[Model]) -> bool:
    return any(each.examples_of == model for each in models)


def at_night(name: str, dataset: str) -> Iterator[Model]:
    steps = engine.steps(find(name).all_lines(Scale.night, [dataset]))
    return (step for step in steps if isinstance(step, Model))


def test_the_scale_night_trains_as_the_papers_do() -> None:
    for dataset, seeds, source in (("mnist", 3, 500), ("fashion-mnist", 1, 100)):
        models = [*at_night("apb-fig2", dataset)]
        whole = [each for each in models if each.recipe == "clean" and each.epochs == 500]
        assert {(each.seed, each.limit) for each in whole} == {(seed, None) for seed in range(seeds)}
        assert len(whole) == 3 * seeds
        sources = {each.examples_of for each in models} - {None}
        assert [(each.epochs, each.seed) for each in sources if each] == [(source, 0)]
        rest = [each for each in models if each not in whole]
        assert {(each.epochs, each.seed, each.limit) for each in rest} == {(100, 0, None), (25, 0, None)}
    larger = [each for each in at_night("pnil-table1", "mnist") if each.eps == 0.3]
    assert len(larger) == 40
    assert len({each.fold for each in larger}) == 10
    assert {(each.limit, each.validated, each.resolved.keep) for each in larger} == {(None, None, "loss")}
    for curve in ("pnil-fig4", "pnil-fig5"):
        assert set(at_night(curve, "mnist")) <= set(larger), "no trainings of its own"
    networks = {
        each.network for name in ("pnil-table1", "pnil-fig3", "pnil-madry") for each in at_night(name, "cifar10")
    }
    assert networks == {"resnet11, width 16"}
    assert "network resnet11, width 16 instead of resnet11" in cuts(find("pnil-table1"), Scale.night, ["cifar10"])


def test_standing_counts_rows_and_steps(clone: Path) -> None:
    part_of(clone, FOLDED).unlink()
    (table,) = standing([TOY], Scale.smoke, folder=clone).tables
    assert (table.rows_done, table.rows, table.steps_done, table.steps) == (3, 4, 5, 7)
    assert sum(table.verdicts.values()) == 1


def test_several_tables_share_their_models(tmp_path: Path) -> None:
    other = replace(TOY, name="other", lines=lambda scale, dataset: [next(lines(scale, dataset))])
    watcher = Watcher()
    results = reproduce_all([replace(TOY, lines=other.lines), other], Scale.smoke, folder=tmp_path, observer=watcher)
    assert watcher.steps == [SOURCE, Asked(SOURCE, QUESTION)]
    assert results[0].rows == results[1].rows


def test_the_command_lists_and_shows_what_is_left(advtool_here: InProcess) -> None:
    listed = json.loads(advtool_here("reproduce", "--list", "--scale", "smoke", "--format", "json").stdout)
    assert listed["schema"] == "advtool.reproductions/1"
    assert [table["name"] for table in listed["tables"]] == list(TABLES)
    assert all(table["rows_done"] == 0 < table["rows"] for table in listed["tables"])
    assert not list(advtool_here.folder.iterdir())
    asked = ["all", "--scale", "smoke", "--dataset", "digits", "--run-dir", "r", "--seconds", "0"]
    done = advtool_here("reproduce", *asked, "--quiet", ADVTOOL_DATA="elsewhere")
    pages = list((advtool_here.folder / "r").glob("*.md"))
    assert len(pages) == len(TABLES)
    assert all("**not finished**" in page.read_text() for page in pages)
    for name in TABLES:
        again = f"\n- advtool reproduce {name} --scale smoke --dataset digits --run-dir r; "
        assert again in (advtool_here.folder / "r" / f"{name}-digits.md").read_text()
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "name a table or figure, or 'all'" in advtool_here.refused("reproduce")
