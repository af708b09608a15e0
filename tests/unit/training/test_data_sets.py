"""Data sets are read from files in their published formats, and what is wrong with one is said."""

import contextlib
import gzip
import hashlib
import struct

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

from raiw.errors import InvalidData, InvalidInput, NotFound, TooLarge
from raiw.training.data import arrays
from raiw.training.data.batches import batches, crop_and_flip, ordered_batches
from raiw.training.data.folder import read_folder
from raiw.training.data.registry import DATASETS, available, open_dataset

RNG = np.random.default_rng(0)


def write_cifar(folder, names, *, label_bytes, classes, records=7):
    """Write records of label bytes and pixels, and return pixels and fine labels by file."""
    folder.mkdir(exist_ok=True)
    written = {}
    for name in names:
        labels = RNG.integers(classes, size=records, dtype=np.uint8)
        pixels = RNG.integers(256, size=(records, 3, 32, 32), dtype=np.uint8)
        coarse = [labels // 5] * (label_bytes - 1)
        rows = np.column_stack([*coarse, labels, pixels.reshape(records, -1)])
        (folder / name).write_bytes(rows.astype(np.uint8).tobytes())
        written[name] = pixels, labels
    return written


CIFAR10 = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]


@pytest.fixture
def cifar10(tmp_path):
    return write_cifar(tmp_path / "cifar10", CIFAR10, label_bytes=1, classes=10)


def write_idx(path, array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    data = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.fixture
def mnist(tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    images = RNG.integers(256, size=(12, 28, 28))
    for split, count in (("train", 9), ("t10k", 3)):
        write_idx(folder / f"{split}-images-idx3-ubyte", images[:count])
        write_idx(folder / f"{split}-labels-idx1-ubyte.gz", np.arange(count) % 10)
    return images


@pytest.fixture
def photographs(tmp_path):
    for split, count in (("train", 3), ("val", 1)):
        for label, name in enumerate(("n01", "n02")):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                colour = (100 * label + 20, 10 * number, 250)
                Image.new("RGB", (300, 260), colour).save(folder / f"{number}.png")
    return tmp_path / "photos"


def upload(**changes):
    data = {
        "train_images": RNG.integers(256, size=(8, 2, 5, 6), dtype=np.uint8),
        "train_labels": np.array([0, 1, 2, 0, 1, 2, 0, 1]),
        "test_images": RNG.integers(256, size=(3, 2, 5, 6), dtype=np.uint8),
        "test_labels": np.array([2, 1, 0]),
    }
    return {name: array for name, array in (data | changes).items() if array is not None}


def everything(split):
    return split.images(np.arange(len(split.labels)))


def test_cifar10(cifar10, tmp_path):
    data = open_dataset("cifar10", tmp_path)
    pixels = np.concatenate([cifar10[name][0] for name in CIFAR10[:5]])
    assert np.array_equal(everything(data.train), pixels)
    assert np.array_equal(data.train.labels, np.concatenate([cifar10[n][1] for n in CIFAR10[:5]]))
    assert np.array_equal(data.test.labels, cifar10["test_batch.bin"][1])


def test_cifar100_has_the_fine_labels(tmp_path):
    names = ["train.bin", "test.bin"]
    written = write_cifar(tmp_path / "cifar100", names, label_bytes=2, classes=100)
    data = open_dataset("cifar100", tmp_path)
    for split, name in ((data.train, "train.bin"), (data.test, "test.bin")):
        assert np.array_equal(everything(split), written[name][0])
        assert np.array_equal(split.labels, written[name][1])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda file: file.write_bytes(file.read_bytes()[:-1]), r"21510 bytes.*records of 3073"),
        (lambda file: file.write_bytes(b""), "0 bytes"),
        (lambda file: file.unlink(), "no file .*data_batch_3.bin'; unpack the binary version"),
        (
            lambda file: file.write_bytes(b"\x0b" + file.read_bytes()[1:]),
            "image 0 has the label 11",
        ),
    ],
    ids=["cut off", "empty", "missing", "label"],
)
def test_a_damaged_cifar_file(cifar10, tmp_path, spoil, message):
    spoil(tmp_path / "cifar10" / "data_batch_3.bin")
    with pytest.raises(InvalidData, match=message):
        open_dataset("cifar10", tmp_path)


def test_checksums_beside_the_files_are_compared(cifar10, tmp_path):
    folder = tmp_path / "cifar10"
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in CIFAR10}
    (folder / "SHA256SUMS").write_text("".join(f"{s}  {n}\n" for n, s in sums.items()))
    before = open_dataset("cifar10", tmp_path).digest
    file = folder / "test_batch.bin"
    file.write_bytes(file.read_bytes()[:-1] + bytes([file.read_bytes()[-1] ^ 1]))
    with pytest.raises(InvalidData, match=r"test_batch\.bin is damaged: its sha256 is"):
        open_dataset("cifar10", tmp_path)
    (folder / "SHA256SUMS").unlink()
    assert open_dataset("cifar10", tmp_path).digest != before


