"""stage=pack: one folder with all that forecasts of other test rows need, for machines without a network.

project/        the sources of this project; wheel/ the same, to be installed
artifacts/      what the submission's forecasts need of artifacts/<competition>: weights, features, blend
submission/     the submission's own folder, with its manifest
files/          the competition's files besides the test rows; plugins/ where there are some
config.yaml     its settings, resolved; requirements.txt the libraries that it was made with
predict.py      python predict.py test=TEST.csv out=submission.csv; predict.ipynb does so on Kaggle
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from data.errors import InputError
from data.raw_tables import RawTables, competition_folder, raw_files, read_competition, text_columns
from data.tables import read_path, stem
from pipeline.config import Config
from pipeline.disk import clear_when_full, folder_size, size_text
from pipeline.libraries import NAME, PYTHON, library_versions, project_version, requirements
from pipeline.locks import lock
from pipeline.manifest import read_manifest
from pipeline.stages.prepare import PREPARE, Prepared
from pipeline.store import ArtifactStore
from pipeline.submitting.code_version import PROJECT, source_files
from pipeline.submitting.new_rows import rows_that_show
from pipeline.submitting.notebook import notebook
from pipeline.submitting.source import PREDICTIONS, Source
from pipeline.submitting.wheel import write_wheel

PREDICT = '''\
"""Forecast other test rows by the models of {source}, offline:

    python predict.py test=TEST.csv [out=submission.csv] [sample=SAMPLE.csv] [train=TRAIN.csv]
                      [budget=30m] [workers=1] [device=auto] [work=forecast-work]
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "project"))

if __name__ == "__main__":
    from pipeline.submitting.packed import main

    sys.exit(main(HERE, sys.argv[1:]))
'''


def pack(config: Config, store: ArtifactStore) -> Iterator[str]:
    """Write submissions/packs/<name>, as a whole or not at all; lines that say what it is."""
    source = Source.of(config, store)
    name = config.submit.name or source.kept.name
    packs = Path(config.root).absolute() / "submissions" / "packs"
    target, work = packs / name, packs / ".work" / name
    with lock(packs / ".locks" / f"{name}.lock"), clear_when_full(packs), ExitStack() as held:
        for path in source.manifests:
            held.enter_context(store.lock(path, shared=True))
            store.require(path, source.manifests[path].key)
        old = packs / ".work" / f"{name}.old"
        if old.exists() and not target.exists():  # killed between the two names
            os.rename(old, target)
        shutil.rmtree(work, ignore_errors=True)  # of one that was killed
        work.mkdir(parents=True)
        _project(work / "project")
        write_wheel(work / "project", work / "wheel", project_version())
        for path in source.manifests:
            _artifact(store.root / path, work / "artifacts" / path)
        shutil.copytree(source.kept.folder, work / "submission")
        _files(config, source, store, work / "files")
        _plugins(source, work)
        _texts(source, work, name)
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            os.rename(target, old)
        os.rename(work, target)
        shutil.rmtree(old, ignore_errors=True)
    yield f"pack:       {target} ({size_text(folder_size(target))})"
    yield f"            forecasts by {source.name}: {', '.join(source.fits)}"
    yield "            python predict.py test=TEST.csv out=submission.csv, or predict.ipynb"


def _project(target: Path) -> None:
    """The sources, as they are; and what tells their version and what they need."""
    for file in source_files():
        copy = target / file.relative_to(PROJECT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    extras = {name: json.dumps(texts) for name, texts in requirements().items()}  # as TOML has lists too
    text = f'[project]\nname = "{NAME}"\nversion = "{project_version()}"\n'
    text += f"dependencies = {extras.pop('')}\n\n[project.optional-dependencies]\n"
    text += "".join(f"{name} = {texts}\n" for name, texts in extras.items())
    (target / "pyproject.toml").write_text(text, encoding="utf-8")


def _artifact(folder: Path, target: Path) -> None:
    """A copy that the store trusts, without what no forecast reads."""
    manifest = read_manifest(folder)
    assert manifest is not None
    kept = {name: record for name, record in manifest.files.items() if name not in PREDICTIONS}
    for name in kept:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / name, target / name)
    target.mkdir(parents=True, exist_ok=True)
    replace(manifest, files=kept).write(target)


def _files(config: Config, source: Source, store: ArtifactStore, target: Path) -> None:
    """Training file and joined files. Of a sequence task's training file the rows that show its columns."""
    own = source.config.competition
    competition = replace(own, root=config.competition.root or own.root)
    folder = competition_folder(competition, Path(config.root))
    wanted = replace(own, files=replace(own.files, test=None, sample=None, solution=None))
    found = raw_files(wanted, folder)
    fitted = Prepared(store.folder(PREPARE)).panel
    target.mkdir(parents=True)
    train = own.files.train
    if train not in found:  # a reader that makes its rows itself
        tables = rows_that_show(read_competition(competition, folder), fitted)
        tables.train.to_parquet(target / f"{stem(train)}.parquet", index=False)
    for name, path in found.items():
        if name == train and own.task == "sequence":
            table = read_path(path, text_columns(own), member=name)
            some = rows_that_show(RawTables(own, table, None), fitted).train
            if len(some) < len(table):
                some.to_parquet(target / f"{stem(name)}.parquet", index=False)
                continue
        shutil.copy2(path, target / path.name)


def _plugins(source: Source, work: Path) -> None:
    for number, name in enumerate(source.config.plugins):
        if not Path(name).is_file():
            raise InputError(f"plugins: {name} is not a file; {source.name} was made with it")
        (work / "plugins").mkdir(exist_ok=True)
        shutil.copy2(name, work / "plugins" / f"{number}_{Path(name).name}")


def _texts(source: Source, work: Path, name: str) -> None:
    (work / "config.yaml").write_text(
        yaml.safe_dump(_plain(asdict(source.config)), sort_keys=False), encoding="utf-8"
    )
    (work / "requirements.txt").write_text("\n".join(_required(source)) + "\n", encoding="utf-8")
    (work / "predict.py").write_text(PREDICT.format(source=source.name), encoding="utf-8")
    slug = source.config.competition.kaggle or source.config.competition.name
    test = Path(source.config.competition.files.test or "test.csv").name
    (work / "predict.ipynb").write_text(
        json.dumps(notebook(source, name, slug, test), indent=1) + "\n", encoding="utf-8"
    )


def _required(source: Source) -> list[str]:
    """Lines for pip: the libraries as they were at the fits; as they are now, where that is not known."""
    then = source.kept.manifest["libraries"]
    versions = {**library_versions(*source.extras()), **then}
    lines = [f"# Python {versions.pop(PYTHON)}"]
    return lines + [f"{name}=={text.partition('+')[0].partition(',')[0]}" for name, text in versions.items()]


def _plain(content: Any) -> Any:
    """As YAML has it: no tuples."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return content
