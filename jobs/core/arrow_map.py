"""``DataFrame.mapInArrow`` without pandas.

PySpark 4.3 asks for pandas on the driver before it builds any ``mapInArrow`` plan, although neither the driver nor the
workers use it. Winnow needs no pandas, so it builds the same plan from the same parts. Checked against pyspark 4.3.0
(``pyspark/sql/pandas/map_ops.py``); a test compares the result with what the function gives when it is called directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.pandas.functions import vectorized_udf  # type: ignore[attr-defined]
from pyspark.sql.types import ArrayType, StructField, StructType
from pyspark.util import PythonEvalType

from jobs.core.worker_garbage import skip_lasting_objects

ArrowMap = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def map_in_arrow(frame: DataFrame, function: ArrowMap, schema: StructType | str) -> DataFrame:
    """Each partition's record batches through ``function``; columns of what it yields are taken by position."""
    if isinstance(schema, StructType):  # arrays that Python makes may hold nulls, whatever the input's columns may
        schema = _nullable(schema)

    def in_worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        skip_lasting_objects()
        return function(batches)

    udf = vectorized_udf(in_worker, returnType=schema, functionType=PythonEvalType.SQL_MAP_ARROW_ITER_UDF)
    column = udf(*[frame[name] for name in frame.columns])
    java_frame = frame._jdf.mapInArrow(column._jc, False, None)  # type: ignore[attr-defined]
    return DataFrame(java_frame, frame.sparkSession)


def _nullable(kind: Any) -> Any:
    """The same type with nulls allowed everywhere."""
    if isinstance(kind, StructType):
        return StructType([StructField(field.name, _nullable(field.dataType), True) for field in kind.fields])
    return ArrayType(_nullable(kind.elementType), True) if isinstance(kind, ArrayType) else kind
