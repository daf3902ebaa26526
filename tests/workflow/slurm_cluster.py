"""A real Slurm on this machine, with nodes and GPUs that it believes in, for the time of a test.

Everything lies in one folder: no file of the system is read or written, so that a Slurm that runs
here already does not notice. Needs the packages of `slurmctld`, `slurmd` and `munged`, and root.
"""

import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

NODES = ("node1", "node2")

_DAEMONS = ("munged", "slurmctld", "slurmd")
_PATIENCE_S = 60.0
_STOP_S = 5.0

_CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU,CR_LLN
SchedulerParameters=sched_interval=1,sched_min_interval=50000,batch_sched_delay=0
MpiDefault=none
MailProg=/bin/true
ReturnToService=2
MinJobAge=300
KillWait=2
SlurmdParameters=config_overrides
GresTypes=gpu
{nodes}
PartitionName=all Nodes={names} Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Job:
    """What Slurm says about a job.

    Attributes:
        comment: Rule and wildcards, as the executor writes them.
        nodes: Where it runs.
        devices: What it was promised, such as a GPU; ``N/A`` if nothing.
    """

    comment: str
    nodes: str
    devices: str


@dataclass(frozen=True)
class SlurmCluster:
    """A running Slurm.

    Attributes:
        environment: Variables with which its commands find it.
    """

    environment: Mapping[str, str]

    def ask(self, *command: str) -> str:
        """Output of a command of Slurm."""
        answer = subprocess.run(command, capture_output=True, text=True, env=dict(self.environment))
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def running_jobs(self) -> dict[str, Job]:
        """The running jobs by number."""
        columns = "JobID:20 ,Comment:100 ,NodeList:40 ,tres-per-job:40"
        rows = self.ask("squeue", "--noheader", "--states=running", f"--Format={columns}")
        jobs = (row.split() for row in rows.splitlines())
        return {number: Job(*words) for number, *words in jobs}

    def wait_until_idle(self) -> None:
        """Wait until all nodes are there and none has a job."""
        deadline = time.monotonic() + _PATIENCE_S
        command = ["sinfo", "--noheader", "--format=%T"]
        while True:
            answer = subprocess.run(
                command, capture_output=True, text=True, env=dict(self.environment)
            )
            if set(answer.stdout.split()) == {"idle"}:
                return
            assert time.monotonic() < deadline, answer
            time.sleep(0.1)


def missing_programs() -> list[str]:
    """What has to be installed before `slurm_cluster` works."""
    return [name for name in _DAEMONS if shutil.which(name) is None]


@contextmanager
def slurm_cluster(folder: Path) -> Iterator[SlurmCluster]:
    """Start Slurm with two nodes, stop it in the end.

    Each has eight CPUs and a GPU, whatever this machine has.

    Args:
        folder: Of its files; nobody else may write to it or the folders above.
    """
    environment = os.environ | {
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": os.pathsep.join([str(folder / "bin"), os.environ["PATH"]]),
    }
    _write_configuration(folder)
    _generate_key(folder / "munge")
    cluster = SlurmCluster(environment)
    daemons = [_munged(folder / "munge"), ["slurmctld", "-D"]]
    daemons += [["slurmd", "-D", "-N", node] for node in NODES]
    with ExitStack() as running:
        for command in daemons:
            running.enter_context(_daemon(command, folder, environment))
        cluster.wait_until_idle()
        yield cluster
        subprocess.run(["scancel", "--user=root"], env=environment, check=True)


def _write_configuration(folder: Path) -> None:
    for name in ("state", "spool", "bin", "munge"):
        (folder / name).mkdir(parents=True)
    (folder / "munge").chmod(0o711)
    host = socket.gethostname().split(".")[0]
    ports = free_ports(1 + len(NODES))
    nodes = [
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port}"
        " CPUs=8 RealMemory=64000 Gres=gpu:1 State=UNKNOWN"
        for node, port in zip(NODES, ports[1:], strict=True)
    ]
    text = _CONFIGURATION.format(
        host=host, ports=ports, folder=folder, nodes="\n".join(nodes), names=",".join(NODES)
    )
    (folder / "slurm.conf").write_text(text)
    (folder / "cgroup.conf").write_text("CgroupAutomount=no\n")
    # any device will do for a GPU
    gpus = [f"NodeName={node} Name=gpu File=/dev/null\n" for node in NODES]
    (folder / "gres.conf").write_text("".join(gpus))
    # The executor calls srun without any of Slurm's variables, as if this were the only Slurm here.
    srun = folder / "bin" / "srun"
    srun.write_text(
        f'#!/bin/sh\nSLURM_CONF="{folder}/slurm.conf" exec {shutil.which("srun")} "$@"\n'
    )
    srun.chmod(0o755)


def _generate_key(folder: Path) -> None:
    key = folder / "key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(128))


def _munged(folder: Path) -> list[str]:
    names = ["key-file", "socket", "pid-file", "log-file", "seed-file"]
    files = [f"--{name}={folder / name.removesuffix('-file')}" for name in names]
    # forced: the folders of a test are closed to other users, which it takes for a mistake
    return ["munged", "--foreground", "--force", *files]


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on just now.

    They lie below those that the system gives to whoever asks for any, such as the next client.
    """
    chance, ports = random.SystemRandom(), set[int]()
    while len(ports) < count:
        port = chance.randrange(10_000, 30_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.add(port)
    return list(ports)


@contextmanager
def _daemon(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    with (folder / "daemons.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(environment))
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
