"""Opening a store and reading numbers from it costs no heavy import; tables bring pyarrow when they are read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

READ = """
import sys
from pathlib import Path
from interp_lab.store.reader import open_store
from interp_lab.store.locate import open_store_artifact
from interp_lab.store.writer import StoreWriter
store = open_store(Path(sys.argv[1]))
store.dense("resid_post.2").take([3, 1]), store.codes("resid_post.2/sae").latent(4)
next(store.batches(["resid_post.2"], 8, seed=0))
print(*sorted({"torch", "pyarrow", "transformers", "scipy", "pandas"} & set(sys.modules)))
store.prompts()
print("pyarrow" in sys.modules)
"""


def test_reading_numbers_imports_neither_torch_nor_pyarrow(tmp_path: Path, given: Callable) -> None:
    folder = given().write(tmp_path / "store")
    done = subprocess.run([sys.executable, "-c", READ, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["", "True"]


def test_arithmetic_on_tables_is_there_though_nothing_else_has_asked_for_it() -> None:
    program = "from interp_lab.store.arrow import arrow\nprint(arrow().compute.sum([1, 2]).as_py())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "3", done.stderr[-500:]
