"""Results reported in papers, for comparison in reports."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["semi-supervised", "unsupervised"]


@dataclass(frozen=True, kw_only=True)
class PublishedResult:
    """The published figures of one method on one benchmark."""

    method: str
    kind: Kind = "semi-supervised"
    figures: dict[str, float]
    """Name -> figure, as in `EvaluationResult.figures`; only those that the paper reports."""


def _davis(
    method: str,
    j: tuple[float, ...],
    f: tuple[float, ...],
    *,
    t: float | None = None,
    kind: Kind = "semi-supervised",
) -> PublishedResult:
    """A result with J&F from J and F, each (mean, recall, decay) or (mean,)."""
    figures = {"J&F": (j[0] + f[0]) / 2}
    for measure, values in (("J", j), ("F", f)):
        names = ("mean", "recall", "decay")[: len(values)]
        figures |= {f"{measure}_{name}": v for name, v in zip(names, values, strict=True)}
    if t is not None:
        figures["T_mean"] = t
    return PublishedResult(method=method, kind=kind, figures=figures)


def _only(figure: str, **methods: float) -> tuple[PublishedResult, ...]:
    """Results with one figure each, by method."""
    names = {name: name.replace("_", " ").replace("SAM 2 1", "SAM 2.1") for name in methods}
    return tuple(PublishedResult(method=names[k], figures={figure: v}) for k, v in methods.items())


_DAVIS2016 = (
    _davis("STM", (0.887, 0.974, 0.050), (0.901, 0.952, 0.042)),
    _davis("OnAVOS", (0.861, 0.961, 0.052), (0.849, 0.897, 0.058), t=0.190),
    _davis("RGMP", (0.815, 0.917, 0.109), (0.820, 0.908, 0.101), t=0.133),
    _davis("OSVOS", (0.798, 0.936, 0.149), (0.806, 0.926, 0.150), t=0.378),
    _davis("MSK", (0.797, 0.931, 0.089), (0.754, 0.871, 0.090), t=0.218),
    _davis("OFL", (0.680, 0.756, 0.264), (0.634, 0.704, 0.272), t=0.222),
    _davis("BVS", (0.600, 0.669, 0.289), (0.588, 0.679, 0.213), t=0.347),
    *_only("J&F", XMem=0.915, STCN=0.917),
    PublishedResult(method="R50-AOTL", figures={"J&F": 0.917}),
    PublishedResult(method="R50-DeAOTL", figures={"J&F": 0.923}),
    _davis("MATNet", (0.824, 0.945, 0.055), (0.807, 0.902, 0.045), kind="unsupervised"),
    _davis("HFAN-small", (0.862,), (0.871,), kind="unsupervised"),
    _davis("instance embeddings", (0.785,), (0.755,), kind="unsupervised"),
    _davis("ARP", (0.762, 0.911, 0.070), (0.706, 0.835, 0.079), t=0.393, kind="unsupervised"),
    _davis("LVO", (0.759,), (0.721,), t=0.265, kind="unsupervised"),
    _davis("FSEG", (0.707,), (0.653,), t=0.328, kind="unsupervised"),
    _davis("FST", (0.558,), (0.511,), t=0.366, kind="unsupervised"),
    _davis("NLC", (0.551,), (0.523,), t=0.425, kind="unsupervised"),
)

_DAVIS2017 = (
    _davis("STM", (0.792, 0.887, 0.080), (0.843, 0.918, 0.105)),
    _davis("RGMP", (0.648, 0.741, 0.189), (0.686, 0.778, 0.196)),
    _davis("OSVOS", (0.567, 0.638, 0.261), (0.639, 0.738, 0.270)),
    *_only("J&F", OnAVOS=0.654, XMem=0.862, Cutie_base=0.888),
    PublishedResult(method="OSVOS-S", figures={"J&F": 0.680}),
    PublishedResult(method="SAM 2.1 B+", figures={"J&F": 0.902}),
)

_FBMS = (
    PublishedResult(
        method="instance embeddings",
        kind="unsupervised",
        figures={"F_foreground": 0.828, "J_foreground": 0.719},
    ),
    PublishedResult(method="ARP", kind="unsupervised", figures={"J_foreground": 0.598}),
    PublishedResult(
        method="FST", kind="unsupervised", figures={"F_foreground": 0.692, "J_foreground": 0.555}
    ),
    *(
        PublishedResult(method=name, kind="unsupervised", figures={"F_foreground": value})
        for name, value in {"LVO": 0.778, "MP": 0.775, "CUT": 0.768, "CVOS": 0.749}.items()
    ),
    PublishedResult(method="NLC", kind="unsupervised", figures={"J_foreground": 0.445}),
)

_SEGTRACK = _only(
    "J_mean", LCT=0.776, MaskRNN=0.721, RGMP=0.711, MSK=0.703, OFL=0.675, OSVOS=0.654, BVS=0.584
)

_SEGTRACK_MERGED = tuple(
    PublishedResult(method=name, kind="unsupervised", figures={"J_mean": value})
    for name, value in {
        "NLC": 0.672,
        "instance embeddings": 0.593,
        "LVO": 0.573,
        "FST": 0.543,
    }.items()
)

_JUMPCUT = tuple(
    PublishedResult(method=name, figures={f"error_{d}": e for d, e in errors.items()})
    for name, errors in {
        "RGMP": {8: 4.89, 16: 6.91, 32: 10.3},
        "JumpCut": {8: 7.21, 16: 9.82, 32: 16.2},
        "PLM": {16: 9.55},
        "Discontinuity-aware": {8: 14.8, 16: 23.7, 32: 34.9},
        "SeamSeg": {8: 15.7, 16: 18.9, 32: 27.0},
        "RotoBrush": {8: 20.0, 16: 28.7, 32: 39.9},
    }.items()
)

PUBLISHED: dict[tuple[str, str], tuple[PublishedResult, ...]] = {
    ("davis2016", "val"): _DAVIS2016,
    ("davis2017", "val"): _DAVIS2017,
    ("davis2017", "test-dev"): _only("J&F", STM=0.722, RGMP=0.528, OSVOS=0.509),
    ("fbms", "test"): _FBMS,
    ("segtrack-v2", "objects"): _SEGTRACK,
    ("segtrack-v2", "merged"): _SEGTRACK_MERGED,
    ("jumpcut", "all"): _JUMPCUT,
}


def published_results(benchmark: str, split: str) -> tuple[PublishedResult, ...]:
    """Published results on a split of a benchmark; empty if there are none."""
    return PUBLISHED.get((benchmark, split), ())
