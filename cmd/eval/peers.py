"""Reads pictures with one program that others use; one line of JSON for each.

Usage: peers.py rapidocr|passporteye PICTURE...
"""

import json
import logging
import os
import sys


def rapidocr():
    from rapidocr import RapidOCR

    logging.disable(logging.INFO)
    engine = RapidOCR()
    return lambda picture: list(engine(picture).txts or ())


def passporteye():
    from passporteye import read_mrz

    def read(picture):
        zone = read_mrz(picture)
        return zone.aux["text"].split("\n") if zone else []

    return read


read = {"rapidocr": rapidocr, "passporteye": passporteye}[sys.argv[1]]()
for picture in sys.argv[2:]:
    start = sum(os.times()[:4])  # this process and its children
    lines = read(picture)
    print(json.dumps({"lines": lines, "cpu_ms": 1000 * (sum(os.times()[:4]) - start)}), flush=True)
