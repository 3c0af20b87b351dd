"""Random dots, of a duration that is given and until the answer: `song-rdm` and `song-rdm-rt`.

Does accuracy grow with coherence and with time to look, does the value network tell |evidence|, and are hard decisions
slow? Song, Yang & Wang 2017, figures 1 and 2; Kiani, Hanks & Shadlen 2008; Roitman & Shadlen 2002.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from metaplastic.studies.song.laboratory import Tested, Trained, educate, traced
from metaplastic.studies.song.song_figure import Line, lines
from metaplastic.studies.song.song_study import Behaviour, SongStudy, by_level, curve_of
from metaplastic.studies.study import Claim, Run, mean_and_error

RIGHT = 2
"""the action"""


def signed(tested: Tested) -> np.ndarray:
    """Coherence in %, above 0 to the right."""
    return np.round(100 * tested.given["coherence"] * (2 * tested.given["side"] - 1), 3)


def psychometric_line(name: str, tested: Tested, where: np.ndarray | bool = True) -> tuple[Line, float]:
    """P(right) over signed coherence, all pairs together, with its fit; and the fit's sigma."""
    levels, hits, trials = by_level(tested, signed(tested), tested.answer == RIGHT, where)
    fit = curve_of(levels, hits.sum(0), trials.sum(0))
    fine = np.linspace(levels.min(), levels.max(), 200)
    with np.errstate(invalid="ignore"):
        return Line(name, levels, hits.sum(0) / trials.sum(0), (fine, fit.at(fine))), fit.sigma


def growing(level: np.ndarray, score: np.ndarray) -> float:
    """Slope of a straight line, by the spread of both: the correlation; NaN if one does not vary."""
    seen = np.isfinite(score)
    if seen.sum() < 2 or np.ptp(score[seen]) == 0:
        return float("nan")
    return float(np.corrcoef(level[seen], score[seen])[0, 1])


class SongDots(SongStudy):
    """Duration given by the experimenter."""

    name: ClassVar[str] = "song-rdm"
    title: ClassVar[str] = "Reward-trained networks decide about random dots"
    question: ClassVar[str] = (
        "Do networks that are told nothing but rewards learn to fixate, to integrate noisy evidence and to answer, and "
        "does a value network, which learning needs, tell how sure the decision is?"
    )
    kind: ClassVar[str] = "PerceptualDecisionMaking-v0"
    published_trials: ClassVar[str] = "~7,000; accepted ≤ 20,000"
    most_trials: ClassVar[int | None] = 20_000

    def behaviour(self, run: Run, trained: Trained, tested: Tested) -> Behaviour:
        """Psychometric curve, duration, value."""
        del run
        ms = tested.given["ms.stimulus"]
        middle = np.median(ms)
        brief, long_ = tested.p_correct(ms < middle), tested.p_correct(ms >= middle)
        curves = [
            psychometric_line(name, tested, where) for name, where in (("long", ms >= middle), ("short", ms < middle))
        ]
        coherence, hits, trials = by_level(tested, tested.given["coherence"], tested.correct)
        with np.errstate(invalid="ignore"):
            share = hits / trials
        before, after = value_by_coherence(trained, 400)
        rises = [growing(coherence, row) for row in after]
        flat = float(np.abs(before - before.mean(1, keepdims=True)).max())
        value = lines(
            [
                Line("end of stimulus", 100 * coherence, after.mean(0)),
                Line("end of fixation", 100 * coherence, before.mean(0)),
            ],
            "value network",
            "coherence (%)",
            "value",
            unit=False,
        )
        more = [a > b for a, b in zip(long_, brief, strict=True)]
        return Behaviour(
            [
                Claim("right, short stimuli", "less than long", "published", mean_and_error(brief), None),
                Claim("right, long stimuli", "more than short", "published", mean_and_error(long_), all(more)),
                Claim("right at 51.2 %", "–", "proposed", mean_and_error(share[:, -1].tolist()), None),
                Claim(
                    "value at the stimulus' end grows with coherence (r)",
                    "> 0",
                    "published",
                    mean_and_error(rises),
                    all(r > 0 for r in rises),
                ),
                Claim(
                    "value before the stimulus: spread over coherence",
                    "0; accepted ≤ 0.1",
                    "our bound",
                    f"{flat:.3f}",
                    flat <= 0.1,
                ),
            ],
            [lines([line for line, _ in curves], "choices", "coherence (%), right", "P(right)"), value],
            {
                "coherence": coherence.tolist(),
                "share": share.tolist(),
                "value_before": before.tolist(),
                "value_after": after.tolist(),
                "sigma": [s for _, s in curves],
            },
            "Choices follow the coherence, more steeply after long stimuli; the value grows with coherence.",
            "Left: validation during training, one line a pair. Right: choices in the test, with cumulative Gaussians, "
            "by duration (median split). Below: mean output of the value network before and at the end of it.",
        )

    def more(self, run: Run, task: Any, trained: Trained) -> list[Claim]:
        """A constant in the place of the value network, for as many updates as the pairs had."""
        rule = self.rule(run.scale).model_copy(
            update={"baseline": "constant", "updates": int(trained.history.updates.max())}
        )
        constant = educate(run, f"{self.name}-constant", task, self.network(), rule)
        last = [one.history.reward[-50:].mean(0).tolist() for one in (trained, constant)]
        reached = sum(trials is not None for trials in constant.trials)
        worse = f"{mean_and_error(last[1])} ({mean_and_error(last[0])} with the value network); {reached} met it"
        return [Claim("constant baseline: reward, last 50 updates", "less reliable", "published", worse, None)]


