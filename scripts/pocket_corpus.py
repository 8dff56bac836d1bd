"""Writes text of the kind that the models in the box were trained on, one JSON object per line, to be streamed.

python scripts/pocket_corpus.py pocket.jsonl --documents 20000
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from interp_lab.corpus.mixture import documents
from interp_lab.corpus.splits import Split


def main(arguments: Sequence[str]) -> int:
    """Write the documents; seeds other than the models' own give text that they were not trained on."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=77)
    chosen = parser.parse_args(arguments)
    with chosen.out.open("w", encoding="utf-8") as file:
        for number, document in enumerate(islice(documents(Split.TRAIN, chosen.seed), chosen.documents)):
            file.write(json.dumps({"id": f"document-{number}", "text": document.text}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
