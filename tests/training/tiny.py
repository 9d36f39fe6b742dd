"""A recipe of six steps, and data for it."""

from pathlib import Path

import cv2

from rotomask.data.training.synthetic import moving_shapes
from rotomask.networks.stm_lite import STMLiteConfig
from rotomask.training.clip_data import Stage
from rotomask.training.loop import Hardware
from rotomask.training.space_time import SpaceTimeRecipe
from rotomask.training.task import Schedule

CPU = Hardware(accelerator="cpu", workers=0)

TINY = SpaceTimeRecipe(
    name="tiny",
    schedule=Schedule(warmup=2, refresh_every=4, validate_every=3),
    model=STMLiteConfig(key_channels=16, value_channels=32, decoder_channels=(32, 24, 16)),
    stages=(
        Stage(steps=3, batch=2, size=64, real=0.5, max_gap=(1, 2)),
        Stage(steps=3, batch=2, size=64, frames=4, real=0.7, max_gap=(1, 1)),
    ),
    held_out=("shape-3",),
)


def write_data(root: Path) -> dict[str, Path]:
    """Stills and videos of moving shapes in the layouts of DUTS and DAVIS."""
    stills, davis = root / "stills", root / "davis"
    for folder in ("images", "masks"):
        (stills / folder).mkdir(parents=True)
    for i in range(12):
        frames, labels = moving_shapes(i, frames=1, size=(96, 128))
        cv2.imwrite(str(stills / "images" / f"{i}.png"), frames[0])
        cv2.imwrite(str(stills / "masks" / f"{i}.png"), labels[0] * 255)
    for i in range(4):
        frames, labels = moving_shapes(100 + i, frames=10, size=(96, 128))
        for part in ("JPEGImages", "Annotations"):
            (davis / part / "480p" / f"shape-{i}").mkdir(parents=True)
        for t in range(10):
            name = f"shape-{i}/{t:05d}"
            cv2.imwrite(str(davis / "JPEGImages" / "480p" / f"{name}.jpg"), frames[t])
            cv2.imwrite(str(davis / "Annotations" / "480p" / f"{name}.png"), labels[t] * 255)
    return {"stills": stills, "davis": davis}
