"""A recipe of six steps, and data for it."""

from pathlib import Path

from rotomask.networks.stm_lite import STMLiteConfig
from rotomask.training.clip_data import Stage
from rotomask.training.hardware import Hardware
from rotomask.training.space_time import SpaceTimeRecipe
from rotomask.training.task import Schedule
from tests.scripts import write_stills, write_video

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


def write_data(root: Path, *, stills: int = 12, frames: int = 10) -> dict[str, Path]:
    """Stills and four videos of moving shapes in the layouts of DUTS and DAVIS."""
    for i in range(4):
        write_video(root / "davis", f"shape-{i}", 100 + i, frames, size=(96, 128))
    return {"stills": write_stills(root / "stills", range(stills)), "davis": root / "davis"}
