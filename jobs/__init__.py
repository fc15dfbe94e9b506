"""Spark jobs of Winnow: one file a job; each runs by `spark-submit`, as `winnow NAME`, or imported."""