def test_mnist_plain_and_gzipped(mnist, tmp_path):
    data = open_dataset("mnist", tmp_path)
    assert data.shape == (1, 28, 28)
    assert np.array_equal(everything(data.train)[:, 0], mnist[:9])
    assert data.test.labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("train-images-idx3-ubyte", b"\x00\x00\x08\x01" + bytes(12), "starts with 00000801"),
        (
            "train-images-idx3-ubyte",
            struct.pack(">4I", 0x803, 9, 28, 28),
            r"7056 bytes, but holds 0",
        ),
        ("t10k-labels-idx1-ubyte.gz", b"\x1f\x8b\x08cut", "cannot be unpacked"),
        (
            "t10k-labels-idx1-ubyte.gz",
            gzip.compress(struct.pack(">2I", 0x801, 1) + b"\3"),
            "1 labels",
        ),
    ],
    ids=["dimensions", "cut off", "gzip", "count"],
)
def test_a_damaged_idx_file(mnist, tmp_path, file, content, message):
    (tmp_path / "mnist" / file).write_bytes(content)
    with pytest.raises(InvalidData, match=message):
        open_dataset("mnist", tmp_path)


def test_a_folder_of_images(photographs, tmp_path):
    data = open_dataset("photos", tmp_path)
    assert (data.shape, data.classes) == ((3, 224, 224), 2)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    images = data.train.images(np.array([4, 0]))
    assert images[0].reshape(3, -1).T.tolist() == [[120, 10, 250]] * 224 * 224
    assert images[1, :, 0, 0].tolist() == [20, 0, 250]
    assert read_folder("photos", photographs, side=32).train.images(np.array([0])).shape[2:] == (
        32,
        32,
    )


def test_a_folder_that_is_none(photographs, tmp_path):
    (photographs / "train" / "n01" / "0.png").write_bytes(b"no image")
    data = open_dataset("photos", tmp_path)
    with pytest.raises(InvalidData, match=r"n01/0\.png cannot be decoded"):
        data.train.images(np.array([0]))
    (photographs / "val" / "n03").mkdir()
    with pytest.raises(InvalidData, match="class 'n03' is in only one of train and val"):
        open_dataset("photos", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidData, match="has no folders of classes"):
        open_dataset("empty", tmp_path)


@pytest.mark.parametrize("form", ["npz", "safetensors"])
def test_an_upload(tmp_path, form):
    written = upload(test_images=RNG.normal(size=(3, 2, 5, 6)).astype(np.float32))
    save = np.savez if form == "npz" else lambda path, **data: save_file(data, path)
    save(tmp_path / f"mine.{form}", **written)
    data = open_dataset("mine", tmp_path)
    assert (data.shape, data.classes) == ((2, 5, 6), 3)
    assert np.array_equal(everything(data.train), written["train_images"])
    assert np.array_equal(everything(data.test), written["test_images"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_labels": None}, "lacks test_labels"),
        ({"test_labels": np.array([0, 1, 3])}, "image 2 has the label 3; with 3 classes"),
        ({"train_labels": np.arange(7)}, "8 images, but 7 labels"),
        ({"train_labels": np.ones(8)}, r"labels are float64"),
        ({"train_images": np.zeros((8, 5, 6), np.uint8)}, r"uint8 of shape \(8, 5, 6\)"),
        ({"test_images": np.zeros((3, 1, 5, 6), np.uint8)}, "test images"),
        ({"test_images": np.full((3, 2, 5, 6), np.nan, np.float32)}, r"\[0, 0, 0, 0\] is nan"),
        ({"train_images": np.array([{}] * 8)}, "plain arrays"),
    ],
)
def test_a_wrong_upload(tmp_path, changes, message):
    np.savez(tmp_path / "mine.npz", **upload(**changes))
    with pytest.raises(InvalidData, match=message):
        open_dataset("mine", tmp_path)


def test_a_damaged_upload(tmp_path, monkeypatch):
    for form in ("npz", "safetensors"):
        (tmp_path / f"{form}.{form}").write_bytes(b"PK\x03\x04 nothing of the kind")
        with pytest.raises(InvalidData, match=f"is not an? {form} file"):
            open_dataset(form, tmp_path)
    np.savez_compressed(tmp_path / "bits.npz", **upload())
    whole = (tmp_path / "bits.npz").read_bytes()
    for place in range(0, len(whole), 7):
        wrong = bytes([whole[place] ^ 0x55])
        (tmp_path / "bits.npz").write_bytes(whole[:place] + wrong + whole[place + 1 :])
        with contextlib.suppress(InvalidData):
            open_dataset("bits", tmp_path)
    np.savez(tmp_path / "big.npz", **upload())
    monkeypatch.setattr(arrays, "MAX_UNPACKED_BYTES", 100)
    with pytest.raises(TooLarge, match="use safetensors"):
        open_dataset("big", tmp_path)


