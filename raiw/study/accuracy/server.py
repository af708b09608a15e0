"""A study by training on a server: each run is a job there, and the server keeps the results."""

import time

from raiw.client.client import Client
from raiw.client.job import Job
from raiw.errors import InvalidInput, JobEnded, RaiwError, Unreachable
from raiw.study.accuracy.outcomes import AccuracyStudy, TrialOutcome, summarise
from raiw.study.accuracy.trials import EVERY_IMAGE, OnEpochsDone, Trial, TrialPlan
from raiw.training.report import Report

_AT_ONCE = 64
"""Jobs queued or running at a time: enough for many workers, few enough to poll each."""
_LOOK_SECONDS = 0.5
_PATIENCE = 12
"""Polls in a row that may find no server, four seconds each: a restart goes unnoticed."""


def run_plan_on(
    client: Client, plan: TrialPlan, *, on_progress: OnEpochsDone | None = None
) -> AccuracyStudy:
    """Let a server's workers train every run of a plan, and compare their accuracies.

    Runs that the server has made before are hits. An interrupted study leaves its jobs to the
    server, and finds them when it is started again. A run that fails is recorded with its error,
    and the others continue.

    Raises
    ------
    InvalidInput
        The dense network cannot be trained at all.
    Unauthorized
        The server needs a token, or refused this one.
    Unreachable
        The server does not answer, or was gone for about a minute.
    """
    study = _Study(client, plan)
    patience = 0
    while study.left:
        try:
            study.look()
            patience = _PATIENCE
        except Unreachable:
            if not patience:
                raise
            patience -= 1
        if on_progress is not None:
            done, total = len(study.outcomes), len(plan.trials)
            on_progress(done * plan.setting.recipe.epochs, f"{done} of {total} runs")
        if study.left:
            time.sleep(_LOOK_SECONDS)
    return summarise(plan, study.outcomes)


class _Study:
    """The jobs of a plan, and their results so far."""

    def __init__(self, client: Client, plan: TrialPlan) -> None:
        self.outcomes: dict[str, TrialOutcome] = {}
        self.left = list(plan.trials)
        self._client = client
        self._setting = plan.setting
        self._networks: dict[str, Job] = {}
        """Training jobs by the key of their run."""
        self._scores: dict[tuple[str, str], Job] = {}
        """Scoring jobs by the key of the run they score, and the method."""

    def look(self) -> None:
        """Start what can be started and collect what has ended."""
        for trial in self.left[:_AT_ONCE]:
            try:
                outcome = self._outcome(trial)
            except (JobEnded, InvalidInput) as error:
                if trial.craft is None and isinstance(error, InvalidInput):
                    raise  # the request for the dense network itself was refused
                outcome = error
            if outcome is not None:
                self.outcomes[trial.key] = outcome
        self.left = [trial for trial in self.left if trial.key not in self.outcomes]

    def _outcome(self, trial: Trial) -> TrialOutcome | None:
        """Return the outcome of a run; None while it is running."""
        if trial.scored is not None:
            failure = self.outcomes.get(trial.scored)
            if isinstance(failure, RaiwError):
                return failure
        if trial.key not in self._networks:
            job = self._started(trial)
            if job is None:
                return None
            self._networks[trial.key] = job
        job = _ended(self._networks[trial.key])
        return None if job is None else self._report(job, trial)

    def _started(self, trial: Trial) -> Job | None:
        """Request a run's training; None while the scores it needs are being made."""
        method, importance = trial.method.score, None
        if method is not None and trial.scored is not None:
            scored = self._scored(trial.scored, method, trial.scored_seed)
            if scored is None:
                return None
            importance = scored.digest
        return self._client.train(
            self._setting.network.name,
            self._setting.data,
            spec=trial.craft,
            importance=importance,
            recipe=self._setting.recipe_of(trial.craft).keyed(),
            seeds=[trial.seed],
            **self._setting.network.fields(),
        )

    def _scored(self, dense: str, method: str, seed: int) -> Job | None:
        """Return the ended job that scored a dense network; None while it is running."""
        if (dense, method) not in self._scores:
            network = self._networks.get(dense)
            if network is None or _ended(network) is None:
                return None
            self._scores[dense, method] = self._client.score(
                self._setting.network.name,
                str(network.digest),
                self._setting.data,
                method=method,
                samples=EVERY_IMAGE,
                seed=seed,
                **self._setting.network.fields(),
            )
        return _ended(self._scores[dense, method])

    def _report(self, job: Job, trial: Trial) -> Report:
        (run,) = (job.report or {})["runs"]
        recipe = self._setting.recipe_of(trial.craft).model_dump(mode="json")
        return Report.from_json({**run, "recipe": recipe, "history": []})


def _ended(job: Job) -> Job | None:
    """Return a job that has succeeded; None while it is running.

    Raises
    ------
    JobEnded
        It ended without success.
    """
    if not job.done:
        job.refresh()
    if not job.done:
        return None
    job.require_digest()
    return job
