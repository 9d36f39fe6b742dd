"""Evaluation of masks: the measures and the scoring rules of the field's benchmarks.

    from rotomask.evaluation import evaluate_results, open_benchmark, score_sequence

    dataset = open_benchmark("davis2016", "DAVIS").select(["dog", "cows"])
    result = evaluate_results(dataset, "masks")         # masks/dog/00000.png, ...
    result.figures["J&F"], result.figures["J_mean"]
    result.to_json("figures.json")

    score = score_sequence(predictions, truths)         # H×W labels in memory, all frames
    score.figures["J&F"]

    print(compare("a.json", "b.json"))                  # is the difference significant?

The measures are pure functions of boolean masks: `region_similarity` (J), `boundary_accuracy` (F),
`temporal_stability` (T) and `transfer_error` (JumpCut). `rotomask.evaluation.reports` writes
tables and pages.
"""

from rotomask.evaluation.benchmarks import BENCHMARKS, get_benchmark, open_benchmark
from rotomask.evaluation.comparison import Comparison, compare
from rotomask.evaluation.in_memory import score_sequence
from rotomask.evaluation.measures.boundary import boundary_accuracy, boundary_map, tolerance_px
from rotomask.evaluation.measures.region import region_similarity
from rotomask.evaluation.measures.stability import temporal_stability
from rotomask.evaluation.measures.statistics import Statistics, summarize
from rotomask.evaluation.protocols.jumpcut import transfer_error
from rotomask.evaluation.protocols.tracks import TrackProtocol
from rotomask.evaluation.results import (
    EvaluationResult,
    ObjectScore,
    SequenceScore,
    read_result,
)
from rotomask.evaluation.scoring import evaluate_results

__all__ = [
    "BENCHMARKS",
    "Comparison",
    "EvaluationResult",
    "ObjectScore",
    "SequenceScore",
    "Statistics",
    "TrackProtocol",
    "boundary_accuracy",
    "boundary_map",
    "compare",
    "evaluate_results",
    "get_benchmark",
    "open_benchmark",
    "read_result",
    "region_similarity",
    "score_sequence",
    "summarize",
    "temporal_stability",
    "tolerance_px",
    "transfer_error",
]
