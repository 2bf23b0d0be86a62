"""Installs e2wsol, its TFRecord builders and the commands' dependencies."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "e2wsol" / "__init__.py").read_text()).group(1)
# tensorflow-datasets needs importlib_resources where it prepares a data set, and does not ask for it.
# Before 2.6, weights_only can be made to run code of a file (CVE-2025-32434).
TORCH = "torch>=2.6"
TFDS = ["importlib_resources", "tensorflow-datasets>=4.9"]

setup(
    name="e2wsol",
    version=VERSION,
    description="Weakly supervised object localization in TensorFlow 2 / Keras 3",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["e2wsol", "e2wsol.*", "tfrecords", "tfrecords.*"]),
    package_data={"e2wsol.studies": ["papers.csv"]},
    python_requires=">=3.10,<3.14",
    install_requires=[
        "absl-py>=2.0",
        "keras>=3.6",
        "matplotlib>=3.8",
        "numba>=0.60",
        "numpy>=1.26",
        "opencv-python-headless>=4.8",
        "pillow>=10.0",
        "tensorboard>=2.18",
        "tensorflow>=2.18",
        "tqdm>=4.60",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.18"],
        "tfds": TFDS,
        "convert": [TORCH],
        "dev": [
            *TFDS,
            f"{TORCH},<2.14",
            "hypothesis>=6.100",
            "ipykernel>=6.29",
            "nbclient>=0.10",
            "pytest>=8.0",
            "pytest-xdist>=3.5",
            "ruff>=0.5",
        ],
    },
)
