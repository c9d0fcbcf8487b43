"""Packaging: pyproject names every package, and wheel and sdist hold the files of the disk."""

import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("hzbench", "problems", "theory", "reports")
LINKS = ("problems", "theory", "reports")
BUILD = "from setuptools import build_meta as b; b.build_wheel('dist'); b.build_sdist('dist')"


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def source_files():
    """Path inside the wheel -> path on disk, for every file of the four folders."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            inside = path.relative_to(ROOT)
            if path.is_dir() or "__pycache__" in inside.parts or inside.parts[1] in LINKS:
                continue
            name = inside if folder == "hzbench" else Path("hzbench") / inside
            found[name.as_posix()] = inside.as_posix()
    return found


def test_every_package_on_disk_is_listed():
    on_disk = {
        Path(name).parent.as_posix().replace("/", ".")
        for name in source_files()
        if name.endswith("/__init__.py")
    }
    listed = project()["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(on_disk)
    assert len(set(listed)) == len(listed)


def test_every_folder_with_code_is_a_package():
    for name in source_files():
        if name.endswith(".py"):
            assert f"{Path(name).parent.as_posix()}/__init__.py" in source_files(), name


def test_every_other_file_is_package_data():
    data = project()["tool"]["setuptools"]["package-data"]
    for name in source_files():
        if name.endswith(".py"):
            continue
        matching = [
            pattern
            for package, patterns in data.items()
            for pattern in patterns
            if Path(name).match(f"{package.replace('.', '/')}/{pattern}")
        ]
        assert matching, f"{name} would be missing from the wheel"


@pytest.mark.parametrize("name", LINKS)
def test_links_point_to_the_top_level_folders(name):
    link = ROOT / "hzbench" / name
    assert link.is_symlink()
    assert link.readlink() == Path("..") / name


def test_the_map_of_names_is_complete():
    expected = {"hzbench": "hzbench", **{f"hzbench.{name}": name for name in LINKS}}
    assert project()["tool"]["setuptools"]["package-dir"] == expected


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the wheel and the sdist, built from a copy of the tracked files."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in FOLDERS:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    subprocess.run(
        [sys.executable, "-c", BUILD], cwd=copy, check=True, capture_output=True, timeout=300
    )
    return copy / "dist"


def test_the_wheel_holds_exactly_the_files_of_the_disk(built):
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if ".dist-info/" not in name]
        for inside, source in source_files().items():
            assert wheel.read(inside) == (ROOT / source).read_bytes(), inside
        entry = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
        assert "hzbench = hzbench.cli:main" in wheel.read(entry).decode()
        assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
    assert sorted(names) == sorted(source_files())


def test_the_sdist_holds_exactly_the_files_of_the_disk(built):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        members = {m.name.split("/", 1)[1]: m for m in archive.getmembers() if "/" in m.name}
        files = {name for name, member in members.items() if member.isfile()}
        for source in source_files().values():
            found = archive.extractfile(members[source])
            assert found is not None
            assert found.read() == (ROOT / source).read_bytes(), source
    assert {n for n in files if n.split("/")[0] in FOLDERS} == set(source_files().values())
    assert {"pyproject.toml", "README.md", "LICENSE"} <= files


def test_a_wheel_built_from_the_sdist_is_the_same(built, tmp_path):
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    subprocess.run(
        [sys.executable, "-c", BUILD], cwd=folder, check=True, capture_output=True, timeout=300
    )
    wheels = [next(place.glob("*.whl")) for place in (built, folder / "dist")]
    contents = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            contents.append({n: archive.read(n) for n in archive.namelist() if "/RECORD" not in n})
    assert contents[0] == contents[1]
