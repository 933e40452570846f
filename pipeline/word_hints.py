"""What a word that stands alone on the command line may have been meant as."""

from __future__ import annotations

from pipeline import names
from pipeline.config import Config
from pipeline.config_folders import ConfigFolders
from pipeline.conform import leaf_keys


def word_hints(folders: ConfigFolders) -> dict[str, str]:
    """What to write for a word that stands alone: 'train' -> 'stage=train', 'stage' -> 'stage=all'."""
    known = {name: f"member.{name}.SETTING=VALUE" for name in folders.choices("member")}
    known |= {name: f"size={name}" for name in folders.choices("size")}
    known |= {name: f"competition={name}" for name in folders.choices("competition")}
    known |= {name: f"probe={name}" for name in folders.choices("probe")}
    known |= {key: f"{key}=VALUE" for key, _ in leaf_keys(Config)}
    known |= {
        key.rpartition(".")[2]: f"{key}=VALUE" for key, _ in leaf_keys(Config) if key.startswith("fit.")
    }
    known |= {
        name: f"list={name}" for name in (*names.REGISTRIES, "competitions", "stages", "sizes", "suites")
    }
    known |= {name: f"stage={name}" for name in names.stage_names()}
    known |= {"stage": "stage=all", "competition": "competition=ventilator", "size": "size=demo"}
    return known | {
        "list": "list=members",
        "new": "new=NAME train=FILE",
        "help": "--help",
        "version": "--version",
    }
