"""The runs of a study, trained side by side, each kept in a folder named by its content key."""

import json
import os
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from raiw import extras
from raiw.errors import DiskFull, InvalidInput, OutOfMemory, RaiwError, TrainingFailed
from raiw.jobs.pool import Told, open_pool, tell_pool
from raiw.study.accuracy.outcomes import AccuracyStudy, TrialOutcome, summarise
from raiw.study.accuracy.trials import OnEpochsDone, Setting, Trial, TrialPlan, folder_of
from raiw.training.report import FILE, Epoch, Report

_LOOK_SECONDS = 0.5
"""How often progress is checked."""


def run_plan(
    plan: TrialPlan,
    folder: str | Path,
    *,
    jobs: int | None = None,
    on_progress: OnEpochsDone | None = None,
) -> AccuracyStudy:
    """Train every run of a plan, several at a time, and compare their accuracies.

    Each run has one thread of its own process and the folder ``runs/<content key>``: a finished run
    is read from there, an interrupted one continues after its last epoch. Methods that need scores
    wait for the dense network of their seed. A run that fails is recorded with its error, and the
    others continue. Processes are spawned, so a script calls this below
    ``if __name__ == "__main__"``.

    Parameters
    ----------
    jobs
        Runs at a time; left out, one for each core.

    Raises
    ------
    InvalidInput, NotFound, MissingExtra
        The dense network cannot be trained at all.
    OutOfMemory
        A process was killed.
    DiskFull
        There is no room. What is finished is kept, as in all other cases.
    """
    place = Path(folder)
    outcomes: dict[str, TrialOutcome] = {}
    left: dict[str, Trial] = {}
    for trial in plan.trials:
        report = _finished(place, trial)
        if report is None:
            left[trial.key] = trial
        else:
            outcomes[trial.key] = report
    if left:
        with open_pool(min(jobs or os.cpu_count() or 1, len(left))) as pool:
            progress = _Progress(plan, pool.told, on_progress)
            _run_all(pool.executor, plan.setting, place, list(left.values()), outcomes, progress)
    return summarise(plan, outcomes)


def _finished(folder: Path, trial: Trial) -> Report | None:
    path = folder_of(folder, trial.key) / FILE
    if not path.is_file():
        return None
    try:
        return Report.from_json(json.loads(path.read_bytes()))
    except (ValueError, TypeError, KeyError):
        raise InvalidInput(
            f"{str(path)!r} is damaged, or of another version of raiw: remove it, and its run is "
            f"trained again"
        ) from None


def _run_all(
    executor: ProcessPoolExecutor,
    setting: Setting,
    folder: Path,
    left: list[Trial],
    outcomes: dict[str, TrialOutcome],
    progress: "_Progress",
) -> None:
    """Hand runs to the processes as soon as what they need is ready."""
    running: dict[Future[Report], Trial] = {}
    while left or running:
        ready = [trial for trial in left if trial.scored is None or trial.scored in outcomes]
        left = [trial for trial in left if trial not in ready]
        for trial in ready:
            failure = outcomes.get(trial.scored or "")
            if isinstance(failure, RaiwError):
                outcomes[trial.key] = failure
            else:
                running[executor.submit(_run, setting, trial, folder)] = trial
        progress.show(outcomes)
        for future in wait(running, _LOOK_SECONDS, FIRST_COMPLETED).done:
            trial = running.pop(future)
            outcomes[trial.key] = _outcome(future, trial)
    progress.show(outcomes)


def _outcome(future: Future[Report], trial: Trial) -> TrialOutcome:
    try:
        return future.result()
    except BrokenProcessPool:
        raise OutOfMemory(
            "a process of the study was killed, probably because memory ran out: start the study "
            "again with fewer --jobs; what is finished is kept"
        ) from None
    except DiskFull:
        raise
    except RaiwError as error:
        if trial.craft is None and not isinstance(error, TrainingFailed):
            raise
        return error


class _Progress:
    """Counts epochs over all runs."""

    def __init__(self, plan: TrialPlan, told: Told, on_progress: OnEpochsDone | None) -> None:
        self._epochs = dict.fromkeys((trial.key for trial in plan.trials), 0)
        self._each = plan.setting.recipe.epochs
        self._told = told
        self._on_progress = on_progress

    def show(self, outcomes: dict[str, TrialOutcome]) -> None:
        while not self._told.empty():
            key, epoch = self._told.get()
            self._epochs[key] = epoch
        self._epochs |= dict.fromkeys(outcomes, self._each)
        if self._on_progress is not None:
            runs = f"{len(outcomes)} of {len(self._epochs)} runs"
            self._on_progress(sum(self._epochs.values()), runs)


def _run(setting: Setting, trial: Trial, folder: Path) -> Report:
    def tell(epoch: Epoch, _total: int) -> None:
        tell_pool(trial.key, epoch.epoch)

    # torch is imported here, not by the process that only waits and compares.
    report: Report = extras.load("raiw.study.accuracy.trial").run_trial(
        setting, trial, folder, tell
    )
    return report
