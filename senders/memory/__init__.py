"""A sender that keeps what it is given: for tests, and for nobody's inbox."""
