"""Pure numerics: arrays in, arrays out. Nothing here reads, writes, logs or raises on a customer."""
