"""Recipes by name: plain data, one per model and stage of its training."""

from dataclasses import replace

from rotomask.data.simulation import MotionConfig
from rotomask.errors import OptionError
from rotomask.networks.hepspnet import EdgeConfig
from rotomask.networks.osvos import SLIM, OSVOSConfig
from rotomask.networks.rgmp import RGMPConfig
from rotomask.networks.rgmp_lite import RGMPLiteConfig
from rotomask.networks.stm import STMConfig
from rotomask.networks.stm_refine50 import STMRefine50Config
from rotomask.segmenters.fine_tuned import OSVOS_FINE_TUNING, OSVOS_SLIM_FINE_TUNING
from rotomask.training import campaign
from rotomask.training.clip_data import Stage
from rotomask.training.detector import RECIPE as DETECTOR_LITE
from rotomask.training.embedding import RECIPE as EMBEDDING
from rotomask.training.flow import RECIPE as FLOW_LITE
from rotomask.training.foreground import ForegroundRecipe
from rotomask.training.interactive import FINE_RECIPE as CLICK_LITE_FINE
from rotomask.training.interactive import RECIPE as CLICK_LITE
from rotomask.training.object_edges import EdgeRecipe
from rotomask.training.reference_guided import ABLATIONS, ReferenceGuidedRecipe
from rotomask.training.space_time import Recurrence, SpaceTimeRecipe
from rotomask.training.task import Recipe, Schedule

STM_LITE = campaign.MODEL
"""The network that is shipped, before its channels are pruned."""

_PRE_TRAINING = Stage(steps=2000, real=0.0, objects=(0.7, 0.25, 0.05))
_MAIN_TRAINING = Stage(
    steps=1500, batch=4, frames=6, size=288, real=0.55, objects=(0.8, 0.2), max_gap=(2, 7)
)

_AS_PUBLISHED = Schedule(
    learning_rate=1e-5,
    optimiser="adam",
    decay="constant",
    warmup=0,
    weight_decay=0.0,
    ema=0.0,
    clip_norm=None,
    validate_every=4000,
)
"""Adam at a fixed rate of 1e-5 and nothing else: STM, "Towards good practices" and RGMP."""

_STM_STAGE = Stage(
    steps=30000,
    batch=2,
    size=384,
    real=0.0,
    objects=(0.5, 0.3, 0.2),
    paste=0.0,
    occlusion=0.0,
    random_reference=0.0,
    motion=MotionConfig(bending=0.0),
)

RECIPES: dict[str, Recipe] = {
    "click-lite": CLICK_LITE,
    "click-lite-fine": CLICK_LITE_FINE,
    "detector-lite": DETECTOR_LITE,
    "embedding": EMBEDDING,
    "flow-lite": FLOW_LITE,
    "stm-lite": SpaceTimeRecipe(
        name="stm-lite",
        schedule=Schedule(),
        model=STM_LITE,
        stages=(_PRE_TRAINING, _MAIN_TRAINING),
    ),
    # Goes on from the weights of another run (--initial): longer clips teach it not to drift.
    "stm-lite-long": SpaceTimeRecipe(
        name="stm-lite-long",
        schedule=Schedule(learning_rate=2.5e-4, decay_part=0.7, seed=4),
        model=STM_LITE,
        stages=(
            replace(
                _MAIN_TRAINING,
                steps=1600,
                real=0.5,
                objects=(0.75, 0.25),
                max_gap=(2, 8),
                scales=(0.6, 1.6),
            ),
        ),
        hardest=(0.3, 0.2),
    ),
    # To compare designs and stages: studies/training_ablation.py.
    "stm-lite-short": SpaceTimeRecipe(
        name="stm-lite-short",
        schedule=Schedule(warmup=50, validate_every=0),
        model=STM_LITE,
        stages=(Stage(steps=320, size=192),),
    ),
    # Oh et al. 2019, sec. 3.5: affine clips of three frames from stills, then real ones whose gaps
    # grow to 25 frames; 384 px, four clips a step (two and two, for one GPU), cross-entropy, Adam
    # 1e-5. What differs is in docs/guide/training.md, "Recipes of the papers".
    "stm": SpaceTimeRecipe(
        name="stm",
        schedule=replace(_AS_PUBLISHED, accumulate=2),
        network="stm",
        model=STMConfig(),
        stages=(_STM_STAGE, replace(_STM_STAGE, real=1.0, max_gap=(1, 25))),
        recurrence=Recurrence(
            skip_previous=0.0, guidance_dropped=0.0, guidance_stale=0.0, guidance_moved=0.0
        ),
        hardest=(1.0, 1.0),
        dice=0.0,
        encoder_factor=1.0,
    ),
}

_STM = RECIPES["stm"]
assert isinstance(_STM, SpaceTimeRecipe)
# "Towards good practices" (Yu et al. 2019), sec. 3.2: the same, four clips on each of four GPUs.
RECIPES["stm-refine50"] = replace(
    _STM,
    name="stm-refine50",
    schedule=replace(_STM.schedule, accumulate=8),
    network="stm-refine50",
    model=STMRefine50Config(),
)

