"""Files of the shipped family, and their SHA-256."""

import hashlib

from parentage.demo import family


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def paths():
    return family("child"), {"base": family("base"), "parents": [family("parent")]}
