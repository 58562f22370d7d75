"""Writers of the formats that RosettaSciIO only reads, as small as its readers accept."""

import json
import struct

import h5py
import numpy as np

_DM_TYPE = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7}
_DM_IMAGE = {"i2": 1, "f4": 2, "u1": 6, "i4": 7, "u2": 10, "u4": 11, "f8": 12}


def write_dm(path, images, *, scale=1.0, unit="", tags=None):
    """Write images (H, W) as Gatan's dm3 or dm4, whichever the path says, each with `tags` as its ImageTags."""
    version = int(path.suffix[-1])
    listed = []
    for image in images:
        image = np.asarray(image)
        dimension = {"Origin": 0.0, "Scale": float(scale), "Units": unit}
        data = {
            "Calibrations": {
                "Brightness": {"Origin": 0.0, "Scale": 1.0, "Units": ""},
                "Dimension": [dimension, dimension],
            },
            "Data": image,
            "DataType": np.int32(_DM_IMAGE[image.dtype.str[1:]]),
            "Dimensions": [np.int32(n) for n in image.shape[::-1]],
            "PixelDepth": np.int32(image.itemsize),
        }
        listed.append({"ImageData": data, "ImageTags": tags or {}, "Name": "drawn"})
    # Sizes have 4 bytes in dm3, and 8 in dm4, which counts those of each entry too.
    size = {3: "i", 4: "q"}[version]
    root = _dm_group({"ImageList": listed}, size)
    path.write_bytes(struct.pack(f">i{size}i", version, len(root) + 16, 1) + root + bytes(8))


def _dm_group(content, size):
    items = content.items() if isinstance(content, dict) else [("", item) for item in content]
    entries = [_dm_entry(name.encode("latin-1"), item, size) for name, item in items]
    return struct.pack(f">bb{size}", 1, 0, len(entries)) + b"".join(entries)


def _dm_entry(name, item, size):
    group = isinstance(item, dict | list)
    body = _dm_group(item, size) if group else _dm_data(item, size)
    length = struct.pack(">q", len(body)) if size == "q" else b""
    return struct.pack(">bh", 20 if group else 21, len(name)) + name + length + body


def _dm_data(item, size):
    if isinstance(item, str):
        item = np.frombuffer(item.encode("utf-16-le"), "<u2")
    array = np.asarray(item)
    kind = _DM_TYPE.get(array.dtype.str[1:], 9)
    info = [kind] if array.ndim == 0 else [20, kind, array.size]
    head = b"%%%%" + struct.pack(f">{1 + len(info)}{size}", len(info), *info)
    return head + array.astype(array.dtype.newbyteorder("<")).tobytes()


def write_velox(path, images, *, pixel_size_m, detectors, voltage=2e5):
    """Write images (H, W), one of each detector, as the emd that the microscope software Velox makes."""
    with h5py.File(path, "w") as file:
        file["Version"] = [json.dumps({"format": "Velox", "version": "11"}).encode()]
        for number, (image, detector) in enumerate(zip(images, detectors, strict=True)):
            group = file.create_group(f"Data/Image/{number:032x}")
            group["Data"] = np.asarray(image)[..., None]
            size = {"width": f"{pixel_size_m:g}", "height": f"{pixel_size_m:g}"}
            said = {
                "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1600000000"}},
                "BinaryResult": {
                    "PixelSize": size,
                    "PixelUnitX": "m",
                    "Detector": detector,
                    "DetectorIndex": "0",
                },
                "Detectors": {"Detector-0": {"DetectorName": detector}},
                "Instrument": {"InstrumentClass": "a microscope", "InstrumentModel": "of some kind"},
                "Optics": {"AccelerationVoltage": f"{voltage:g}"},
            }
            group["Metadata"] = np.frombuffer(json.dumps(said).encode() + bytes(64), np.uint8)[:, None]


def write_berkeley(path, image, *, scale, unit):
    """Write an image (H, W) as the emd of Berkeley: x before y, and the axes are lists of coordinates."""
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/drawn")
        group.attrs["emd_group_type"] = 1
        group["data"] = image.T
        for number, (name, length) in enumerate(zip("xy", image.T.shape, strict=True), 1):
            axis = group.create_dataset(f"dim{number}", data=scale * np.arange(length))
            axis.attrs["name"], axis.attrs["units"] = name, unit


def write_mrc(path, image, *, pixel_size_angstrom):
    """Write an image (H, W) of float32 as mrc of 2014."""
    height, width = image.shape
    header = bytearray(1024)
    struct.pack_into("<10i", header, 0, width, height, 1, 2, 0, 0, 0, width, height, 1)
    lengths = width * pixel_size_angstrom, height * pixel_size_angstrom, pixel_size_angstrom
    struct.pack_into("<6f", header, 40, *lengths, 90.0, 90.0, 90.0)
    struct.pack_into("<3i", header, 64, 1, 2, 3)
    header[208:216] = b"MAP \x44\x44\x00\x00"
    path.write_bytes(bytes(header) + image.astype("<f4").tobytes())


def write_ser(path, images, *, pixel_size_m):
    """Write images (H, W) of uint16 as FEI's ser, 32-bit offsets."""
    count = len(images)
    dimension = (
        struct.pack("<iddi", count, 0.0, 1.0, 0) + struct.pack("<i", 6) + b"Number" + struct.pack("<i", 0)
    )
    start = 30 + len(dimension) + 8 * count
    offsets, blocks = [], b""
    for image in images:
        height, width = image.shape
        offsets.append(start + len(blocks))
        blocks += 2 * struct.pack("<ddi", 0.0, pixel_size_m, 0)
        # The format counts rows from the bottom.
        blocks += struct.pack("<hii", 2, width, height) + image[::-1].astype("<u2").tobytes()
    tags = start + len(blocks)
    for number in range(count):
        blocks += struct.pack("<hxxi", 0x4152, number)
    head = struct.pack(
        "<hhhiiiiii", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, count, count, 30 + len(dimension), 1
    )
    arrays = struct.pack(f"<{2 * count}i", *offsets, *(tags + 8 * number for number in range(count)))
    path.write_bytes(head + dimension + arrays + blocks)
