import os
import signal
import threading
import time

import numpy as np
import pytest

import stemlib
from stemlib.synthetic import crystal_image

distributed = pytest.importorskip("distributed", reason="needs distributed, of stemlib[many]")


@pytest.fixture
def client(tmp_path):
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=tmp_path / "dask"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def movie():
    return np.stack(
        [
            crystal_image("square", (96, 96), spacing=8, rotation_deg=seed, seed=seed).image
            for seed in range(6)
        ]
    )


def tables(folder, what):
    return [(folder / name).read_bytes() for name in (f"{what}.csv", "images.csv")]


def test_a_cluster_gives_the_same_tables_to_the_byte(client, movie, tmp_path):
    np.save(tmp_path / "movie.npy", movie)
    np.save(tmp_path / "small.npy", movie[0, :20])
    for source, what in ((tmp_path / "movie.npy", "columns"), ([movie, tmp_path / "small.npy"], "domains")):
        folders = [tmp_path / f"{what}-{where}" for where in ("cluster", "here")]
        options = [{"client": client}, {"workers": 1}]
        for folder, option in zip(folders, options, strict=True):
            if isinstance(source, list):
                with pytest.warns(UserWarning, match="domains need 32 px"):
                    stemlib.batch(source, what, output=folder, pictures=False, **option)
            else:
                stemlib.batch(source, what, output=folder, pictures=False, **option)
        assert tables(folders[0], what) == tables(folders[1], what)
    with pytest.raises(ValueError, match="workers=2 is of no use"):
        stemlib.batch(movie, "domains", output=tmp_path / "other", workers=2, client=client)


def test_a_worker_that_is_lost_costs_nothing(client, movie, tmp_path):
    folder = tmp_path / "lost"

    def lose():
        while not list(folder.rglob("*.json")):
            time.sleep(0.01)
        (pid, *_) = client.run(os.getpid).values()
        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=lose)
    thread.start()
    found = stemlib.batch(movie, "domains", output=folder, client=client)
    thread.join()
    assert len(found.errors) == 0
    assert found.summary["frame"].tolist() == list(range(6))
