"""A process is gone, or alive, only if that is certain. A look that failed proves nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from app.conversation.run import Owner
from app.runtime.process_identity import MACHINES_PROCESSES, probe, this_process
from tests.harness.process import eventually

HERE = this_process()
BOOT, _, NAME_SPACE = HERE.boot.partition("/")
SIBLING = replace(HERE, pid=os.getppid(), started="1")  # exists, but with another start time
NO_PROCESS = 2**22 + 1  # Linux has no process ids above 2**22

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
pytestmark = linux


def _child(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=os.getcwd()
    )


def _owner_of(pid: int) -> Owner:
    stat = Path(f"/proc/{pid}/stat").read_text()
    return replace(HERE, pid=pid, started=stat.rpartition(")")[2].split()[19])


def test_this_process_is_alive() -> None:
    assert HERE.pid == os.getpid()
    assert HERE.started
    assert probe(HERE, seen_from=HERE) == "alive"


def test_a_process_that_has_ended_is_gone_even_before_its_exit_code_is_fetched() -> None:
    process = _child("input()")
    owner = _owner_of(process.pid)
    assert probe(owner, seen_from=HERE) == "alive"
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.read()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert probe(owner, seen_from=HERE) == "gone"
    process.wait()
    process.stdout.close()
    assert probe(owner, seen_from=HERE) == "gone"


def test_a_process_id_that_is_in_use_again_is_another_process() -> None:
    assert probe(SIBLING, seen_from=HERE) == "gone"


GONE = replace(HERE, pid=NO_PROCESS)


@pytest.mark.parametrize(
    ("owner", "seen_from"),
    [
        (replace(GONE, host="another-host"), HERE),
        (replace(GONE, boot=f"{BOOT}/pid:[1]"), HERE),
        (replace(GONE, boot=f"{BOOT}/"), HERE),
        (replace(GONE, boot=f"/{NAME_SPACE}"), HERE),
        (replace(GONE, boot="/"), HERE),
        (GONE, replace(HERE, boot="/")),
        (GONE, replace(HERE, boot=f"{BOOT}/")),
        (replace(GONE, boot="/"), replace(HERE, boot="/")),  # as without /proc
        (replace(GONE, boot=f"{BOOT[:8]}/{NAME_SPACE}"), HERE),  # the same beginning only
        (replace(SIBLING, started=""), HERE),
        (replace(GONE, pid=0), HERE),
        (replace(GONE, pid=-1), HERE),
        (replace(GONE, pid=2**70), HERE),
    ],
)
def test_what_was_not_read_or_is_of_another_place_proves_nothing(owner: Owner, seen_from: Owner) -> None:
    seen_from = replace(seen_from, host="a-host/")
    owner = replace(owner, host=owner.host if owner.host == "another-host" else seen_from.host)
    assert probe(owner, seen_from=seen_from) == "unknown"


@pytest.mark.parametrize(
    ("machine_id", "name_space", "expected"),
    [
        ("0123456789ab", MACHINES_PROCESSES, "gone"),
        ("", MACHINES_PROCESSES, "unknown"),
        ("uninitialize", MACHINES_PROCESSES, "unknown"),  # systemd's text before it has one
        ("0123456789ab", "pid:[4026532200]", "unknown"),  # a container has its image's machine-id
        ("0123456789ab", "", "unknown"),
    ],
)
def test_a_machine_that_was_started_anew_has_none_of_its_old_processes(
    machine_id: str, name_space: str, expected: str
) -> None:
    host = f"a-host/{machine_id}"
    owner = replace(HERE, host=host, boot=f"an-earlier-boot/{name_space}")
    assert probe(owner, seen_from=replace(HERE, host=host, boot=f"{BOOT}/{name_space}")) == expected


# ---- a /proc that shows less than there is, or something else


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of what is read of this machine."""
    for name in ("etc/machine-id", "proc/sys/kernel/random/boot_id", "proc/self/stat"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        source = Path("/", name)
        (tmp_path / name).write_bytes(source.read_bytes() if source.exists() else b"")
    (tmp_path / "proc/self/ns").mkdir()
    (tmp_path / "proc/self/ns/pid").symlink_to(NAME_SPACE)
    (tmp_path / "proc/self").rename(tmp_path / "proc" / str(os.getpid()))
    (tmp_path / "proc/self").symlink_to(str(os.getpid()))
    return tmp_path


def test_the_copy_says_what_the_machine_says(root: Path) -> None:
    assert this_process(root) == HERE


def test_a_process_that_proc_hides_is_not_gone(root: Path) -> None:
    """As with the mount option hidepid: the kernel still knows it."""
    assert probe(SIBLING, seen_from=HERE, root=root) == "unknown"
    assert probe(GONE, seen_from=HERE, root=root) == "gone"


def test_proc_of_another_name_space_says_nothing_of_the_processes_of_this_one(root: Path) -> None:
    (root / "proc/self").unlink()
    (root / "proc/self").symlink_to("12345")
    shutil.copytree(f"/proc/{os.getppid()}", root / "proc" / str(SIBLING.pid), ignore=_all_but_stat)
    assert probe(SIBLING, seen_from=HERE, root=root) == "unknown"


def _all_but_stat(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name != "stat"]


@pytest.mark.parametrize(
    "stat",
    ["", "1 (x", "1 (x) S 1 2 3", "\0"],
    ids=["empty", "cut", "short", "nothing"],
)
def test_a_stat_that_can_not_be_understood_proves_nothing(root: Path, stat: str) -> None:
    there = root / "proc" / str(SIBLING.pid)
    there.mkdir()
    (there / "stat").write_text(stat)
    assert probe(SIBLING, seen_from=HERE, root=root) == "unknown"


def test_a_name_of_any_bytes_does_not_hinder(root: Path) -> None:
    there = root / "proc" / str(SIBLING.pid)
    there.mkdir()
    (there / "stat").write_bytes(b"1 (\xff) \xfe) S " + b" ".join(b"%d" % number for number in range(1, 40)))
    assert probe(replace(SIBLING, started="19"), seen_from=HERE, root=root) == "alive"


@pytest.mark.parametrize(
    "missing", ["etc/machine-id", "proc/sys/kernel/random/boot_id", "proc/self/ns/pid", "proc/self/stat"]
)
def test_a_process_that_could_not_read_something_of_itself_does_not_look_dead(
    root: Path, missing: str
) -> None:
    (root / missing).unlink()
    half_known = this_process(root)
    assert half_known != HERE or missing == "etc/machine-id"
    sibling = replace(HERE, pid=os.getppid(), started=_owner_of(os.getppid()).started)
    assert probe(half_known, seen_from=sibling) in ("unknown", "alive")
    assert probe(sibling, seen_from=half_known) in ("unknown", "alive")
    assert probe(half_known, seen_from=half_known) == "alive"


# ---- a process without descriptors, without rights

WITHOUT_DESCRIPTORS = """
import json, os, resource, sys
from dataclasses import replace
from app.conversation.run import Owner
from app.runtime.process_identity import probe, this_process

here = this_process()
living, dead = (Owner(**each) for each in json.loads(sys.stdin.readline()))
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, 64))
try:
    os.open("/", os.O_RDONLY)
except OSError as error:
    assert error.errno == 24, error
else:
    raise AssertionError("a descriptor is left")
print(json.dumps([probe(owner, seen_from=here) for owner in (here, living, dead)]))
later = this_process()
print(json.dumps([later.boot.partition("/")[0], later.started, probe(later, seen_from=here)]))
"""


def test_a_process_without_a_descriptor_left_declares_no_sibling_dead() -> None:
    process = _child(WITHOUT_DESCRIPTORS)
    out, _ = process.communicate(json.dumps([asdict(HERE), asdict(GONE)]).encode() + b"\n", timeout=30)
    first, second = (json.loads(line) for line in out.splitlines())
    assert first == ["alive", "unknown", "gone"]
    boot, started, itself = second
    assert (boot, started) == ("", ""), "it can't read anything of itself now"
    assert itself == "unknown"


@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
def test_a_process_of_another_user_is_alive() -> None:
    code = (
        "import os, sys, json\n"
        "from app.conversation.run import Owner\n"
        "from app.runtime.process_identity import probe, this_process\n"
        "os.setuid(65534)\n"
        "print(probe(Owner(**json.loads(sys.stdin.readline())), seen_from=this_process()))\n"
    )
    out, _ = _child(code).communicate(json.dumps(asdict(HERE)).encode() + b"\n", timeout=30)
    assert out.decode().strip() == "alive"


def _can_unshare() -> bool:
    tool = shutil.which("unshare")
    return tool is not None and subprocess.run([tool, "--pid", "--fork", "true"], check=False).returncode == 0


@pytest.mark.skipif(not _can_unshare(), reason="makes a process-id name space")
@pytest.mark.parametrize("mounted", [[], ["--mount-proc"]], ids=["the machine's /proc", "its own /proc"])
def test_a_container_judges_no_process_of_its_machine(mounted: list[str]) -> None:
    code = (
        "import sys, json\n"
        "from app.conversation.run import Owner\n"
        "from app.runtime.process_identity import probe, this_process\n"
        "here = this_process()\n"
        "print(json.dumps([probe(Owner(**json.loads(sys.stdin.readline())), seen_from=here), here.started]))\n"
    )
    command = ["unshare", "--pid", "--fork", *mounted, sys.executable, "-c", code]
    process = subprocess.run(
        command, input=json.dumps(asdict(GONE)).encode(), stdout=subprocess.PIPE, check=True
    )
    found, started = json.loads(process.stdout)
    assert found == "unknown"
    assert started, "its own start time is its own, whatever /proc is mounted"


def test_a_stopped_process_is_alive() -> None:
    process = _child("input()")
    try:
        owner = _owner_of(process.pid)
        os.kill(process.pid, 19)
        eventually(lambda: _state(process.pid) == "T", "it is stopped")
        assert probe(owner, seen_from=HERE) == "alive"
    finally:
        process.kill()
        process.communicate()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