def value_by_coherence(trained: Trained, trials: int) -> tuple[np.ndarray, np.ndarray]:
    """V at the end of fixation and of the stimulus, mean over trials of each coherence, [P, coherences]."""
    rows: list[list[np.ndarray]] = [[], []]
    fixation, stimulus = (trained.task.epochs.index(name) for name in ("fixation", "stimulus"))
    for seed in range(len(trained.trials)):
        seen = traced(trained, seed, trials)
        lasts = [(seen.epoch <= epoch).sum(0) - 1 for epoch in (fixation, stimulus)]
        alive = seen.last > lasts[1]
        levels = np.unique(seen.given["coherence"])
        for row, last in zip(rows, lasts, strict=True):
            value = np.take_along_axis(seen.value, last[None], 0)[0]
            row.append(np.array([_mean_of(value, alive & (seen.given["coherence"] == c)) for c in levels]))
    return np.stack(rows[0]), np.stack(rows[1])


class SongReaction(SongStudy):
    """The network answers when it wants; what it earns fades with a time constant of 10 s."""

    name: ClassVar[str] = "song-rdm-rt"
    title: ClassVar[str] = "Reward-trained networks decide when to answer"
    question: ClassVar[str] = "Do networks that may answer at any time take longer where the evidence is weak?"
    kind: ClassVar[str] = "PerceptualDecisionMaking-v0"
    preset: ClassVar[str] = "rt"

    def behaviour(self, run: Run, trained: Trained, tested: Tested) -> Behaviour:
        """Psychometric and chronometric curves."""
        del run, trained
        coherence = np.unique(tested.given["coherence"])
        _, hits, trials = by_level(tested, tested.given["coherence"], tested.correct)
        with np.errstate(invalid="ignore"):
            share = hits / trials
        times = np.stack(
            [_mean_where(tested.when, tested.in_time & (tested.given["coherence"] == c)) for c in coherence], 1
        )
        slower = (times[:, 0] - times[:, -1]).tolist()
        line, sigma = psychometric_line("choices", tested)
        return Behaviour(
            [
                Claim(
                    "ms that 0 % takes longer than 51.2 %",
                    "> 0",
                    "published",
                    mean_and_error(slower, 0),
                    all(ms > 0 for ms in slower),
                ),
                Claim("right at 51.2 %", "–", "proposed", mean_and_error(share[:, -1].tolist()), None),
                Claim(
                    "accuracy grows with coherence (r)",
                    "> 0",
                    "published",
                    mean_and_error([growing(coherence, row) for row in share]),
                    all(growing(coherence, row) > 0 for row in share),
                ),
            ],
            [
                lines([line], "choices", "coherence (%), right", "P(right)"),
                lines([Line("", 100 * coherence, times.mean(0))], "reaction time", "coherence (%)", "ms", unit=False),
            ],
            {"coherence": coherence.tolist(), "share": share.tolist(), "ms": times.tolist(), "sigma": sigma},
            "Choices follow the coherence; answers come later where it is low.",
            "Left: validation during training. Right: choices in the test. Below: mean time to the answer.",
        )


def _mean_where(values: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Row means where the mask holds; NaN without any."""
    with np.errstate(invalid="ignore"):
        return (values * where).sum(1) / where.sum(1)


def _mean_of(values: np.ndarray, where: np.ndarray) -> float:
    """Mean where the mask holds; NaN without any."""
    return float(values[where].mean()) if where.any() else float("nan")
