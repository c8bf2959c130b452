"""Benchmarks: what Winback costs, against the usual way and against the least that could do it.

Public tools only: PostgreSQL's own statistics (`pg_stat_statements`), the kernel's own memory counts, the `winback`
command. Every figure is a ratio of two things measured in the same run on the same server, the median of at least five,
printed beside its limit.
"""