# RGMP (Oh et al. 2018): a clip's first frame is the reference, the second gives the first guidance
# mask; the reference of most real clips is any frame of the video.
_RGMP_PRE_TRAINING = Stage(
    steps=300, frames=4, size=192, real=0.0, objects=(0.7, 0.3), motion=MotionConfig(strength=1.5)
)
_RGMP_FINE_TUNING = Stage(
    steps=400,
    batch=4,
    frames=5,
    size=224,
    real=0.65,
    objects=(0.8, 0.2),
    max_gap=(2, 4),
    random_reference=0.9,
)
_RGMP_LARGER = replace(_RGMP_FINE_TUNING, steps=450, size=256, max_gap=(4, 7), scales=(0.6, 1.5))
_RGMP_LONGER = replace(_RGMP_LARGER, steps=380, batch=3, frames=7, max_gap=(3, 6))
_RGMP_PAPER_STAGE = Stage(
    steps=30000, batch=4, frames=3, size=256, real=0.0, objects=(1.0,), paste=0.5
)


def _curriculum(stage: Stage, steps: int) -> tuple[Stage, ...]:
    """One more recursion in each stage, up to five (RGMP, sec. 4.3)."""
    return tuple(replace(stage, steps=steps, frames=2 + n) for n in range(1, 6))


RGMP_LITE = ReferenceGuidedRecipe(
    name="rgmp-lite",
    schedule=Schedule(),
    pre_training=_RGMP_PRE_TRAINING,
    fine_tuning=(_RGMP_FINE_TUNING, _RGMP_LARGER, _RGMP_LONGER),
)
# Goes on from the weights of another run (--initial), with look-alikes and the sizes that objects
# have in use.
RGMP_LITE_LONG = replace(
    RGMP_LITE,
    name="rgmp-lite-long",
    schedule=Schedule(learning_rate=3e-4, decay_part=0.9, validate_every=500, seed=5),
    pre_training=None,
    fine_tuning=(
        replace(_RGMP_LARGER, steps=1000, scales=(0.6, 1.7), composition=campaign.LATE),
        replace(
            _RGMP_LONGER,
            steps=600,
            size=320,
            real=0.75,
            scales=(0.6, 1.8),
            composition=campaign.LATE,
        ),
    ),
    hardest=(0.4, 0.2),
)
# Goes on from the weights of another run, too, at a size near that of use. Shipped is the average
# of what it starts from and what it reaches (`rotomask average`).
RGMP_LITE_FINE = replace(
    RGMP_LITE,
    name="rgmp-lite-fine",
    schedule=Schedule(
        learning_rate=1e-4, decay_part=0.9, warmup=20, ema=0.985, validate_every=0, seed=11
    ),
    pre_training=None,
    fine_tuning=(
        replace(_RGMP_LARGER, steps=450, size=384, real=0.8, max_gap=(3, 5), scales=(0.7, 1.8)),
    ),
)
RGMP_LITE_GRU = ReferenceGuidedRecipe(
    name="rgmp-lite-gru",
    schedule=Schedule(warmup=30, validate_every=0),
    model=RGMPLiteConfig(visual_memory=True),
    pre_training=None,
    fine_tuning=_curriculum(_RGMP_FINE_TUNING, steps=60),
    trained="visual memory",
    hardest=(0.5, 0.25),
)
RGMP_LITE_SHORT = replace(
    RGMP_LITE,
    name="rgmp-lite-short",
    schedule=Schedule(warmup=40, validate_every=0),
    pre_training=replace(_RGMP_PRE_TRAINING, steps=120),
    fine_tuning=(replace(_RGMP_FINE_TUNING, steps=120, size=192),),
)
# Oh et al. 2018, sec. 3.2 and 3.4: pairs of frames of 256 px by both strategies alike, then real
# ones with five recursions; Adam 1e-5. What differs is in docs/guide/training.md.
RGMP_PAPER = ReferenceGuidedRecipe(
    name="rgmp",
    schedule=_AS_PUBLISHED,
    model=RGMPConfig(),
    pre_training=_RGMP_PAPER_STAGE,
    fine_tuning=(
        replace(_RGMP_PAPER_STAGE, batch=2, frames=7, size=384, real=1.0, random_reference=1.0),
    ),
    hardest=(1.0, 1.0),
    dice=0.0,
    sides=0.0,
    encoder_factor=1.0,
)
RGMP_GRU = replace(
    RGMP_PAPER,
    name="rgmp-gru",
    model=RGMPConfig(visual_memory=True),
    pre_training=None,
    fine_tuning=_curriculum(RGMP_PAPER.fine_tuning[0], steps=3000),
    trained="visual memory",
)
_REFERENCE_GUIDED = (
    RGMP_LITE,
    RGMP_LITE_LONG,
    RGMP_LITE_FINE,
    # These go on from the weights of another run (--initial): first the visual memory alone, then
    # all weights together.
    RGMP_LITE_GRU,
    replace(
        RGMP_LITE_GRU,
        name="rgmp-lite-gru-all",
        schedule=Schedule(learning_rate=1e-4, warmup=30, validate_every=0),
        fine_tuning=(replace(_RGMP_LONGER, steps=200),),
        trained="all",
    ),
    # To compare (table 5 of the paper): studies/rgmp_tables.py.
    RGMP_LITE_SHORT,
    *(RGMP_LITE_SHORT.without(what) for what in ABLATIONS),
    RGMP_PAPER,
    RGMP_GRU,
    replace(
        RGMP_GRU,
        name="rgmp-gru-all",
        fine_tuning=(replace(RGMP_PAPER.fine_tuning[0], steps=15000),),
        trained="all",
    ),
)
RECIPES |= {recipe.name: recipe for recipe in _REFERENCE_GUIDED}

