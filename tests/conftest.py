import pathlib

import hypothesis
import pytest

# The same examples in every run: what fails must fail again. Other ones: --hypothesis-profile=default.
hypothesis.settings.register_profile("fixed", derandomize=True)
hypothesis.settings.load_profile("fixed")
# The longest files. scripts/test.sh gives a worker whole files: one of these at the end would leave the others idle.
LONGEST = [
    "test_other_backends",
    "test_wheel",
    "test_workers",
    "test_methods",
    "test_walkthroughs",
    "test_restart",
    "test_loop",
    "test_step",
    "test_convert",
    "test_export",
    "test_scripts",
    "test_trained_run",
    "test_study",
    "test_storage",
    "test_classify",
    "test_skip_commands",
    "test_notebook",
    "test_pullback",
    "test_plain_pytorch",
    "test_converted_on_kit",
    "test_compute_flags",
    "test_killed_builds",
    "test_pseudo_masks_command",
]


def pytest_configure():
    """Two logical CPU devices for the tests of replicas: TensorFlow takes their number before its first use only."""
    import e2wsol.quiet_tensorflow  # noqa: F401  # isort: skip
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def pytest_collection_modifyitems(items):
    """The longest files first, all others in their order."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def tiny_records(tmp_path_factory):
    """Folder of records of the embedded data set: 24 train, 9 val and 8 test pictures, 3 classes."""
    from made_runs import run

    output = tmp_path_factory.mktemp("tiny") / "records"
    sizes = ("--synthetic_train=24", "--synthetic_val=9", "--synthetic_test=8", "--synthetic_classes=3")
    flags = (f"--output={output}", *sizes, "--synthetic_side=48", "--shard_pictures=10", "--workers=1")
    assert run("build", "--source=synthetic", *flags) == 0
    return pathlib.Path(output)


@pytest.fixture(scope="session")
def tiny_run(tiny_records, tmp_path_factory):
    """Run folder of E2Net after 8 steps on the tiny records; tests must not change it."""
    from made_runs import train_run

    run_dir = tmp_path_factory.mktemp("runs") / "e2net"
    assert train_run(tiny_records, run_dir) == 0
    return run_dir
