"""What `--help` prints: the whole tool in one screen of at most 60 lines of 100 columns."""

from __future__ import annotations

import textwrap

from pipeline.config_folders import CONF
from pipeline.names import stage_names

PROGRAM = "python -m pipeline.run"
WIDTH = 100  # columns of the screen
INDENT = " " * 21  # of what a word means

_TEXT = """\
A forecasting-competition workbench: from raw files to a checked submission CSV and a report.

usage: {program} [KEY=VALUE ...] [--config-dir DIR] [-m] [--cfg] [--version] [--help]
       (installed as `workbench` too; nothing at all is: stage=all competition=ventilator size=demo)

  {program}                                       the demo, minutes on a laptop
  {program} competition=rossmann size=quick       files in data/files/raw/rossmann
  {program} stage=train members=[lstm,tcn] member.lstm.hidden=128 fit.max_epochs=5
  {program} new=mine train=a.csv test=b.csv   draft my_conf/competition/mine.yaml
  {program} --config-dir my_conf competition=mine   run it
  {program} -m seed=0,1,2                         one run after another
  {program} list=members                          names that can be used

commands
  stage=NAME         {stages}
                     all runs those that a submission needs; a finished step is never done twice
  stage=submissions  all that were made, with their scores; submit.public_score=0.12 notes Kaggle's
                     submit.diff=[a,b] what differs between two;  submit.name=NAME or id: of which
  stage=predict      forecast competition.files.test=NEW.csv by what is trained, within budget=
  stage=pack         a folder that does so offline, elsewhere;  submit.of=NAME whose models (both)
  stage=clean        what no artefact needs any more;  clean.remove=true removes it
  list=KIND          members competitions features metrics blenders ... ; list= shows the kinds
  new=NAME           profile files and draft a competition: train= [test= sample= out=my_conf]
  --config-dir DIR   also read DIR/competition/*.yaml, DIR/size/*.yaml, DIR/member/*.yaml
  -m, --multirun     sweep over comma lists; --cfg prints the composed settings and stops

size                 {sizes}
  demo minutes on a laptop · quick a first real submission · full what a GPU runs overnight

common settings (--cfg shows all of them; a misspelt key or wrong type is refused by name)
  competition=NAME   competition.root=FOLDER where its files are (else data/files/raw/NAME)
                     competition.horizon=42  competition.folds.count=5  competition.KEY=...
  members=[a,b]      which members run;  member.NAME.KEY=VALUE the settings of one
                     a variant of your own is DIR/member/big.yaml: kind: lstm, hidden: 512
  fit.max_epochs=5   fit.batch_size=256  fit.learning_rate=0.002  fit.head=auto  fit.loss=auto
                     fit.seeds=3 (fits of each member)  fit.folds=[0,1] (null: all)
                     fit.device=auto|cpu|cuda  fit.threads=1  fit.refit=auto|none|all
  windows.context=96 rows before the origin;  windows.per_epoch, windows.origins=random|all
  blend.names=[mean,convex]   the best honest one wins;  submit.name=FILE  submit.post=true
  submit.push=true   upload it with the kaggle client (competition.kaggle=SLUG), each file once
  executor=processes|inline|ray   where jobs run;  executor.workers=2  executor.gpus=0.5
  budget=30m         fit what fits (90s, 2h, 1h30m), cheapest first; always a valid submission
  seed=0             same seed, same machine: same result
  root=FOLDER        where all output goes (default: here)
  plugins=[my.py]    your own Python files that register a feature, member, metric, ...

later layers win     defaults < conf/config.yaml < size < the competition's sizes < command line

output, below root
  submissions/files/NAME.csv              the submission, checked against the sample
  submissions/files/NAME/ID/              each one made, with manifest and command;  log.jsonl
  artifacts/COMPETITION/report/           index.html and summary.json
  artifacts/COMPETITION/<stage>/...       everything else, kept and taken up again

bad input is one line on stderr and exit code 2; Ctrl-C stops at once, the same command goes on
"""


def help_text() -> str:
    """The screen, with the stages and sizes that are there."""
    sizes = " ".join(sorted(file.stem for file in (CONF / "size").glob("*.yaml")))
    stages = textwrap.wrap(" ".join(stage_names()), WIDTH - len(INDENT))
    return _TEXT.format(program=PROGRAM, stages=f"\n{INDENT}".join(stages), sizes=sizes)
