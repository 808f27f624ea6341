"""Ray Tune on the trials of benchmarks/scaling.py, which sleep: as it comes, and tuned.

Usage: python benchmarks/ray_tune.py [--trials N] [--seconds S] [--workers N] [--tuned]

It needs pandas and more, which this project does not: run it by a Python of its own, in which
`pip install 'ray[tune]'` was said. Ray's own start, and that of the first actors, is left out: the
second half of the trials is timed. Tuned means: an actor replays trial after trial, nothing is
written for TensorBoard or as JSON, and the experiment's state is saved once a minute.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import time
from typing import Any

TUNED = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "60",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=480)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=16)
    parser.add_argument("--tuned", action="store_true")
    said = parser.parse_args()
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    os.environ |= TUNED if said.tuned else {}
    import ray
    from ray import tune

    class Sleeps(tune.Trainable):
        def setup(self, config: dict[str, Any]) -> None:
            """Hold nothing."""

        def step(self) -> dict[str, Any]:
            time.sleep(said.seconds)
            return {"worth": self.config["x"], "done": True}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            return True

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Keep nothing."""

        def load_checkpoint(self, checkpoint: Any) -> None:
            """Keep nothing."""

    ended: list[float] = []

    class Times(tune.Callback):
        def on_trial_complete(self, *about: Any, **more: Any) -> None:
            ended.append(time.perf_counter())

    ray.init(
        address="local",
        num_cpus=said.workers,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    with tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            Sleeps,
            param_space={"x": tune.uniform(0.0, 1.0)},
            tune_config=tune.TuneConfig(
                num_samples=said.trials,
                metric="worth",
                mode="max",
                max_concurrent_trials=said.workers,
                reuse_actors=said.tuned,
            ),
            run_config=tune.RunConfig(storage_path=folder, verbose=0, callbacks=[Times()]),
        )
        tuner.fit()
    ray.shutdown()
    half = said.trials // 2
    took_s, least_s = ended[-1] - ended[half - 1], half * said.seconds / said.workers
    how = "tuned" if said.tuned else "as it comes"
    print(f"Ray Tune {ray.__version__} {how}: {said.trials} trials of {said.seconds} s on ", end="")
    print(
        f"{said.workers} workers, {os.cpu_count()} cores: the second half {took_s:.1f} s, ", end=""
    )
    print(f"{took_s / least_s - 1:.1%} more than {least_s:.1f} s")


if __name__ == "__main__":
    main()
