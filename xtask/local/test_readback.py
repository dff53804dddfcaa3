"""What the readback calls a difference. Needs the local cloud's packages, and is left out without them."""

import io
import os
import tarfile
import tempfile
import unittest

try:
    import zstandard
    import readback
except ImportError:
    readback = None


@unittest.skipIf(readback is None, "the local cloud's packages are not installed")
class Differences(unittest.TestCase):
    def setUp(self):
        self.place = tempfile.TemporaryDirectory()
        self.addCleanup(self.place.cleanup)
        self.source = os.path.join(self.place.name, "source")
        os.makedirs(os.path.join(self.source, "below"))
        for name, text in {"a": b"one", "below/b": b"two"}.items():
            with open(os.path.join(self.source, name), "wb") as file:
                file.write(text)

    def archive(self, files):
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w") as archive:
            for name, text in {**files, readback.MANIFEST: b"{}"}.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text))
        path = os.path.join(self.place.name, "archive")
        with open(path, "wb") as packed:
            packed.write(zstandard.compress(plain.getvalue()))
        return path

    def test_an_archive_of_the_same_files_has_none(self):
        path = self.archive({"a": b"one", "below/b": b"two"})
        self.assertEqual(readback.differences(self.source, path), (2, []))

    def test_each_is_named(self):
        _, said = readback.differences(self.source, self.archive({"a": b"ONE", "c": b"three"}))
        self.assertEqual(said, ["`a` differs", "`below/b` is missing from the archive", "`c` is in the archive only"])

    def test_a_single_file_is_compared_as_it_is(self):
        file = os.path.join(self.source, "a")
        self.assertEqual(readback.differences(file, file), (1, []))
        _, said = readback.differences(file, os.path.join(self.source, "below/b"))
        self.assertEqual(len(said), 1)


if __name__ == "__main__":
    unittest.main()
