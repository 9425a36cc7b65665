"""QR codes as a stranger reads them: OpenCV, which knows nothing of how we draw."""

import io

import cv2
import numpy as np
from PIL import Image


def read_code(picture: bytes) -> str:
    """The whole of it at once; else as people do it, who hold the phone over the code.

    OpenCV takes one white noise in twenty for the corners of a code.
    """
    pixels = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    reader = cv2.QRCodeDetector()
    below = pixels[len(pixels) * 6 // 10 :]
    return reader.detectAndDecode(pixels)[0] or reader.detectAndDecode(below)[0]


def passed_on(picture: bytes) -> bytes:
    """As a chat makes it of a picture: 60 % of its size, and compressed again."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    small = image.resize((image.width * 6 // 10, image.height * 6 // 10), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=40)
    return file.getvalue()
