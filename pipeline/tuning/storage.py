"""Where studies are kept: an Optuna storage by URL, heartbeats of running trials, and what a kill left.

A trial that is running is beaten for by its command; one whose command is gone (its heart stands still for
`GRACE_SECONDS`, or the lock that its command held on this machine is free) is failed and put in the queue
again with the same parameters, so that its finished folds are found by their keys. So is one that no command
has called its own for as long: a kill came between the trial's start and its first heartbeat.
"""

from __future__ import annotations

import socket
import threading
import time
import uuid
import warnings
from contextlib import ExitStack, suppress
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from data.errors import InputError
from pipeline.store import ArtifactStore

HEARTBEAT_SECONDS = 4
GRACE_SECONDS = 3 * HEARTBEAT_SECONDS
RETRIES = 10  # of a trial whose command dies again and again
SQLITE_WAIT_SECONDS = 60  # for another process that is writing
OPENINGS, OPENING_SECONDS = 20, 0.25  # attempts, and between them, while others make the tables

REASON = "reason"  # user attribute: why a trial failed or was pruned
OWNER = "owner"  # user attribute: the command that runs it

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=ExperimentalWarning)
warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used")


def storage_url(given: str | None, root: Path) -> str:
    """The URL of tune.storage; null: study.db in the folder of the competition's studies."""
    if given is not None:
        return given
    folder = root / "tune"
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{(folder / 'study.db').absolute()}"


def shown_url(url: str) -> str:
    """Without its password."""
    return make_url(url).render_as_string(hide_password=True)


def check_url(url: str) -> None:
    """InputError for what is no URL of a database, or one whose driver is not installed; opens nothing."""
    example = "as sqlite:///study.db or postgresql+psycopg://user@host/name"
    try:
        make_url(url).get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError) as error:
        raise InputError(
            f"tune.storage: {url.partition('://')[0]!r} is no URL of a database, {example}"
        ) from error
    except ImportError as error:
        raise InputError(
            f"tune.storage: {shown_url(url)} needs the Python package {error.name!r}, which is not installed"
        ) from error


def open_storage(url: str) -> RDBStorage:
    """The storage at a URL, its tables made if they are not there. InputError if it cannot be reached."""
    check_url(url)
    for attempt in range(OPENINGS):
        try:
            return _opened(url)
        except (SQLAlchemyError, RuntimeError, OSError) as error:
            if _others_begin(error) and attempt + 1 < OPENINGS:
                time.sleep(OPENING_SECONDS)
                continue
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"tune.storage: {shown_url(url)} cannot be opened: {reason}") from error
    raise AssertionError("the last attempt returns or raises")


def _opened(url: str) -> RDBStorage:
    return RDBStorage(
        url,
        engine_kwargs={"connect_args": {"timeout": SQLITE_WAIT_SECONDS} if url.startswith("sqlite") else {}},
        heartbeat_interval=HEARTBEAT_SECONDS,
        grace_period=GRACE_SECONDS,
        heartbeat_stale_trial_callback=_queue_again,
    )


def _others_begin(error: Exception) -> bool:
    """Whether another command made the same tables, or wrote its version into them, at this moment."""
    return isinstance(error, IntegrityError) or "already exists" in str(error)


class Heart:
    """This command as the owner of trials: beats for those that run, and holds a lock while it lives."""

    def __init__(self, storage: RDBStorage, store: ArtifactStore) -> None:
        self._storage, self._store = storage, store
        self._trials: set[int] = set()
        self._stopped = threading.Event()
        self._held = ExitStack()
        self._name = uuid.uuid4().hex[:12]
        self.owner = f"{socket.gethostname()}/{store.root.absolute()}/{self._name}"
        self._held.enter_context(store.lock(_lock_path(self._name)))
        self._thread = threading.Thread(target=self._beat, daemon=True, name="heartbeat")
        self._thread.start()

    def begin(self, study: optuna.Study, trial: optuna.Trial) -> None:
        """From now on this command runs the trial. UpdateFinishedTrialError if another one has ended it."""
        self._storage.record_heartbeat(trial._trial_id)
        study._storage.set_trial_user_attr(trial._trial_id, OWNER, self.owner)
        self._trials.add(trial._trial_id)

    def end(self, trial_id: int) -> None:
        """The trial has ended."""
        self._trials.discard(trial_id)

    def beat(self) -> None:
        """Say now that the trials of this command go on."""
        for trial_id in [*self._trials]:
            # A storage that is busy now is asked again soon.
            with suppress(SQLAlchemyError, StorageInternalError, KeyError):
                self._storage.record_heartbeat(trial_id)

    def close(self) -> None:
        """Stop beating."""
        self._stopped.set()
        self._thread.join(timeout=2 * HEARTBEAT_SECONDS)
        self._held.close()

    def gone(self, trial: FrozenTrial) -> bool:
        """Whether the command that ran a trial on this machine, over the same artefacts, has died."""
        place, _, name = str(trial.user_attrs.get(OWNER, "")).rpartition("/")
        if name == self._name or place != self.owner.rpartition("/")[0]:
            return False
        with self._store.lock_if_free(_lock_path(name)) as free:
            return free

    def _beat(self) -> None:
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            self.beat()


def release_stale(study: optuna.Study, heart: Heart) -> int:
    """Fail running trials whose command is gone and put them in the queue again; how many."""
    before = len(study.get_trials(deepcopy=False))
    heart.beat()  # if this command stood still (a laptop that slept), its own trials look stale
    optuna.storages.fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if heart.gone(trial) or _unclaimed(trial):
            put_back(study, trial, "its command was killed")
    return len(study.get_trials(deepcopy=False)) - before


def put_back(study: optuna.Study, trial: FrozenTrial, reason: str) -> None:
    """Fail a running trial and queue one with the same parameters, which goes on from its finished folds."""
    if fail(study, trial._trial_id, reason):
        _queue_again(study, trial)


def _queue_again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Queue a trial with the parameters of one that has failed; whoever takes it is its owner.

    With the old owner, who is dead, it would be released once more as soon as it is taken, before its new
    command has said so.
    """
    again = deepcopy(trial)  # its history of retries is added to
    again.user_attrs.pop(OWNER, None)
    RetryHeartbeatStaleTrialCallback(RETRIES, True)(study, again)


def _unclaimed(trial: FrozenTrial) -> bool:
    """Whether no command has called a running trial its own in all the time that there was to do so.

    The start is told by the clock of the command that asked. Where that one is late, a trial is put back too
    early: its command finds it ended, and asks for another.
    """
    if OWNER in trial.user_attrs or trial.datetime_start is None:
        return False
    return datetime.now() - trial.datetime_start > timedelta(seconds=GRACE_SECONDS)


def fail(study: optuna.Study, trial_id: int, reason: str) -> bool:
    """End a running trial as failed, saying why; whether it was still running."""
    storage = study._storage
    try:
        storage.set_trial_user_attr(trial_id, REASON, reason)
        return bool(storage.set_trial_state_values(trial_id, TrialState.FAIL))
    except UpdateFinishedTrialError:
        return False


def _lock_path(name: str) -> str:
    return f"tune/commands/{name}"


def number_of(trial: FrozenTrial) -> int:
    """The number that names a trial's artefacts: its own, or that of the killed one that it repeats."""
    return int(trial.system_attrs.get("failed_trial", trial.number))
