"""The names that programs may use."""

import subprocess
import sys

import vectormigrate


def test_every_public_name_can_be_imported() -> None:
    for name in vectormigrate.__all__:
        assert getattr(vectormigrate, name).__module__.startswith("vectormigrate.")


def test_public_names_are_exactly_those_that_are_offered_lazily() -> None:
    assert sorted(vectormigrate.__all__) == sorted(vectormigrate._HOMES)


def test_public_classes_and_functions_say_what_they_do() -> None:
    for name in vectormigrate.__all__:
        assert getattr(vectormigrate, name).__doc__, name


def test_importing_the_package_loads_no_vendor_package() -> None:
    vendors = "('pymilvus', 'qdrant_edge', 'grpc', 'numpy')"
    code = f"import sys, vectormigrate; print([m for m in {vendors} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
