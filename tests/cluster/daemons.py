"""A SLURM on one machine: its configuration, its daemons, and their end.

Two nodes do the work; two that may die and one that is shared with urgent jobs have partitions of their own, so that
what happens there disturbs nobody else.

Everything listens on ports of 127.0.0.1 that were free and lies in one folder, but for munge's socket and the links in
``/etc/slurm``: the executor's job step drops the variables that would say where else the configuration is.
"""

import contextlib
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ETC = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "slurmdbd.conf")
PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd", "sacctmgr", "sbatch", "srun")
NODES = ("n1", "n2", "n3", "n4", "n5")
WITH_US = ("setpriv", "--pdeathsig")
"""A process ends with the tests, however they end, by the signal that follows."""

GRACE = 20
"""Seconds that a preempted job has to end by itself."""

SLURM_CONF = """
ClusterName=emlc
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ctld}
SlurmUser=root
SlurmdUser=root
AuthInfo=cred_expire=5
CommunicationParameters=block_null_hash
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
GresTypes=gpu
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
SlurmdTimeout=10
KillWait=30
OverTimeLimit=0
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
JobAcctGatherType=jobacct_gather/none
NodeName=n1,n2,n3,n4,n5 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports} CPUs=4 RealMemory=64000 Gres=gpu:2
PartitionName=normal Nodes=n1,n2 Default=YES MaxTime=24:00:00 PreemptMode=OFF
PartitionName=frail Nodes=n3,n4 MaxTime=24:00:00 PreemptMode=OFF
PartitionName=spare Nodes=n5 MaxTime=24:00:00 PriorityTier=1 GraceTime={grace}
PartitionName=urgent Nodes=n5 MaxTime=24:00:00 PriorityTier=10
"""
GRES_CONF = """
AutoDetect=off
NodeName=n1,n2,n3,n4,n5 Name=gpu File={folder}/nvidia[0-1]
"""
SLURMDBD_CONF = """
AuthType=auth/munge
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=slurm
StorageLoc=slurm
"""


def missing() -> str | None:
    """Why no cluster can be brought up here; None if one can."""
    if os.getuid() != 0:
        return "a SLURM of one's own needs root"
    if absent := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"not installed: {', '.join(absent)} (apt-get install slurm-wlm slurmdbd munge mariadb-server)"
    if any((ETC / name).exists() and not (ETC / name).is_symlink() for name in FILES) or succeeds("scontrol", "ping"):
        return f"{ETC} belongs to a SLURM of this machine"
    return None


class Daemons:
    """Processes started here, stopped in the reverse order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *command: str, ready: Callable[[], bool] = lambda: True, **options: Any) -> None:
        """Start a process and wait until it is ready."""
        options |= {"stdin": subprocess.DEVNULL, "start_new_session": True}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([*WITH_US, "TERM", *command], stdout=log, stderr=log, **options)
        self.running[name] = process
        wait_for(lambda: ready() or process.poll() is not None, " ".join(command), self.tail)
        if process.poll() is not None:
            raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}\n{self.tail()}")

    def kill(self, name: str) -> None:
        """End a process as a power cut does."""
        process = self.running.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """Ask all to end, last started first; a deaf one is killed."""
        while self.running:
            _, process = self.running.popitem()
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def tail(self) -> str:
        """The last lines of every log."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{log.name}: {' | '.join(log.read_text(errors='replace').splitlines()[-5:])}" for log in logs)


def wait_for(
    condition: Callable[[], bool], what: str, told: Callable[[], str] = lambda: "", seconds: float = 180
) -> None:
    """Wait until a condition holds.

    Raises
    ------
    TimeoutError
        If it does not within so many seconds.
    """
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {seconds} s for {what}\n{told()}")
        time.sleep(0.1)


def free_ports(number: int) -> list[int]:
    """Return ports of 127.0.0.1 that nothing listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def succeeds(*command: str) -> bool:
    """Whether a command ends with status 0."""
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Daemons]:
    """Bring the cluster up, yield its daemons, and take it down with all its jobs."""
    daemons = Daemons(folder)
    names = ("ctld", "dbd", "database", *NODES)
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    _write_files(folder, ports)
    try:
        _start(daemons, ports)
        yield daemons
        _end_jobs()
    finally:
        daemons.stop()
        for name in FILES:
            (ETC / name).unlink(missing_ok=True)


def _write_files(folder: Path, ports: dict[str, object]) -> None:
    (folder / "state").mkdir()
    for number in (0, 1):
        os.mknod(folder / f"nvidia{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    ports = {**ports, "ports": ",".join(str(ports[node]) for node in NODES)}
    values = {**ports, "folder": folder, "host": socket.gethostname().split(".")[0], "grace": GRACE}
    ETC.mkdir(exist_ok=True)
    for name, text in zip(FILES, (SLURM_CONF, GRES_CONF, SLURMDBD_CONF), strict=True):
        (folder / name).write_text(text.format(**values))
        (folder / name).chmod(0o600 if name == "slurmdbd.conf" else 0o644)
        (ETC / name).unlink(missing_ok=True)  # what tests left that were killed
        (ETC / name).symlink_to(folder / name)


def _start(daemons: Daemons, ports: dict[str, int]) -> None:
    if not succeeds("munge", "-n"):
        _start_munged(daemons)
    _start_database(daemons, ports["database"])
    daemons.start("slurmdbd", "slurmdbd", "-D", ready=lambda: _listens(ports["dbd"]))
    for words in ("cluster emlc", "account lab", "user root account=lab"):
        wait_for(lambda words=words: succeeds("sacctmgr", "-i", "add", *words.split()), f"sacctmgr add {words}")
    daemons.start("slurmctld", "slurmctld", "-D", "-c", ready=lambda: succeeds("scontrol", "ping"))
    for node in NODES:
        start_node(daemons, node)
    wait_for(_all_idle, "all nodes", daemons.tail)


def _start_munged(daemons: Daemons) -> None:
    for folder in ("/run/munge", "/var/log/munge", "/var/lib/munge"):
        Path(folder).mkdir(exist_ok=True, mode=0o755)
        shutil.chown(folder, "munge", "munge")
    daemons.start("munged", "munged", "--foreground", ready=lambda: succeeds("munge", "-n"), user="munge")


def _start_database(daemons: Daemons, port: int) -> None:
    data = daemons.folder / "database"
    with (daemons.folder / "install-db.log").open("wb") as log:
        install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root", "--skip-test-db"]
        subprocess.run(install, stdout=log, stderr=log, check=True)
    own = ["--no-defaults", f"--datadir={data}", f"--socket={data}/socket", "--user=root", "--skip-grant-tables"]
    daemons.start(
        "mariadbd",
        "mariadbd",
        *own,
        "--bind-address=127.0.0.1",
        f"--port={port}",
        f"--pid-file={data}/pid",
        ready=lambda: _listens(port),
    )


def start_node(daemons: Daemons, node: str) -> None:
    """Start a node."""
    daemons.start(node, "slurmd", "-D", "-N", node)


def _all_idle() -> bool:
    told = output_of("sinfo", "-h", "-N", "-o", "%N %T").split("\n")
    return {f"{node} idle" for node in NODES} <= set(told)


def output_of(*command: str) -> str:
    """Return what a command prints, whatever its status."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _end_jobs() -> None:
    subprocess.run(["scancel", "--user=root"], check=False)
    wait_for(lambda: not output_of("squeue", "-h"), "all jobs' end")
