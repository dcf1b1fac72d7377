"""`make bench`: clvpipe beside lifetimes, and a bank with all extracts beside its transactions alone.

Only the ratios are worth quoting: absolute times are of one machine on one day. Exit 1 if a promised ratio
is missed.
"""

import argparse
import sys

from benchmarks import all_extracts, beside_lifetimes


def main() -> int:
    """Run the benchmarks and print the ratios."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="each side's best of so many counts")
    parser.add_argument("--memory", help="upper bound of the engine in the runs with extracts, such as 2GB")
    parser.add_argument("--only", choices=("lifetimes", "extracts"), help="one of the two comparisons")
    options = parser.parse_args()
    missed = 0
    if options.only != "extracts":
        missed += beside_lifetimes.compare(options.customers, options.rounds)
    if options.only != "lifetimes":
        missed += all_extracts.compare(options.customers, options.memory)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
