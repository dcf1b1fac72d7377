"""The stages in their order; each module has one `run(context) -> StageResult`."""
