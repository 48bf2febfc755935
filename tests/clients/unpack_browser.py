"""Unpacks the browser that the tests start: `unpack_browser.py PACKED FOLDER`. It appears in FOLDER complete or not at all."""

import io
import os
import shutil
import sys
import tarfile

import brotli

FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="relative">fonts</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
"""


def main(packed: str, folder: str) -> None:
    """Unpacks."""
    draft = folder + ".draft"
    shutil.rmtree(draft, ignore_errors=True)
    os.makedirs(draft)
    for archive in ("al2023", "swiftshader", "fonts"):
        with tarfile.open(fileobj=io.BytesIO(_read(packed, archive + ".tar.br"))) as opened:
            opened.extractall(draft)
    # The package's own looks for fonts where its makers' machines have them.
    with open(os.path.join(draft, "fonts.conf"), "w", encoding="utf-8") as out:
        out.write(FONTS)
    program = os.path.join(draft, "chromium")
    with open(program, "wb") as out:
        out.write(_read(packed, "chromium.br"))
    os.chmod(program, 0o755)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(draft, folder)


def _read(packed: str, name: str) -> bytes:
    with open(os.path.join(packed, name), "rb") as file:
        return brotli.decompress(file.read())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
