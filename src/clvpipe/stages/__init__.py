"""The six stages, each a module with one `run(context) -> StageResult`, and what they are made of."""
