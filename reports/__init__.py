"""The report pages: one a run, one over the days. They show what the `rpt_` views say and add nothing up themselves."""
