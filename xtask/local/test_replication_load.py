"""When the load counts an object as verified, and what it puts."""

import contextlib
import io
import unittest
import zlib

import replication_load as load


class Shelf:
    """Buckets in memory, one of which copies nothing."""

    def __init__(self):
        self.kept = {"a": {}, "b": {}}

    def regions(self):
        return list(self.kept)

    def put(self, region, key, body):
        self.kept[region][key] = body

    def begin(self, region, key):
        parts = []
        finish = lambda: self.put(region, key, b"".join(parts))
        upload = type("Upload", (), {})()
        upload.part, upload.complete = lambda number, body: parts.append(body), finish
        return upload

    def checksum(self, region, key):
        body = self.kept[region].get(key)
        return None if body is None else load.encode(zlib.crc32(body))


class Verified(unittest.TestCase):
    def test_an_object_counts_when_every_region_has_its_checksum(self):
        sums = {"k": "x", "l": "y"}
        self.assertEqual(load.judged(sums, {"a": {"k": "x", "l": "y"}, "b": {"k": "x", "l": "z"}}),
                         {"verified": 1, "missing": {"b": 1}})
        self.assertEqual(load.judged(sums, {"a": {}, "b": dict(sums)}), {"verified": 0, "missing": {"a": 2}})

    def test_parts_make_up_the_size_and_differ(self):
        self.assertEqual(load.sizes(11, 5), [5, 5, 1])
        self.assertEqual(load.sizes(10, 5), [5, 5])
        self.assertEqual(load.sizes(0, 5), [])
        self.assertNotEqual(load.part_of(1, 64), load.part_of(2, 64))
        self.assertEqual(len(load.part_of(3, 1001)), 1001)

    def test_what_was_put_is_looked_for_in_every_region(self):
        shelf = Shelf()
        plan = {"region": "a", "prefix": "p", "objects": 3, "object_bytes": 10, "large_bytes": 25, "part_bytes": 10}
        one = load.Load(shelf, plan, zlib.crc32)
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            one.put_all()
        self.assertIn('{"put": 55, "of": 55}', told.getvalue().splitlines()[-1])
        self.assertEqual(one.look(), {"verified": 0, "missing": {"b": 4}})
        shelf.kept["b"] = dict(shelf.kept["a"])
        self.assertEqual(one.look(), {"verified": 4, "missing": {}})


if __name__ == "__main__":
    unittest.main()
