"""What the bridge encrypts, vantage6 decrypts, and the other way round."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from integration_tests.vantage6.program import PYTHON
from proxy.vantage6.encryption import Encoding, Encrypted, Plain

_PROGRAM = """
import sys
from pathlib import Path
from vantage6.common.encryption import DummyCryptor, RSACryptor

folder, encrypted = Path(sys.argv[1]), sys.argv[2] == "encrypted"
RSACryptor.create_new_rsa_key(folder / "key.pem")
public_key = RSACryptor(folder / "key.pem").public_key_str
cryptor = RSACryptor(folder / "key.pem") if encrypted else DummyCryptor()
content = (folder / "content").read_bytes()
(folder / "sealed").write_text(cryptor.encrypt_bytes_to_str(content, public_key))
print(public_key, flush=True)
input()
(folder / "read").write_bytes(cryptor.decrypt((folder / "ours").read_text()))
"""


@pytest.mark.parametrize("which", ["encrypted", "plain"])
def test_both_read_what_the_other_wrote(which: str, tmp_path: Path) -> None:
    if not PYTHON.exists():
        message = "there is no .venv-vantage6: `make .venv-vantage6/installed` makes it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    # vantage6 decodes JSON, and only that; more than one piece of it.
    content = json.dumps({"message": "\u00e9" * 300_000}, ensure_ascii=False).encode()
    (tmp_path / "content").write_bytes(content)
    with subprocess.Popen(
        [PYTHON, "-c", _PROGRAM, str(tmp_path), which],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as vantage6:
        assert vantage6.stdin is not None
        assert vantage6.stdout is not None
        public_key = vantage6.stdout.readline().strip()
        ours: Encoding = Encrypted(tmp_path / "key.pem") if which == "encrypted" else Plain()
        assert b"".join(ours.unseal([(tmp_path / "sealed").read_bytes()])) == content
        halves = content[:100_001], content[100_001:]
        (tmp_path / "ours").write_bytes(b"".join(ours.seal(halves, public_key)))
        vantage6.stdin.write("\n")
        vantage6.stdin.close()
        assert vantage6.wait() == 0
    assert (tmp_path / "read").read_bytes() == content
    if isinstance(ours, Encrypted):
        assert ours.reads_for(public_key)
