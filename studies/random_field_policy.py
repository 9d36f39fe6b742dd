"""A learnt policy for the random field's parameters (paper 1), compared with fixed ones.

    python -m studies.random_field_policy --davis DAVIS-TRAIN --write

Trains advantage actor-critic on DAVIS-2016 train without the held-out sequences and measures on
these. Run `studies.random_field_search` first: the policy starts from its field, which is stored in
`--cache`.
"""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from rotomask.evaluation import open_benchmark
from rotomask.refine.random_field import RandomFieldConfig
from rotomask.training.video_split import HELD_OUT
from studies.actor_critic import ActorCriticConfig, Policy, State, greedy, learn_policy
from studies.field_policy import (
    FieldClip,
    FieldEnvironment,
    FieldPolicyConfig,
    clip_j,
    policy_fields,
)
from studies.random_field_search import best_field, search, windows
from studies.results_page import markdown_table
from studies.scripts import add_write, parse, publish, script_parser

FRAMES = 3


def row(name: str, clips: list[FieldClip], values: list[float]) -> list[str]:
    """A line of the table: J, its change, and on how many clips it is better or worse."""
    before = [clip_j(clip, None) for clip in clips]
    better = sum(a > b + 1e-6 for a, b in zip(values, before, strict=True))
    worse = sum(a < b - 1e-6 for a, b in zip(values, before, strict=True))
    mean = float(np.mean(values))
    change = 100 * (mean - float(np.mean(before)))
    return [name, f"{mean:.4f}", f"{change:+.2f}", f"{better}", f"{worse}"]


def rows(
    part: str, clips: list[FieldClip], start: FieldEnvironment, policy: Policy
) -> list[list[str]]:
    """Lines for no field, the field of the search, random actions and the policy."""
    rng = np.random.default_rng(0)

    def draw(_: State) -> int:
        return int(rng.integers(start.actions))

    by_policy = policy_fields(start, policy)
    at_random = policy_fields(start, draw)
    fixed = start.config.start
    return [
        row(f"{part}: no field", clips, [clip_j(c, None) for c in clips]),
        row(f"{part}: field of the search", clips, [clip_j(c, fixed) for c in clips]),
        row(f"{part}: actions at random", clips, _j(clips, at_random)),
        row(f"{part}: learnt policy", clips, _j(clips, by_policy)),
    ]


def _j(clips: list[FieldClip], fields: list[RandomFieldConfig]) -> list[float]:
    return [clip_j(clip, field) for clip, field in zip(clips, fields, strict=True)]


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--davis", type=Path, required=True, help="DAVIS-2016 train")
    parser.add_argument("--model", default="stm-lite")
    parser.add_argument("--cache", type=Path, default=Path("runs/random-field"))
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--windows", type=int, default=1, help="windows of each training sequence")
    parser.add_argument("--held-out", default=",".join(HELD_OUT), help="sequences to measure on")
    add_write(parser)
    arguments = parse(parser)
    measured_on = arguments.held_out.split(",")
    dataset = open_benchmark("davis2016", arguments.davis, "train")
    names = [s.name for s in dataset if s.name not in measured_on]
    model, cache = arguments.model, arguments.cache
    training = windows(dataset.select(names), model, cache, count=arguments.windows, frames=FRAMES)
    held_out = windows(dataset.select(measured_on), model, cache, count=4, frames=FRAMES)
    study = search([], "mean-field", 0, arguments.cache)
    start = replace(best_field(study, "mean-field"), iterations=5)
    config = FieldPolicyConfig(start=start)
    environment = FieldEnvironment(training, config)

    def told(update: int, reward: float) -> None:
        if update % 10 == 0 or update == arguments.updates - 1:
            print(f"update {update}: mean sum of rewards {reward:+.3f} % of J", flush=True)

    learning = ActorCriticConfig(updates=arguments.updates)
    policy = greedy(learn_policy(environment, learning, on_update=told))
    print(asdict(start))
    table = rows("training", training, environment, policy)
    tested = FieldEnvironment(held_out, config)
    table += rows("held-out", held_out, tested, policy)
    for clip, field in zip(held_out, policy_fields(tested, policy), strict=True):
        print(clip.name, {k: round(v, 3) for k, v in asdict(field).items() if k != "solver"})
    header = ["windows", "J", "change in %", "better", "worse"]
    text = (
        f"{len(training)} windows of {FRAMES} frames of as many training sequences, "
        f"{len(held_out)} of {len(measured_on)} held-out ones; unaries of {arguments.model}, "
        f"mean-field, {arguments.updates} updates of {learning.episodes} episodes.\n\n"
        + markdown_table(header, table)
    )
    title = "Random field: a learnt policy (paper 1, sec. 5)"
    command = "python -m studies.random_field_policy --davis DAVIS-TRAIN --write"
    publish(arguments, "random-field-policy", title, text, command=command)


if __name__ == "__main__":
    main()
