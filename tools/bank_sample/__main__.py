"""`python -m tools.bank_sample`: write the sample and its truth."""

import argparse
import sys
from pathlib import Path

from tools.bank_sample.sample import make_sample

REPOSITORY = Path(__file__).parents[2]


def main() -> None:
    """Write both folders anew."""
    parser = argparse.ArgumentParser(prog="python -m tools.bank_sample", description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "data" / "sample" / "bank")
    parser.add_argument("--truth", type=Path, default=REPOSITORY / "tests" / "data" / "bank_truth")
    options = parser.parse_args()
    sample = make_sample()
    for folder, files in ((options.out, sample.shipped), (options.truth, sample.truth)):
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob("*.csv.gz"):
            stale.unlink()
        size = sum(file.write(folder) for file in files)
        sys.stdout.write(f"{len(files)} files, {size:,} bytes in {folder}\n")


if __name__ == "__main__":
    main()
