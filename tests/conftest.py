"""Settings for all tests: one thread, no network, and the real data where it is present."""

import asyncio
import importlib.util
import os
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")

from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("exported", "lossless")  # whose assertions then show what they compared

# The same examples in the same modules (some are constants of what is imported); HYPOTHESIS=explore looks for new ones.
settings.register_profile("fast", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("explore", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS", "fast"))

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real datasets; skips the test where it is absent."""
    if not REAL.is_dir():
        pytest.skip(f"the real datasets are not here ({REAL})")
    return REAL


@pytest.fixture(scope="session")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All products of two 2-digit numbers as lines `12*34=408`."""
    path = tmp_path_factory.mktemp("data") / "mul.txt"
    path.write_text("".join(f"{a}*{b}={a * b}\n" for a in range(100) for b in range(100)))
    return path


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub on loopback that knows one token, and the clients of this process that go there with it. Nothing waits."""
    import huggingface_hub.constants as client
    from datasets import config
    from hub import TOKEN, serving

    with serving(tmp_path / "hub", {TOKEN}) as served:
        address, home = served.endpoint, tmp_path / "home"
        of_client = {
            "ENDPOINT": address,
            "HUGGINGFACE_CO_URL_TEMPLATE": address + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(home / "hub"),
            "HF_TOKEN_PATH": str(home / "token"),
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
        }
        of_datasets = {
            "HF_ENDPOINT": address,
            "HUB_DATASETS_URL": address + "/datasets/{repo_id}/resolve/{revision}/{path}",
            "HF_DATASETS_CACHE": home / "datasets",
            "HF_HUB_OFFLINE": False,
        }
        for module, values in ((client, of_client), (config, of_datasets)):
            for name, value in values.items():
                monkeypatch.setattr(module, name, value)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        served.waits = []
        monkeypatch.setattr("time.sleep", served.waits.append)
        yield served


@pytest.fixture(scope="session")
def s3_server():
    pytest.importorskip("moto", reason="the S3 server is moto's")
    from s3 import serving_s3

    with serving_s3() as served:
        yield served


@pytest.fixture
def s3(s3_server, monkeypatch):
    """A server with an empty bucket, whose clients ask a few times and do not wait."""
    import s3fs
    from moto.backends import get_backend

    for name, value in (s3_server.environment | {"AWS_MAX_ATTEMPTS": "2"}).items():
        monkeypatch.setenv(name, value)
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda seconds, result=None: sleep(0, result))
    get_backend("s3").reset()
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("bucket")
    s3_server.asked.clear()
    yield s3_server
    s3_server.spoil = lambda method, path: None


@pytest.fixture(params=["memory", "s3"])
def store(request):
    """The URL of an empty folder, in memory and on a server."""
    if request.param == "s3":
        request.getfixturevalue("s3")
        return "s3://bucket/a folder"
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    return "memory://bucket/a folder"


@pytest.fixture
def data(tmp_path):
    """A folder of files of three splits (`stored.FILES`)."""
    from stored import written

    return written(tmp_path / "data")


@pytest.fixture
def inputs(tmp_path):
    """Three files of sums, the first of them empty."""
    lines = [f"{a}+{b}={a + b}\n" for a in range(40) for b in range(0, 40, 4)]
    files = [tmp_path / f"{name}.txt" for name in "abc"]
    for file, part in zip(files, ([], lines[:150], lines[150:]), strict=True):
        file.write_text("".join(part))
    return [str(file) for file in files]


@pytest.fixture
def plan(inputs):
    """A plan of them."""
    from mireorder import Order, Reading, fit

    return fit(inputs, reading=Reading(separator="="), cutter="digits", order=Order(shuffles=0))


@pytest.fixture
def written(inputs, plan, tmp_path):
    """Their dataset's folder."""
    from mireorder import apply

    apply(inputs, plan, out=tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture(scope="session")
def bundled(tmp_path_factory):
    """`restore.py` as a module."""
    return bundled_in(tmp_path_factory.mktemp("standalone"))


def bundled_in(folder):
    """`restore.py`, written to a folder, as a module."""
    from mireorder.standalone import FILE, standalone

    path = folder / FILE
    path.write_text(standalone(), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("bundled_restore", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
