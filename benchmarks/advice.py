"""Whether advise() and rank() advise well: against every way trained in full, on held-out tasks.

Each question is asked of some pictures of a task: a number of each class, by seed. Every way trains
on all of them and is tested on pictures that nobody saw, where classes count alike
(benchmarks/ways.py): 27 times as long as the shortest training of advise(), an EfficientNet, which
sees 64 pixels a side, 9 times. What a way comes to is its mean over the seeds: up to ten of
LeNet-5, and where fewer than 500 pictures test, of which three are asked. advise() may take a
quarter of the time that all its ways took, or 2.5 seconds. Regret: what the best of its ways comes
to, less what the advised one does, in points. rank() names the network whose solved head has the
least log-loss by leaving out; its regret is that of its best way against the best way of all
networks.

What is tuned is tuned on one half of benchmarks/tasks.py, and reported on the other; and on tasks
that were added later.

    python -m benchmarks.advice                            what is not there yet of the report half
    python -m benchmarks.advice --half tune --networks lenet5 --counts 10 --seeds 1
    python -m benchmarks.advice --ways                     what every way comes to: hours
    python -m benchmarks.advice --seeds 0                  only the page

What comes is a line of benchmarks/ways.jsonl or advice.jsonl, and is not computed again: remove the
latter to ask a changed advise() anew.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import zoo_core as zoo
from benchmarks import ways
from benchmarks.kept_lines import add, facts, measure
from benchmarks.page_parts import put
from benchmarks.regret import Answers, joined
from benchmarks.regret_page import section, unseen
from benchmarks.tasks import TASKS, task
from benchmarks.ways import NETWORKS, Question
from zoo_core.advice.budget import Budget
from zoo_core.cache import using_cache

FOUND = Path(__file__).with_name("advice.jsonl")
PAGE = Path(__file__).parent.parent / "docs" / "advice.md"
COUNTS, SEEDS = (10, 50, 200), 3
FEW_TESTED, MORE_SEEDS = 500, 10  # where so few tell what a way comes to, it has more
SHARE = 0.25  # of the time of all ways in full, that advise() may take
FEWEST = 2.5  # seconds that it gets at least


def main(words: Sequence[str] | None = None) -> None:
    asked = _arguments(words)
    names = [one.name for one in TASKS if one.half == asked.half]
    wanted = [
        Question(name, network, count, seed)
        for seed, count, network, name in itertools.product(
            range(asked.seeds), asked.counts, asked.networks, names
        )
    ]
    there = ways.ways()
    if asked.ways:
        trained = [*wanted, *_more(asked, names)]
        measure([one for one in trained if one not in there], ways.measured, ways.kept)
        there = ways.ways()
    done = answers()
    room = {one: SHARE * sum(s for _, s in there[one]["ways"].values()) for one in there}
    jobs = [(one, max(room[one], FEWEST)) for one in wanted if one in there and one not in done]
    measure(jobs, answered, kept)
    found = joined(ways.ways(), answers())
    later = unseen(_of(found, "later"), _of(found, "report"))
    put(PAGE, "measured", f"{_section(found, 'report')}\n\n{later}".rstrip())
    print(_section(found, asked.half))


def _more(asked: argparse.Namespace, names: Sequence[str]) -> list[Question]:
    """Questions that only ways are trained for: where few pictures test, so that what they come to
    is most a matter of luck, and of networks that train in seconds. None where fewer seeds are
    asked for than usual."""
    if asked.seeds < SEEDS:
        return []
    few = {name for name in names if len(task(name).parts()[1]) < FEW_TESTED}
    more = itertools.product(range(asked.seeds, MORE_SEEDS), asked.counts, asked.networks, names)
    return [
        Question(name, network, count, seed)
        for seed, count, network, name in more
        if name in few or network.startswith("lenet5")
    ]


def _section(found: Answers, half: str) -> str:
    return section(_of(found, half), __doc__ or "", names=[*NETWORKS])


def _of(found: Answers, half: str) -> Answers:
    names = {one.name for one in TASKS if one.half == half}
    return {one: answer for one, answer in found.items() if one.task in names}


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks.advice")
    parser.add_argument("--half", choices=("tune", "report", "later"), default="report")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--counts", nargs="+", type=int, choices=COUNTS, default=list(COUNTS))
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many, from 0")
    parser.add_argument("--ways", action="store_true", help="train what was not trained yet")
    return parser.parse_args(words)


def answers(path: Path = FOUND) -> dict[Question, dict[str, Any]]:
    """What advise() said."""
    return {Question(**fact.pop("question")): fact for fact in facts(path)}


def kept(result: tuple[Question, Mapping[str, Any]], path: Path = FOUND) -> str:
    """Keep an answer, and say it in a line."""
    question, answer = result
    add({"question": asdict(question), **answer}, path)
    return (f"{question.task}, {question.count} a class, {question.network}, seed "
            f"{question.seed}: {answer['advised']}")  # fmt: skip


def answered(job: tuple[Question, float]) -> tuple[Question, dict[str, Any]]:
    """What advise() says within so many seconds of the CPU: others may use the machine, too."""
    question, room = job
    Budget.clock = staticmethod(time.process_time)
    train, _ = ways.parts(question)
    model = ways.network(question)
    with tempfile.TemporaryDirectory() as folder, using_cache(Path(folder)):
        start = time.process_time()
        advice = zoo.advise(model, train, budget=room, seed=question.seed, progress=False)
        seconds = time.process_time() - start
    best = advice.best
    return question, {
        "advised": best["arm"], "expected": round(best["accuracy"], 4),
        "low": round(best["low"], 4), "high": round(best["high"], 4),
        "similarity": advice.similarity, "seconds": round(seconds, 2), "room": round(room, 2),
        "tried": {row["arm"]: [round(row["accuracy"], 4), round(row["loss"], 4), row["epochs"]]
                  for row in advice.rows},
    }  # fmt: skip


if __name__ == "__main__":
    main()
