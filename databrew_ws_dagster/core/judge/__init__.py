"""Judging messages against a stream's definition: strictly, with every reason, without losing one."""

from databrew_ws_dagster.core.judge.judgement import Judgement, KnownRows, Tally
from databrew_ws_dagster.core.judge.judging import judge
from databrew_ws_dagster.core.judge.remarks import Remark

__all__ = ["Judgement", "KnownRows", "Remark", "Tally", "judge"]
