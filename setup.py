"""Maps the folders at the root to the package: transforms/ is melbeam.transforms, and so on."""

from setuptools import find_namespace_packages, setup

ROOTS = ("configs", "pipelines", "transforms")
# Data folders are packages too, so that importlib.resources finds them in a zip as on a disk.
CACHES = ["*__pycache__*"]
FOLDERS = [
    folder
    for root in ROOTS
    for folder in (root, *(f"{root}.{below}" for below in find_namespace_packages(root, exclude=CACHES)))
]
PACKAGES = {f"melbeam.{folder}": folder.replace(".", "/") for folder in FOLDERS}

setup(
    packages=list(PACKAGES),
    package_dir=PACKAGES,
    package_data={
        "melbeam.transforms": ["py.typed"],
        "melbeam.pipelines": ["py.typed"],
        "melbeam.pipelines.demo_clips": ["*.wav", "*.flac", "*.mp3", "*.ogg", "*.csv"],
        "melbeam.pipelines.reporting": ["*.css"],
        "melbeam.configs": ["*.yaml"],
        "melbeam.configs.front_ends": ["*.yaml"],
        "melbeam.configs.jobs": ["*.yaml"],
    },
)
