"""The way in: a first configuration, a look at what is there, and what a run would do."""
