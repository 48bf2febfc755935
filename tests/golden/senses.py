#!/usr/bin/env python3
"""Makes senses.json: what Python says of images and sound.

Images: Pillow's pixels, and the scores of EfficientNet-lite0 in its own published code behind torchvision's transforms. Sound: the probabilities,
segments and events of silero-vad's own package, and torchaudio's resampling. It needs the environment that minilm.py describes, with

    pip install torchvision==0.26.0 torchaudio==2.11.0 pillow soundfile silero-vad==6.2.3 efficientnet-lite-pytorch==0.1.0

and `make setup`, which fetches the weights and the pictures.
"""

import base64
import io
import json
import pathlib

import numpy
import soundfile
import torch
import torchaudio
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image, ImageOps
from silero_vad import VADIterator, get_speech_timestamps, load_silero_vad

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path.home() / ".cache" / "torchmesh"
FILTERS = {"box": Image.BOX, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos": Image.LANCZOS}
# At these, Pillow resizes the rows first; where the height shrinks by far more than the width, newer versions begin with the columns.
SIZES = [(37, 23), (16, 16), (100, 130)]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def pattern(width, height):
    """An image that the test makes, too: whole numbers that look like noise."""
    places = numpy.arange(width * height * 3, dtype=numpy.uint64)
    mixed = (places * numpy.uint64(2654435761) + numpy.uint64(12345)) & numpy.uint64(0xFFFFFFFF)
    return Image.fromarray((mixed >> numpy.uint64(24)).astype(numpy.uint8).reshape(height, width, 3))


def checksum(values):
    """A number that changes with every value and its place."""
    total = 0
    for value in values:
        total = (total * 31 + int(value)) & 0xFFFFFFFF
    return total


def resizing():
    image = pattern(61, 47)
    made = []
    for name, filter in FILTERS.items():
        for size in SIZES:
            pixels = numpy.asarray(image.resize(size, filter)).reshape(-1)
            made.append({"filter": name, "width": size[0], "height": size[1], "sum": checksum(pixels), "first": pixels[:6].tolist()})
    return made


def encoded(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return base64.b64encode(file.getvalue()).decode()


def decoding():
    """Small files of every kind, with the pixels that Pillow reads from them."""
    smooth = pattern(8, 6).resize((40, 28), Image.BICUBIC)
    exif = Image.Exif()
    exif[0x0112] = 8
    files = {
        "png": encoded(smooth, "PNG"),
        "png with alpha": encoded(smooth.convert("RGBA"), "PNG"),
        "png with a palette": encoded(smooth.quantize(16), "PNG"),
        "grey png": encoded(smooth.convert("L"), "PNG"),
        "interlaced, turned jpeg": encoded(smooth, "JPEG", quality=90, progressive=True, exif=exif),
        "jpeg": encoded(smooth, "JPEG", quality=90),
        "grey jpeg": encoded(smooth.convert("L"), "JPEG", quality=90),
        "lossless webp": encoded(smooth, "WEBP", lossless=True),
        "webp": encoded(smooth, "WEBP", quality=90),
    }
    made = []
    for name, file in files.items():
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(base64.b64decode(file)))).convert("RGB")
        pixels = base64.b64encode(numpy.asarray(image).tobytes()).decode()
        made.append({"name": name, "file": file, "width": image.width, "height": image.height, "pixels": pixels})
    return made


def classes():
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(CACHE / "models/efficientnet-lite0/efficientnet-lite0.pth", map_location="cpu"))
    model.eval()
    names = json.loads((CACHE / "models/efficientnet-lite0/labels.json").read_text())
    before = torchvision.transforms.Compose([
        torchvision.transforms.Resize(256, interpolation=torchvision.transforms.InterpolationMode.BICUBIC),
        torchvision.transforms.CenterCrop(224),
        torchvision.transforms.ToTensor(),
        torchvision.transforms.Normalize(MEAN, STD),
    ])
    made = []
    for picture in ["cat.png", "espresso.png", "rocket.jpg"]:
        image = Image.open(CACHE / "pictures" / picture).convert("RGB")
        with torch.no_grad():
            scores = torch.softmax(model(before(image)[None])[0], 0)
        best = scores.topk(5)
        labels = [{"index": int(i), "label": names[int(i)], "score": float(s)} for s, i in zip(best.values, best.indices)]
        made.append({"picture": picture, "labels": labels})
        print(picture, [(entry["label"], round(entry["score"], 4)) for entry in labels])
    return made


def overlaps():
    """Boxes of three classes, and those that torchvision's batched_nms keeps."""
    random = numpy.random.default_rng(7)
    corner, size = random.integers(0, 80, (60, 2)), random.integers(5, 40, (60, 2))
    boxes = numpy.concatenate([corner, corner + size], 1).astype(numpy.float32)
    scores = (random.permutation(60) + 1).astype(numpy.float32) / 61
    classes = random.integers(0, 3, 60)
    kept = torchvision.ops.batched_nms(*map(torch.from_numpy, (boxes, scores, classes)), 0.45)
    return {"boxes": boxes.tolist(), "scores": scores.tolist(), "classes": classes.tolist(), "overlap": 0.45, "kept": kept.tolist()}


def voice():
    model = load_silero_vad()
    samples, rate = soundfile.read(HERE / "speech.flac", dtype="float32")
    audio = torch.from_numpy(samples)
    probabilities = model.audio_forward(audio, sr=rate)[0].tolist()
    variants = []
    for options in [
        {},
        {"threshold": 0.3, "min_silence_duration_ms": 20, "speech_pad_ms": 200, "min_speech_duration_ms": 50},
        {"max_speech_duration_s": 1.5, "min_silence_duration_ms": 400},
        {"threshold": 0.9, "neg_threshold": 0.8, "speech_pad_ms": 0},
    ]:
        found = get_speech_timestamps(audio, model, sampling_rate=rate, **options)
        variants.append({"options": options, "segments": [[segment["start"], segment["end"]] for segment in found]})
    iterator, events = VADIterator(model), []
    for start in range(0, len(audio) - 511, 512):
        event = iterator(audio[start : start + 512])
        events += [[kind, at] for kind, at in (event or {}).items()]
    print(variants, events)
    return {"probabilities": probabilities, "variants": variants, "events": events}


def resampled():
    """A sweep of whole numbers at other rates, brought to 16 kHz."""
    made = []
    for rate in [8000, 11025, 44100, 48000]:
        places = numpy.arange(400, dtype=numpy.int64)
        samples = ((places * places * 7) % 2001 - 1000).astype(numpy.float32) / 1000
        out = torchaudio.functional.resample(torch.from_numpy(samples), rate, 16000)
        made.append({"rate": rate, "samples": [round(value, 7) for value in out.tolist()]})
    return made


def main():
    golden = {
        "made_with": {"pillow": Image.__version__, "torch": torch.__version__, "torchvision": torchvision.__version__},
        "resizing": resizing(),
        "decoding": decoding(),
        "classes": classes(),
        "overlaps": overlaps(),
        "voice": voice(),
        "resampled": resampled(),
    }
    (HERE / "senses.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
