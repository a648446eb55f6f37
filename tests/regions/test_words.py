"""Regions from names: whole words, in the languages of artists and the conventions of avatar makers."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from blender_addon.regions.name_matching import region_of, split_words

NAMES = Path(__file__).resolve().parents[2] / "benchmarks" / "regions" / "names.csv"

# fmt: off
ARTISTS = {
    "garment": """
        Wolf3D_Outfit_Top Wolf3D_Outfit_Bottom Tops Bottoms Ch03_Shorts N00_002_01_Tops_01_CLOTH
        N00_007_01_Onepiece_00_CLOTH kimono uniform suit sweater hoodie vest poncho apron shawl veil leotard toga
        sari cardigan bolero tie sash Kleid Rock Hose robe jupe vestido falda スカート 服 裙子 юбка Cloth_Hat
        Unterrock soutien-gorge Spódnica koszula płaszcz Sukienka.001 peleryna szalik
    """,
    "hair": """
        N00_000_00_HairBack_00_HAIR braid bun fringe wig mustache moustache fur Haare cheveux pelo 髪 头发 머리 волосы
        HairClip Zöpfe włosy Warkocz_L grzywka broda
    """,
    "face": """
        rosto twarz oczy brwi rzęsy zęby
        N00_000_00_FaceEyelash_00_FACE N00_000_00_FaceBrow_00_FACE EyePatch Eyelashes Eyebrows MaskFace
    """,
    "body": """
        Wolf3D_Outfit_Footwear Wolf3D_Headwear Ch22_Sneakers belt tail Alpha_Surface Beta_Surface lambert_surface
        Brown Shoes_brown leather.brown Chair Hairless_skin Hooded_Head Rogue_Head_Hooded Clipboard Slippers Eclipse
        Landscape Clearcoat Coating Probe Flashlight Necklash Participant Panther Elephant_trunk Shirtless_body
        Jeanne Surfaces Typeface Cobblestone Undercoat_Skin CapeBuffalo
    """,
}
# fmt: on


def told(name: str) -> str:
    """The region that `name` gives a part of which nothing else is known."""
    return (region_of(name) or ("body", 0.0))[0]


@pytest.mark.parametrize("region", ARTISTS)
def test_names_as_artists_write_them(region):
    wrong = {name: told(name) for name in ARTISTS[region].split() if told(name) != region}
    assert not wrong


@pytest.mark.parametrize("split", ["tuning", "held-out"])
def test_the_list_of_names(split):
    with NAMES.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    assert len(rows) > 150
    assert sum(told(row["name"]) == row["region"] for row in rows) >= 0.95 * len(rows)
    assert not [row["name"] for row in rows if row["region"] == "face" and told(row["name"]) == "garment"]


def test_words_are_split_at_capitals_digits_marks_and_scripts():
    assert split_words("CC_BaseBody02.Hair-Front") == ["cc", "base", "body", "hair", "front"]
    assert split_words("Äußere Hülle") == ["aussere", "hulle"]
    assert split_words("Ёлка前髪Mesh") == ["елка", "前髪", "mesh"]


@pytest.mark.parametrize(
    ("name", "region"),
    [
        ("Pony_Tail", "hair"), ("Tail", "body"), ("t-shirt", "garment"), ("Lederhandschuhe", "body"),
        ("Regenjacke", "garment"),
        ("靴", "body"), ("靴下", "garment"), ("毛", "hair"), ("毛衣", "garment"), ("Dress_Shoes", "body"),
        ("Hood_Head", "face"),
        ("Head_Scarf", "garment"), ("Юбочка", "body"), ("юбки.001", "garment"), ("no_shirt", "body"),
        ("ｽｶｰﾄ", "garment"),
        ("Scarf_Fringe", "garment"), ("Fringe", "hair"), ("发光材质", "body"), ("검은머리", "hair"),
        ("ユニット", "body"), ("SKIRT", "garment"), ("Rabo_de_cavalo", "hair"),
        ("Плащ", "garment"), ("носки", "garment"), ("Нос", "face"),
    ],
)  # fmt: skip
def test_words_that_hold_others(name, region):
    assert told(name) == region


def test_unclear_names_are_less_sure():
    assert region_of("Skirt")[1] > 0.8
    assert region_of("Rock")[1] < 0.5  # a skirt in German
    assert region_of("Plane.003") is None
    assert region_of("") is None
