"""How a process learns its place in a job: from the environment that torchrun, Slurm or MPI leave it."""

import os
import re
import shutil
import subprocess
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from ofhkit.errors import OfhkitError, did_you_mean

LAUNCHERS = ("none", "pytorch", "slurm", "mpi")
_VARIABLES = {  # rank, number of processes, rank on its machine; the first set that is complete
    "pytorch": [("RANK", "WORLD_SIZE", "LOCAL_RANK")],
    "slurm": [("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")],  # of srun's step, not of the allocation
    "mpi": [
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
        ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"),
    ],
}
_STARTED_BY = {
    "pytorch": "torchrun --nproc_per_node N -m ofhkit train … --launcher pytorch",
    "slurm": "srun -n N ofhkit train … --launcher slurm",
    "mpi": "mpirun -n N ofhkit train … --launcher mpi",
}


@dataclass(frozen=True)
class RankInfo:
    """A process's rank, the number of processes, its rank on this machine, and where rank 0 listens.

    ``attempt`` tells the processes that torchrun has started again from those before.
    """

    rank: int
    world_size: int
    local_rank: int
    host: str
    port: str
    attempt: int = 0

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def write_environment(self) -> None:
        """Set the variables that torch's rendezvous reads."""
        os.environ.update(MASTER_ADDR=self.host, MASTER_PORT=self.port)
        os.environ.update(RANK=str(self.rank), WORLD_SIZE=str(self.world_size), LOCAL_RANK=str(self.local_rank))


def find_rank(launcher: str, environment: Mapping[str, str] | None = None) -> RankInfo:
    """Read this process's place from what ``launcher`` set.

    Raises:
        OfhkitError: no such launcher, it did not start this process, or rank 0's machine is unknown.

    >>> find_rank('pytorch', dict(RANK='1', WORLD_SIZE='2', LOCAL_RANK='1', MASTER_PORT='29500')).address
    '127.0.0.1:29500'
    """
    if launcher not in _VARIABLES:
        raise OfhkitError(f"--launcher: no launcher {launcher!r}; {did_you_mean(launcher, LAUNCHERS)}")
    given = os.environ if environment is None else environment
    names = next((n for n in _VARIABLES[launcher] if all(v in given for v in n)), None)
    if names is None:
        missing = next(v for v in _VARIABLES[launcher][0] if v not in given)
        raise OfhkitError(
            f"--launcher {launcher}: this process was not started by it ({missing} is not set); "
            f"start with {_STARTED_BY[launcher]}, or leave --launcher out"
        )
    rank, total, local = (int(given[name]) for name in names)
    host = given.get("MASTER_ADDR") or (_first_host(given) if launcher == "slurm" else None)
    several_machines = launcher == "mpi" and given.get("OMPI_COMM_WORLD_LOCAL_SIZE", str(total)) != str(total)
    if host is None and several_machines:
        raise OfhkitError("--launcher mpi on several machines: set MASTER_ADDR to the address of rank 0's machine")
    port = given.get("MASTER_PORT") or _port(launcher, given)
    attempt = int(given.get("TORCHELASTIC_RESTART_COUNT", 0)) if launcher == "pytorch" else 0
    return RankInfo(rank, total, local, host or "127.0.0.1", port, attempt)


def _port(launcher: str, given: Mapping[str, str]) -> str:
    """A port that the processes of a job find and no other job on the machine: from its number with the launcher."""
    if launcher == "mpi":
        number = zlib.crc32(given.get("PMIX_NAMESPACE", given.get("PMI_JOBID", "")).encode())
    else:
        number = int(given.get("SLURM_JOB_ID", 9500)) + 7919 * int(given.get("SLURM_STEP_ID", 0))
    return str(20000 + number % 20000)


def _first_host(given: Mapping[str, str]) -> str | None:
    """The first machine of Slurm's list, which it writes as ``node[03-05,9]``."""
    nodes = given.get("SLURM_JOB_NODELIST") or given.get("SLURM_NODELIST")
    if nodes is None:
        return None
    if shutil.which("scontrol"):
        done = subprocess.run(["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            return done.stdout.split()[0]
    match = re.match(r"([^,\[]+)(?:\[([^,\-\]]+))?", nodes)
    return match[1] + (match[2] or "") if match else None
