"""Maps the folders at the root to the package: transforms/ is melbeam.transforms, and so on."""

from setuptools import setup

PACKAGES = {
    "melbeam.transforms": "transforms",
    "melbeam.pipelines": "pipelines",
    "melbeam.pipelines.demo_clips": "pipelines/demo_clips",
    "melbeam.configs": "configs",
    "melbeam.configs.front_ends": "configs/front_ends",
    "melbeam.configs.jobs": "configs/jobs",
}

setup(
    packages=list(PACKAGES),
    package_dir=PACKAGES,
    package_data={
        "melbeam.transforms": ["py.typed"],
        "melbeam.pipelines": ["py.typed"],
        "melbeam.pipelines.demo_clips": ["*.wav", "*.flac", "*.mp3", "*.ogg", "*.csv"],
        "melbeam.configs": ["*.yaml"],
        "melbeam.configs.front_ends": ["*.yaml"],
        "melbeam.configs.jobs": ["*.yaml"],
    },
)
