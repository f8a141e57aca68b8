"""What the children of `python -m launch` are told: a default for the worker, never against you."""

from launch.__main__ import start_all
from launch.supervisor import Child, Supervisor


class Recorder(Supervisor):
    def start(self, child: Child) -> None:
        self.children.append(child)


def started(**given: str) -> dict[str, Child]:
    recorder = Recorder()
    start_all(recorder, {"MYOPIA_REDIS_URL": "redis://127.0.0.1:1/0", **given})
    return {child.name: child for child in recorder.children}


def test_a_worker_has_one_thread_unless_told_otherwise() -> None:
    assert started()["worker"].environment["OMP_NUM_THREADS"] == "1"
    assert started(OMP_NUM_THREADS="6")["worker"].environment["OMP_NUM_THREADS"] == "6"
    assert "OMP_NUM_THREADS" not in started()["service"].environment
