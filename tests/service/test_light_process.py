"""The api's own process, in which no framework may be loaded: every deed of a reader must still work there."""

from __future__ import annotations

import subprocess
import sys

from support.stores import held_job

SCRIPT = """
import sys
for name in ("torch", "monai", "diffusers"):
    sys.modules[name] = None  # as medsr.service.child does: an import of it raises
from pathlib import Path
import httpx, anyio
from medsr.jobs.keys import add_key
from medsr.jobs.store import open_store
from medsr.service.api import ApiSettings, create_app

store = open_store(Path(sys.argv[1]))
key = add_key(store, label="A. Reader", scopes=["read", "review", "admin"]).secret

async def read_and_release():
    transport = httpx.ASGITransport(create_app(store, ApiSettings()))
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
        for path in ("models", "policies", "drift", "audit", "audit/verification", "keys"):
            assert (await client.get(f"/v1/{path}")).status_code == 200, path
        assert (await client.get("/metrics")).status_code == 200
        job = (await client.get("/v1/jobs")).json()["jobs"][0]
        assert (await client.get(f"/v1/jobs/{job['id']}/report")).status_code == 200
        body = {"verdict": "released", "reason": "compared", "output_sha256": job["output_sha256"]}
        answer = await client.post(f"/v1/jobs/{job['id']}/decision", json=body, headers={"If-Match": job["etag"]})
        assert answer.json().get("state") == "released", answer.text
        purged = await client.delete(f"/v1/jobs/{job['id']}?purge=1")
        assert purged.status_code == 204, purged.text

anyio.run(read_and_release)
"""


def test_a_reader_decides_in_a_process_without_frameworks(store, tmp_path):
    held_job(store, tmp_path / "out")
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "store")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
