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
NOTEBOOK = ["ipykernel>=6.29", "nbclient>=0.10"]

setup(
    name="e2wsol",
    version=VERSION,
    description="Weakly supervised object localization in TensorFlow 2 / Keras 3",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords=[
        *("weakly supervised object localization", "WSOL", "class activation mapping", "CAM", "Grad-CAM"),
        *("Keras", "TensorFlow", "computer vision"),
    ],
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        *(f"Programming Language :: Python :: {version}" for version in ("3", "3.11", "3.12", "3.13")),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    # The flagfiles stand beside the package in the source tree and in it when installed; see e2wsol/flagfiles.py.
    packages=[*find_packages(include=["e2wsol", "e2wsol.*", "tfrecords", "tfrecords.*"]), "e2wsol.flags"],
    package_dir={"e2wsol.flags": "flags"},
    package_data={
        "e2wsol": ["py.typed"],
        "e2wsol.flags": ["**/*.cfg"],
        "e2wsol.studies": ["papers.csv"],
        "tfrecords": ["py.typed"],
    },
    entry_points={"console_scripts": ["e2wsol = e2wsol.__main__:main"]},
    python_requires=">=3.11,<3.14",
    install_requires=[
        "absl-py>=2.0",
        # Before it a .keras file can run code when it is loaded; e2wsol/installed_keras.py asks for it too.
        "keras>=3.14",
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
        "notebook": NOTEBOOK,
        "dev": [
            *TFDS,
            *NOTEBOOK,
            f"{TORCH},<2.14",
            "hypothesis>=6.100",
            "mypy>=1.11",
            "pytest>=8.0",
            "pytest-xdist>=3.5",
            "ruff>=0.5",
        ],
    },
)
