"""Run the commands again whose figures stand in the documents: python tools/bench.py [NAME ...].

Without a name all of them run, one after the other, hours in all; what can be taken up again is. Figures of speed and
memory are only worth printing on a machine that does nothing else.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MEDSR = (sys.executable, "-m", "medsr.cli.main")
TRAIN_MR = ("ljms_p12_s1_t1w", "ds0011_03_t1", "uih_a_t1_1mm_top", "prostatex_0000_t2_tra")
TRAIN_CT = ("a027284_a", "tcga-17-z031_a", "tcga-51-6867_a")


@dataclass(frozen=True)
class Bench:
    """A command and the file its figures go to; scans tells whether it needs the data pack."""

    writes: str
    command: tuple[str, ...]
    scans: bool = True


def benches(data: Path) -> dict[str, Bench]:
    """Every command, in the order in which later ones use what earlier ones wrote."""
    only = [part for name in (*TRAIN_MR, *TRAIN_CT) for part in ("--only", name)]
    train = (str(data / "train" / "mri"), str(data / "train" / "ct" / "single"))
    peers = "validation/evaluation/peers.toml"
    tune = (*MEDSR, "evaluate", *train, "--tune", "--slices", "1", "--window", "96", "--peers", "all", *only)
    run = ("--slices", "2", "--window", "160", "--peers", "all", "--best-nlm", "--resume", "-o")
    found: dict[str, Bench] = {"peers": Bench(peers, (*tune, "-o", peers))}
    for name, skipped in (("mri", "fruit_t1_ood"), ("ct", "dose_pair_l506_quarter")):
        scans, page, tables = str(data / "dev" / name), f"docs/evaluation-{name}.md", f"build/challenge-{name}.md"
        found[f"evaluation-{name}"] = Bench(page, (*MEDSR, "evaluate", scans, *run, page))
        keep = ("--evidence", "validation/evidence", "-o", tables)
        found[f"challenge-{name}"] = Bench(tables, (*MEDSR, "challenge", scans, "--skip", skipped, *keep))
        records, fold_a = "validation/calibration", str(data / "train" / name)
        calibrate = (*MEDSR, "calibrate", str(data / "calib" / name), "--fold-a", fold_a, "-o", records)
        found[f"calibration-{name}"] = Bench(records, calibrate)
    gan, page = str(data / "dev" / "ct" / "published_gan"), "docs/published-gan.md"
    found["published"] = Bench(page, (sys.executable, "-m", "medsr.evaluate.published", gan, "-o", page))
    return found | {
        "memory": Bench("the terminal", (sys.executable, "tools/measure_memory.py"), scans=False),
    }


def main() -> None:
    """Run the named benches and say what each took; stop at the first that fails."""
    data = Path(os.environ.get("MEDSR_DATA") or ROOT.parent / "shared" / "data")
    known = benches(data)
    names = sys.argv[1:] or list(known)
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.exit(f"no bench is called {', '.join(unknown)}; there are {', '.join(known)}")
    for name in names:
        bench = known[name]
        if bench.scans and not data.is_dir():
            print(f"{name}: left out, MEDSR_DATA names no folder of scans")
            continue
        script = next((part for part in bench.command if part.endswith(".py")), None)
        if script and not (ROOT / script).is_file():
            print(f"{name}: left out, {script} is not there")
            continue
        print(f"{name}: {shlex.join(bench.command)}", flush=True)
        started = time.monotonic()
        code = subprocess.run(bench.command, cwd=ROOT, check=False).returncode
        print(f"{name}: exit {code} after {(time.monotonic() - started) / 60:.1f} min; figures in {bench.writes}")
        if code:
            sys.exit(code)


if __name__ == "__main__":
    main()
