"""Build the sdist and the wheel, compare and install them; exit with an error if anything is amiss."""

import subprocess
import sys
import zipfile
from pathlib import Path


def run(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], check=True)  # noqa: S603


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def main(folder: Path) -> None:
    run(sys.executable, "-m", "build", "--outdir", folder / "by_sdist", ".")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "by_tree", ".")
    (by_sdist,) = (folder / "by_sdist").glob("*.whl")
    (by_tree,) = (folder / "by_tree").glob("*.whl")
    files = contents(by_tree)
    assert contents(by_sdist) == files, "The sdist builds another wheel than the tree."  # noqa: S101
    assert "b2fields/py.typed" in files, "The wheel lacks py.typed."  # noqa: S101
    strays = [name for name in files if not name.startswith(("b2fields/", "django_b2fields-"))]
    assert not strays, f"The wheel holds {strays}."  # noqa: S101

    run(sys.executable, "-m", "venv", "--clear", folder / "empty")
    python = folder / "empty" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", by_tree)
    # Away from the tree, so that the installed package is what gets imported.
    subprocess.run(  # noqa: S603
        [python, "-c", "import b2fields; print('imported', b2fields.__version__, 'from the wheel')"],
        check=True,
        cwd=folder,
    )


main(Path(sys.argv[1]))