def test_names_not_paths_open_data_sets(mnist, tmp_path):
    assert available(tmp_path) == ["digits", "mnist"]
    assert available(tmp_path / "nowhere") == ["digits"]
    with pytest.raises(NotFound, match=r"did you mean 'mnist'.*there are digits, mnist"):
        open_dataset("mnits", tmp_path)
    with pytest.raises(NotFound, match="'cifar10' is not on this machine: put its files into"):
        open_dataset("cifar10", tmp_path)
    for name in ("../mnist", "/etc", "", "a/b", ".."):
        with pytest.raises(InvalidInput, match="cannot name a data set"):
            open_dataset(name, tmp_path)


def test_what_is_known_of_a_data_set_is_true(mnist, cifar10, tmp_path):
    for name in ("digits", "mnist", "cifar10"):
        data, known = open_dataset(name, tmp_path), DATASETS[name]
        assert (data.shape, data.classes, data.name) == (known.shape, known.classes, name)


def test_batches_depend_on_seed_and_epoch_alone(tmp_path):
    digits = open_dataset("digits", tmp_path)

    def labels(seed, epoch, size=100):
        return np.concatenate(
            [y for _, y in batches(digits, size, seed=seed, epoch=epoch, augment=True)]
        )

    assert np.array_equal(labels(0, 1), labels(0, 1, size=7))
    assert not np.array_equal(labels(0, 1), labels(0, 2))
    assert not np.array_equal(labels(0, 1), labels(1, 1))
    assert np.array_equal(np.sort(labels(3, 4)), np.sort(digits.train.labels))
    first, _ = next(batches(digits, 64, seed=0, epoch=0, augment=True))
    again = np.concatenate([x for x, _ in batches(digits, 16, seed=0, epoch=0, augment=True)][:4])
    assert np.array_equal(first, again)


def test_images_are_normalised(tmp_path):
    digits = open_dataset("digits", tmp_path)
    images = np.concatenate([x for x, _ in batches(digits, 500, seed=0, epoch=0, augment=False)])
    np.testing.assert_allclose([images.mean(), images.std()], [0, 1], atol=1e-5)
    ordered = np.concatenate([y for _, y in ordered_batches(digits, 100)])
    assert np.array_equal(ordered, digits.test.labels)


def test_cropping_and_flipping_as_written_out_by_hand():
    images = RNG.integers(1, 256, size=(40, 2, 6, 5), dtype=np.uint8)
    draws = RNG.integers(2**63, size=40).astype(np.uint64)
    changed = crop_and_flip(images, draws)
    assert changed.dtype == np.uint8
    for image, draw, result in zip(images, draws.tolist(), changed, strict=True):
        top, left, mirrored = draw % 9, draw // 9 % 9, draw // 81 % 2
        padded = np.pad(image, ((0, 0), (4, 4), (4, 4)))
        crop = padded[:, top : top + 6, left : left + 5]
        assert np.array_equal(result, crop[:, :, ::-1] if mirrored else crop)
    kinds = {(draw % 9, draw // 9 % 9, draw // 81 % 2) for draw in draws.tolist()}
    assert len(kinds) > 30


def test_the_draws_never_change():
    """Fixed numbers: a change here would change every training that is resumed or repeated."""
    digits = open_dataset("digits", ".")
    _, labels = next(batches(digits, 12, seed=1, epoch=2, augment=False))
    assert labels.tolist() == [0, 0, 6, 7, 7, 4, 2, 0, 2, 4, 0, 0]


def test_the_parts_of_a_batch_are_the_batch():
    """Whoever trains along, an image is cropped and mirrored by its own index."""
    digits = open_dataset("digits", ".")
    whole, labels = next(batches(digits, 64, seed=1, epoch=2, augment=True))
    for place in range(3):
        part = next(batches(digits, 64, seed=1, epoch=2, augment=True, part=(place, 3)))
        assert np.array_equal(part[0], whole[place::3])
        assert np.array_equal(part[1], labels[place::3])


def test_the_digits_are_those_of_scikit_learn(tmp_path):
    images, labels = load_digits(return_X_y=True)
    digits, testing = open_dataset("digits", tmp_path), np.arange(1797) % 5 == 4
    for part, rows in ((digits.train, ~testing), (digits.test, testing)):
        pixels = part.images(np.arange(len(part.labels)))
        assert np.array_equal(pixels.reshape(-1, 64), images[rows])
        assert np.array_equal(part.labels, labels[rows])