# The parent network of one-shot fine-tuning (OSVOS, sec. 3.2): what is object, in single frames.
ONESHOT_LITE = ForegroundRecipe(
    name="oneshot-lite",
    schedule=Schedule(learning_rate=5e-4, validate_every=450, seed=6),
    stage=Stage(
        steps=900, batch=4, frames=2, size=320, real=0.7, objects=(0.8, 0.2), scales=(0.6, 1.5)
    ),
)
# OSVOS, sec. 3.4: SGD with momentum on DAVIS, deep supervision that fades; the rate of 1e-8
# is for the sum over a frame's pixels. What differs is in docs/guide/training.md.
OSVOS_PARENT = ForegroundRecipe(
    name="osvos",
    schedule=Schedule(
        learning_rate=4e-3,
        optimiser="sgd",
        weight_decay=2e-4,
        decay="constant",
        warmup=0,
        ema=0.0,
        clip_norm=None,
        validate_every=10000,
    ),
    network="osvos",
    model=OSVOSConfig(),
    frozen_stages=0,
    stage=Stage(
        steps=50000,
        batch=5,
        frames=2,
        size=384,
        real=1.0,
        objects=(1.0,),
        occlusion=0.0,
        appearance=0.0,
    ),
    side_weight=(1.0, 0.0),
    dice=0.0,
    fine_tuning=OSVOS_FINE_TUNING,
)
# Side features one channel deep, one loss (paper 4): a tenth of the steps.
OSVOS_SLIM_PARENT = replace(
    OSVOS_PARENT,
    name="osvos-slim",
    schedule=replace(OSVOS_PARENT.schedule, validate_every=1000),
    network="osvos-slim",
    model=SLIM,
    stage=replace(OSVOS_PARENT.stage, steps=4000),
    side_weight=(0.0, 0.0),
    fine_tuning=OSVOS_SLIM_FINE_TUNING,
)
# The same network by our means, for two hours on one core: stills, as the videos show few kinds of
# things, and what the encoder of oneshot, which began with ImageNet, finds alike.
OSVOS_SLIM_DISTILLED = replace(
    OSVOS_SLIM_PARENT,
    name="osvos-slim-distilled",
    schedule=replace(
        OSVOS_SLIM_PARENT.schedule,
        learning_rate=1e-4,
        optimiser="adam",
        decay="cosine",
        ema=0.99,
        validate_every=0,
        seed=51,
    ),
    stage=replace(
        OSVOS_SLIM_PARENT.stage,
        steps=2000,
        batch=2,
        size=320,
        real=0.5,
        objects=(0.8, 0.2),
        scales=(0.6, 1.5),
    ),
    frozen_stages=2,
    balanced=False,
    dice=1.0,
    distillation=10.0,
)
_ONE_SHOT = (ONESHOT_LITE, OSVOS_PARENT, OSVOS_SLIM_PARENT, OSVOS_SLIM_DISTILLED)
RECIPES |= {recipe.name: recipe for recipe in _ONE_SHOT}
# Single frames on the light PSPNet: minutes on one core.
EDGES_LITE = EdgeRecipe(
    name="edges-lite",
    schedule=Schedule(learning_rate=8e-4, warmup=30, ema=0.99, validate_every=0),
    stage=Stage(
        steps=400,
        batch=5,
        frames=2,
        size=256,
        real=0.5,
        objects=(0.6, 0.4),
        paste=0.5,
        max_gap=(1, 2),
    ),
)
EDGES_FLOW_LITE = replace(
    EDGES_LITE,
    name="edges-flow-lite",
    model=EdgeConfig(flow=True),
    stage=replace(
        EDGES_LITE.stage,
        real=0.7,
        paste=1.0,
        max_gap=(1, 1),
        motion=MotionConfig(strength=0.5, bending=0.3),
    ),
    still=False,
)
RECIPES |= {recipe.name: recipe for recipe in (*campaign.STAGES, campaign.FINISH)}
RECIPES |= {recipe.name: recipe for recipe in (EDGES_LITE, EDGES_FLOW_LITE)}


def find_recipe(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        OptionError: If there is none; the message lists the known ones.
    """
    if name not in RECIPES:
        raise OptionError(f"unknown recipe {name!r}; known recipes: {', '.join(RECIPES)}")
    return RECIPES[name]
