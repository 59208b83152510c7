"""Verify what a job store promises, from the outside: this program imports nothing of medsr.

python checker.py STORE --sent LEDGER [--received LEDGER] [--kills LEDGER] [--settled] [--recovery-s S] [--attempts N]

STORE is the folder of a store at rest (SQLite). The sender's ledger has a line {"job", "input", "at"} for each job
that was acknowledged, the receiver's {"job", "name", "sha256", "kind"} for each file that was read, the kills'
{"at", "what"}. Database and write-ahead log are copied before they are opened: what a kill left is not touched.
Prints one JSON object with every violation by promise (P1 to P5); exit code 1 if there is any.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import shutil
import sqlite3
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

ENDED = {"released", "review", "rejected", "blocked", "withdrawn", "failed", "cancelled", "superseded", "purged"}
JUDGED = {"released", "review", "rejected", "withdrawn"}
VISIBLE = {"released"}
DELIVERED = {"image", "sidecar", "record", "report", "release"}
"""A view for the page is no file of the result; its bytes are checked as an artefact's."""


def lines(path: Path | None) -> list[dict]:
    """The complete lines of a ledger; a last one that a kill cut short was never acknowledged."""
    if path is None or not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1] if line]


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Store:
    """Rows of a copied database, and the folder of its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken: list[str] = []
        with tempfile.TemporaryDirectory() as place:
            for name in ("medsr.sqlite", "medsr.sqlite-wal"):
                if (folder / name).exists():
                    shutil.copy(folder / name, place)
            connection = sqlite3.connect(Path(place) / "medsr.sqlite")
            connection.row_factory = sqlite3.Row
            check = connection.execute("PRAGMA integrity_check").fetchone()[0]
            if check != "ok":
                self.broken.append(f"integrity check: {check}")
            self.rows = {
                name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]  # noqa: S608 -- names of this file
                for name in ("job", "event", "artefact", "input", "result", "gate", "decision", "outbox", "audit")
            }
            connection.close()
        self.jobs = {row["id"]: row for row in self.rows["job"]}
        self.hashes: dict[str, str | None] = {}

    def file(self, sha256: str) -> Path:
        return self.folder / "sha256" / sha256[:2] / sha256

    def holds(self, sha256: str) -> bool:
        """Whether the file is there and hashes to its name."""
        if sha256 not in self.hashes:
            path = self.file(sha256)
            self.hashes[sha256] = sha256_of(path) if path.is_file() else None
        return self.hashes[sha256] == sha256

    def results(self, job: str) -> dict[str, str]:
        """The files of a job that can be read."""
        rows = (row for row in self.rows["result"] if row["job"] == job and row["kind"] in DELIVERED)
        return {row["name"]: row["sha256"] for row in rows}

    def events(self, job: str) -> list[dict]:
        found = sorted((row for row in self.rows["event"] if row["job"] == job), key=lambda row: row["seq"])
        return [{**row, "data": json.loads(row["data"])} for row in found]


def p1(store: Store, sent: list[dict], *, settled: bool) -> list[str]:
    """Nothing acknowledged is lost."""
    return [*store.broken, *lost(store, sent, settled=settled), *rotten(store)]


def lost(store: Store, sent: list[dict], *, settled: bool) -> list[str]:
    bad = []
    for entry in sent:
        job = store.jobs.get(entry["job"])
        if job is None:
            bad.append(f"job {entry['job']} was acknowledged and is not there")
            continue
        if job["input_sha256"] != entry["input"]:
            bad.append(f"job {entry['job']} has another input than was sent")
        if job["state"] != "purged" and not store.holds(entry["input"]):
            bad.append(f"the input of job {entry['job']} is not whole")
        if settled and job["state"] not in ENDED:
            bad.append(f"job {entry['job']} is still {job['state']}")
        if not any(row["deed"] == "submit" and entry["job"] in str(row.values()) for row in store.rows["audit"]):
            bad.append(f"job {entry['job']} was acknowledged and is not in the audit")
    return bad


def rotten(store: Store) -> list[str]:
    """Rows of files that are not whole, files that are not what their name says, events that are missing."""
    kept = [row["sha256"] for row in store.rows["artefact"] if row["state"] == "kept"]
    bad = [f"artefact {sha[:12]} is said to be kept and is not whole" for sha in kept if not store.holds(sha)]
    files = (store.folder / "sha256").glob("??/*")
    bad += [f"file {path.name[:12]} does not hash to its name" for path in files if path.name != sha256_of(path)]
    for job, rows in _by_job(store.rows["event"]).items():
        if sorted(row["seq"] for row in rows) != list(range(1, len(rows) + 1)):
            bad.append(f"events of job {job} have gaps")
    return bad


def p2(store: Store, received: list[dict]) -> list[str]:
    """Nothing unjudged leaves."""
    bad = []
    for identity, job in store.jobs.items():
        if job["state"] not in JUDGED:
            continue
        files = store.results(identity)
        output = output_hash(files)
        if output != job["output_sha256"]:
            bad.append(f"the files of job {identity} are not those of its output hash")
        bad += [f"file {name} of job {identity} is not whole" for name, sha in files.items() if not store.holds(sha)]
        if job["state"] in VISIBLE and not cleared(store, identity, output):
            bad.append(f"job {identity} is released without a gate pass or a signed approval of its output")
        bad += disagreements(store, identity, job, files)
    for entry in received:
        job = store.jobs.get(entry["job"], {})
        if job.get("state") not in VISIBLE | {"withdrawn", "superseded", "purged"} and entry["kind"] != "report":
            bad.append(f"{entry['name']} of job {entry['job']} was read while it was {job.get('state')}")
        elif store.results(entry["job"]).get(entry["name"]) != entry["sha256"]:
            bad.append(f"{entry['name']} of job {entry['job']} was read with other bytes than were judged")
    return bad


def output_hash(files: dict[str, str]) -> str:
    """What sha256sum prints for the files, hashed."""
    text = "".join(f"{files[name]}  {name}\n" for name in sorted(files) if name != "release.json")
    return hashlib.sha256(text.encode()).hexdigest()


def cleared(store: Store, job: str, output: str) -> bool:
    gates = [row for row in store.rows["gate"] if row["job"] == job and row["output_sha256"] == output]
    decisions = [row for row in store.rows["decision"] if row["job"] == job and row["output_sha256"] == output]
    passed = any(row["word"] == "released" for row in gates)
    approved = gates and any(row["verdict"] == "released" for row in decisions)
    return bool(passed or approved)


def disagreements(store: Store, identity: str, job: dict, files: dict[str, str]) -> list[str]:
    """What the written record and report say against what the rows say."""
    bad = []
    if "report.json" in files and store.holds(files["report.json"]):
        word = json.loads(store.file(files["report.json"]).read_bytes())["gate"]["word"]
        if word != job["verdict"]:
            bad.append(f"the report of job {identity} says {word}, its row {job['verdict']}")
    for name, sha in files.items():
        if not name.endswith(".medsr.json") or not store.holds(sha):
            continue
        record = json.loads(store.file(sha).read_bytes())
        folder = name.rpartition("/")[0]
        for file, stated in record["files"].items():
            if files.get(f"{folder}/{file}" if folder else file) != stated:
                bad.append(f"{file} of job {identity} is not what its signed record says")
        if not signature_holds(record):
            bad.append(f"the record of job {identity} is not signed by its key")
        if record["input_sha256"] != job["input_sha256"]:
            bad.append(f"the record of job {identity} is of another input")
    return bad


def signature_holds(record: dict) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    body = {name: value for name, value in record.items() if name != "signature"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(record["public_key"]))
    try:
        key.verify(base64.b64decode(record["signature"]), text)
    except InvalidSignature:
        return False
    return True


def p3(store: Store, received: list[dict]) -> list[str]:
    """No result is published twice; one name never has two contents."""
    bad = []
    published = Counter(row["object"] for row in store.rows["audit"] if row["deed"] == "publish" and judged(row))
    bad += [f"job {job} was published {count} times" for job, count in published.items() if count > 1]
    gates = Counter(row["job"] for row in store.rows["gate"])
    bad += [f"job {job} has {count} gate rows" for job, count in gates.items() if count > 1]
    for job in store.jobs:
        states = [event["data"]["state"] for event in store.events(job) if event["kind"] == "state"]
        firsts = [state for state in states if state in {"review", "rejected"}]
        if states.count("released") > 1 or len(firsts) > 2:
            bad.append(f"job {job} went through {states}")
    contents = defaultdict(set)
    for entry in received:
        contents[entry["job"], entry["name"]].add(entry["sha256"])
    bad += [
        f"{name} of job {job} was read with {len(found)} contents"
        for (job, name), found in contents.items()
        if len(found) > 1
    ]
    return bad


def judged(row: dict) -> bool:
    return json.loads(row["data"]).get("state") in JUDGED | {"blocked"}


def p4(store: Store) -> list[str]:
    """Delivered means proof."""
    return [
        f"outbox {row['id']} is delivered without proof"
        for row in store.rows["outbox"]
        if row["state"] == "delivered" and not row["proof"]
    ]


def p5(store: Store, kills: list[dict], *, recovery_s: float, attempts: int) -> list[str]:
    """Work goes on soon after the last kill, and no job is tried more often than it may be."""
    bad = []
    for identity, job in store.jobs.items():
        if job["attempts"] > attempts:
            bad.append(f"job {identity} was tried {job['attempts']} times")
        if job["state"] == "failed" and not job["reason"]:
            bad.append(f"job {identity} failed without a reason")
    last = max((kill["at"] for kill in kills), default=None)
    after = [row["at"] for row in store.rows["event"] if last is not None and row["at"] > last]
    if last is not None and (not after or min(after) - last > recovery_s):
        bad.append(f"nothing happened for {recovery_s} s after the last kill")
    return bad


def _by_job(rows: list[dict]) -> dict[str, list[dict]]:
    found: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        found[row["job"]].append(row)
    return found


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type=Path)
    parser.add_argument("--sent", type=Path, required=True)
    parser.add_argument("--received", type=Path)
    parser.add_argument("--kills", type=Path)
    parser.add_argument("--settled", action="store_true")
    parser.add_argument("--recovery-s", type=float, default=30.0)
    parser.add_argument("--attempts", type=int, default=3)
    given = parser.parse_args()
    store, sent, received, kills = Store(given.store), lines(given.sent), lines(given.received), lines(given.kills)
    bad = {
        "P1": p1(store, sent, settled=given.settled),
        "P2": p2(store, received),
        "P3": p3(store, received),
        "P4": p4(store),
        "P5": p5(store, kills, recovery_s=given.recovery_s, attempts=given.attempts),
    }
    states = dict(Counter(job["state"] for job in store.jobs.values()))
    figures = {"sent": len(sent), "received": len(received), "kills": len(kills), "states": states}
    print(json.dumps({"violations": bad, **figures}, indent=1))  # noqa: T201 -- its result
    return int(any(bad.values()))


if __name__ == "__main__":
    sys.exit(main())
