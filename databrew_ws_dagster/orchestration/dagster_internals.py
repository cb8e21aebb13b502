"""What this project takes from Dagster's private modules; nothing else may import them.

Each is a type of what a public function takes or returns, without a public name in Dagster 1.13. When Dagster moves
one, this is the module to mend.
"""

from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.scheduler.instigation import InstigatorState, TickStatus

__all__ = [
    "AssetCheckEvaluationTargetMaterializationData",
    "FreshnessState",
    "InstigatorState",
    "TickStatus",
    "UnresolvedAssetJobDefinition",
]
